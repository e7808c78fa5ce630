"""A network's answers to a batch, compiled."""

from collections.abc import Callable

import keras
import tensorflow as tf

from tfac.attributes import Mirroring
from tfac.models import predict
from tfac.speed.inference_folding import folding_batch_norms


def create_predict_step(
    model: keras.Model,
    test_time_flip: bool | Mirroring = False,
    strategy: tf.distribute.Strategy | None = None,
) -> Callable[[tf.Tensor], dict[str, tf.Tensor]]:
    """Returns a compiled function from images to the model's outputs, without training.

    Batch norms that run on the fused kernel (`tfac.speed.accelerate`) are folded into the
    convolutions before them, see `tfac.speed.inference_folding`.

    Args:
        model: images [B, H, W, 3] to a dict of outputs.
        test_time_flip: that of `tfac.models.predict`.
        strategy: with several replicas, images and outputs are per-replica values.
    """
    strategy = strategy or tf.distribute.get_strategy()

    def replica_predict(images):
        with folding_batch_norms():
            return predict(model, images, test_time_flip)

    @tf.function(reduce_retracing=True)
    def predict_step(images):
        return strategy.run(replica_predict, args=(images,))

    return predict_step
