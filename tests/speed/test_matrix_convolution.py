import keras
import numpy as np
import pytest
import tensorflow as tf

from tfac.models import create_backbone
from tfac.speed.matrix_convolution import use_matrix_products

CHANNELS, FILTERS = 5, 4
TOLERANCES = {"float32": 1e-5, "mixed_bfloat16": 3e-2, "mixed_float16": 4e-3}


def network(shape, *, products, **options):
    keras.utils.set_random_seed(1)
    layer = keras.layers.Conv2D(FILTERS, **{"kernel_size": 3, "padding": "same", **options})
    inputs = keras.Input((*shape[:2], CHANNELS), dtype=layer.compute_dtype)
    model = keras.Model(inputs, layer(inputs))
    if products:
        assert use_matrix_products(model) == 1
    return model


def maps(batch, shape):
    return np.random.default_rng(2).normal(size=(batch, *shape, CHANNELS)).astype("float32")


def answers(model, images):
    """Outputs and the gradients in the inputs and the weights."""

    @tf.function
    def run(inputs):
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            outputs = model(inputs)
            loss = tf.reduce_sum(tf.cast(outputs, tf.float32) ** 2)
        return [outputs, *tape.gradient(loss, [inputs, *(w.value for w in model.weights)])]

    return run(tf.cast(images, model.compute_dtype))


def test_model_can_be_called_without_a_graph():
    images, options = maps(2, (6, 6)), {"dtype": "mixed_bfloat16"}
    found, expected = (
        network((6, 6), products=products, **options)(images) for products in (True, False)
    )
    assert_same([found], [expected], TOLERANCES["mixed_bfloat16"])


def convolutions(model, *shape):
    """How many convolutions the model's graph has."""
    spec = tf.TensorSpec(shape, model.compute_dtype)
    graph = tf.function(model).get_concrete_function(spec).graph
    return sum(op.type == "Conv2D" for op in graph.get_operations())


def assert_same(found, expected, tolerance):
    for a, b in zip(found, expected, strict=True):
        assert a.dtype == b.dtype
        a, b = (tf.cast(x, tf.float32).numpy() for x in (a, b))
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance * np.abs(b).max(initial=0))


F32, B16, F16 = TOLERANCES
VALID = {"padding": "valid"}


# Each kind of kernel, stride and padding, each way to compute it and each precision with each
# other, not all with all: maps of one cell, of up to 2x2 outputs, of up to 8x8, of more.
@pytest.mark.parametrize(
    ("options", "shape", "dtype"),
    [
        ({"kernel_size": 1}, (1, 1), F32),
        ({"kernel_size": 1}, (5, 8), B16),
        ({"kernel_size": 1}, (9, 9), F16),
        ({"kernel_size": 1, "strides": 2}, (1, 1), B16),
        ({"kernel_size": 1, "strides": 2}, (4, 6), F32),
        ({"kernel_size": 1, "strides": 2}, (5, 8), F16),
        ({}, (1, 1), B16),
        ({}, (2, 2), F32),
        ({}, (2, 2), F16),
        ({}, (3, 3), F32),
        ({}, (4, 6), B16),
        ({}, (9, 9), F16),
        ({"kernel_size": (3, 2)}, (2, 2), B16),
        ({"kernel_size": (3, 2)}, (5, 8), F16),
        ({"strides": 2}, (3, 3), F32),
        ({"strides": 2}, (4, 6), F16),
        ({"strides": 2}, (9, 9), B16),
        ({"strides": (2, 1)}, (2, 2), F32),
        ({"strides": (2, 1)}, (5, 8), B16),
        ({"kernel_size": 5}, (1, 1), F16),
        ({"kernel_size": 5}, (2, 2), F32),
        ({"kernel_size": 5}, (3, 3), B16),
        ({"kernel_size": 2, "strides": 3}, (4, 6), B16),
        ({"kernel_size": 2, "strides": 3}, (5, 8), F16),
        (VALID, (3, 4), F16),
        (VALID, (5, 8), B16),
        (VALID | {"strides": 2, "use_bias": False}, (4, 6), F32),
        (VALID | {"strides": 2, "use_bias": False}, (9, 9), F16),
        ({"activation": "relu"}, (3, 3), B16),
    ],
)
def test_answers_and_gradients_are_keras_s(shape, options, dtype):
    images = maps(3, shape)
    model = network(shape, products=True, dtype=dtype, **options)
    # Keras in float32: in bfloat16 oneDNN leaves what it finds in memory where a place of the
    # kernel lies on the padding alone.
    reference = network(shape, products=False, **options)
    found, expected = answers(model, images), answers(reference, images)
    assert found[0].dtype == model.layers[-1].compute_dtype
    assert [a.dtype for a in found[1:]] == [a.dtype for a in expected[1:]]
    assert_same([tf.cast(a, tf.float32) for a in found], expected, TOLERANCES[dtype])


@pytest.mark.parametrize(
    ("shape", "options", "count"),
    [
        ((2, 2), {}, 0),
        ((3, 3), {}, 1),
        ((9, 9), {"kernel_size": 1}, 0),
        ((9, 9), {"kernel_size": 1, "strides": 2}, 0),
        ((4, 4), {"strides": 2}, 0),
        ((5, 5), {"strides": 2}, 1),
        ((None, None), {"kernel_size": 1}, 1),
    ],
)
def test_small_maps_and_small_kernels_are_products(shape, options, count):
    assert convolutions(network(shape, products=True, **options), 2, *shape, CHANNELS) == count


@pytest.mark.parametrize("options", [{"groups": 2}, {"dilation_rate": 2}])
def test_other_convolutions_are_left_alone(options):
    layer = keras.layers.Conv2D(4, 3, **options)
    model = keras.Sequential([keras.Input((6, 6, 4)), layer])
    assert use_matrix_products(model) == 0
    assert "convolution_op" not in vars(layer)


@pytest.mark.parametrize(("name", "count"), [("resnet18", 20), ("dlib_resnet29", 29)])
def test_every_convolution_of_a_backbone_is_found(name, count):
    assert use_matrix_products(create_backbone(name)) == count


def test_saved_model_is_plain_keras(tmp_path):
    model, images = network((2, 2), products=True), maps(3, (2, 2))
    expected = model(images)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert "convolution_op" not in vars(loaded.layers[-1])
    np.testing.assert_allclose(loaded(images), expected, rtol=1e-4, atol=1e-5)
