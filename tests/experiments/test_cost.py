import keras
import pytest
from keras import ops

from tfac.experiments.cost import count_multiply_adds
from tfac.models import create_model, predict


class Products(keras.Model):
    """One operation of each kind that counts, on images [B, 4, 6, 3]."""

    def __init__(self):
        super().__init__()
        self.convolution = keras.layers.Conv2D(5, 3, padding="same")  # 4 * 6 * 5 * 27 = 3240
        self.depthwise = keras.layers.DepthwiseConv2D(3, padding="valid")  # 2 * 4 * 5 * 9 = 360
        self.dense = keras.layers.Dense(7)  # 5 * 7 = 35

    def call(self, images, training=False):
        features = self.depthwise(self.convolution(ops.cast(images, "float32")))  # [B, 2, 4, 5]
        batches = ops.reshape(features, (-1, 8, 5))  # [B, 8, 5]
        product = ops.matmul(batches, ops.transpose(batches, (0, 2, 1)))  # 8 * 8 * 5 = 320
        mixed = ops.einsum("bnd,bne,bnf->bdef", batches, batches, batches)  # 8 * 5**3 = 1000
        pooled = ops.mean(features, axis=(1, 2))
        return self.dense(pooled) + ops.sum(product) + ops.sum(mixed)


def test_products_and_convolutions_count():
    model = Products()
    model(ops.zeros((1, 4, 6, 3)))
    counted = count_multiply_adds(model, (4, 6)) - (3240 + 360 + 35 + 320)
    # The einsum of three is taken apart into products of two, in an order of the library's choice.
    assert 1000 <= counted <= 3000


def test_resnet18_takes_what_is_known_of_it():
    """1.81 G at 224 pixels, without the 1000 outputs for ImageNet (torchvision's page: 1.81)."""
    model = create_model("baseline", backbone="resnet18")
    assert count_multiply_adds(model, (224, 224)) == pytest.approx(1.81e9, rel=0.005)


def test_a_flipped_picture_counts_too():
    model = create_model("baseline", backbone="alexnet")
    once = count_multiply_adds(model, (64, 64))
    assert count_multiply_adds(lambda images: predict(model, images, True), (64, 64)) == 2 * once
