import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfac.models import create_backbone
from tfac.speed.fused_normalization import fuse_batch_norms

CHANNELS = 6
# Keras's answer and the kernel's, both rounded to the type of the maps.
TOLERANCES = {"float32": 1e-5, "mixed_bfloat16": 2e-2, "mixed_float16": 2e-3}


def network(*, fused, shape=(None, None, CHANNELS), **options):
    """A model of one batch normalisation with weights that are all different."""
    layer = keras.layers.BatchNormalization(**{"momentum": 0.8, **options})
    inputs = keras.Input(shape, dtype=layer.compute_dtype)
    model = keras.Model(inputs, layer(inputs))
    rng = np.random.default_rng(1)
    model.set_weights([rng.uniform(0.5, 2, weight.shape) for weight in model.weights])
    if fused:
        assert fuse_batch_norms(model) == 1
    return model


def maps(*shape):
    return np.random.default_rng(2).normal(3, 2, shape).astype("float32")


def answers(model, inputs, training, jit_compile=False):
    """Outputs, gradients in the inputs and the weights, and the weights after one call."""
    factors = np.random.default_rng(3).uniform(size=inputs.shape).astype("float32")

    @tf.function(jit_compile=jit_compile)
    def run(inputs):
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            outputs = model(inputs, training=training)
            loss = tf.reduce_sum(tf.cast(outputs, tf.float32) ** 2 * factors)
        variables = [v.value for v in model.trainable_variables]
        return [outputs, *tape.gradient(loss, [inputs, *variables])]

    found = run(tf.cast(inputs, model.compute_dtype))
    return [*found, *(tf.convert_to_tensor(weight.value) for weight in model.weights)]


def assert_same(found, expected, tolerance):
    for a, b in zip(found, expected, strict=True):
        assert a.dtype == b.dtype
        a, b = (tf.cast(x, tf.float32).numpy() for x in (a, b))
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance * np.abs(b).max(initial=0))


def kernels(model, inputs, training=True):
    """How many fused kernels the model's graph has."""
    call = tf.function(lambda inputs: model(inputs, training=training))
    graph = call.get_concrete_function(tf.cast(inputs, model.compute_dtype)).graph
    return sum(op.type.startswith("FusedBatchNorm") for op in graph.get_operations())


# Each pair of a precision, a mode and a compiler.
@pytest.mark.parametrize(
    ("dtype", "training", "trainable", "jit_compile"),
    [
        ("float32", True, True, False),
        ("float32", True, False, True),
        ("float32", False, True, True),
        ("float32", False, False, False),
        ("mixed_bfloat16", True, True, True),
        ("mixed_bfloat16", True, False, False),
        ("mixed_bfloat16", False, True, False),
        ("mixed_bfloat16", False, False, True),
        ("mixed_float16", True, True, False),
        ("mixed_float16", True, True, True),
        ("mixed_float16", True, False, False),
        ("mixed_float16", False, True, False),
    ],
)
def test_layer_does_what_keras_does(dtype, training, trainable, jit_compile):
    found, expected = (
        answers(
            network(fused=fused, dtype=dtype, trainable=trainable),
            maps(4, 5, 7, CHANNELS),
            training,
            jit_compile,
        )
        for fused in (True, False)
    )
    assert_same(found, expected, TOLERANCES[dtype])


@pytest.mark.parametrize(
    ("shape", "training"),
    [((0, 5, 7), False), ((1, 1, 1), False), ((1, 1, 1), True), ((1, 3, 1), True)],
)
def test_empty_and_single_values(shape, training):
    inputs = maps(*shape, CHANNELS)
    found, expected = (answers(network(fused=f), inputs, training) for f in (True, False))
    # The gradient in a single input is 0 but for rounding.
    np.testing.assert_allclose(found.pop(1), expected.pop(1), rtol=1e-5, atol=1e-4)
    assert_same(found, expected, 1e-5)


@pytest.mark.parametrize(
    ("shape", "options"),
    [
        ((CHANNELS,), {}),
        ((5, CHANNELS), {}),
        ((CHANNELS, 5, 7), {"axis": 1}),
        ((5, 7, CHANNELS), {"scale": False}),
        ((5, 7, CHANNELS), {"center": False}),
        ((5, 7, CHANNELS), {"renorm": True}),
        ((5, 7, CHANNELS), {"synchronized": True}),
        ((5, 7, CHANNELS), {"dtype": "float64"}),
    ],
)
def test_what_the_kernel_cannot_do_is_left_to_keras(shape, options):
    inputs = maps(4, *shape)
    fused, plain = (network(fused=fused, shape=shape, **options) for fused in (True, False))
    assert kernels(fused, inputs) == 0
    assert_same(answers(fused, inputs, True), answers(plain, inputs, True), 0)


def test_maps_of_another_type_than_the_layers_are_left_to_keras():
    """A rounded answer would have to be cast to the layer's type."""
    layers = []
    for fused in (True, False):
        model = network(fused=fused, autocast=False)
        layers.append(model.layers[-1])
    images = tf.cast(maps(4, 5, 7, CHANNELS), tf.bfloat16)
    found, expected = (layer(images, training=True) for layer in layers)
    assert found.dtype == expected.dtype == tf.float32
    np.testing.assert_array_equal(found, expected)


def test_last_axis_may_be_counted_from_the_front():
    assert kernels(network(fused=True, axis=3), maps(4, 5, 7, CHANNELS)) == 1
    assert kernels(network(fused=False, axis=3), maps(4, 5, 7, CHANNELS)) == 0


def test_masked_values_count_for_nothing():
    mask = np.random.default_rng(3).integers(0, 2, (4, 5, 7)).astype(bool)
    models = [network(fused=fused) for fused in (True, False)]
    found, expected = (
        m.layers[-1](maps(4, 5, 7, CHANNELS), training=True, mask=mask) for m in models
    )
    np.testing.assert_array_equal(found, expected)
    for a, b in zip(*(model.get_weights() for model in models), strict=True):
        np.testing.assert_array_equal(a, b)


@keras.saving.register_keras_serializable(package="tfac_tests")
class Nested(keras.layers.Layer):
    """Batch normalisations in a list and in a model, one of them used twice."""

    def __init__(self, **options):
        super().__init__(**options)
        self.shared = keras.layers.BatchNormalization()
        self.blocks = [self.shared, keras.Sequential([keras.layers.BatchNormalization()])]

    def build(self, input_shape):
        for block in self.blocks:
            block.build(input_shape)

    def call(self, inputs, training=False):
        for block in [*self.blocks, self.shared]:
            inputs = block(inputs, training=training)
        return inputs


class OwnNormalization(keras.layers.BatchNormalization):
    pass


@pytest.mark.parametrize(("name", "count"), [("resnet18", 20), ("vgg16", 0), ("dlib_resnet29", 29)])
def test_every_batch_norm_of_a_backbone_is_found(name, count):
    backbone = create_backbone(name)
    assert fuse_batch_norms(backbone) == count
    assert kernels(backbone, np.zeros((2, 32, 32, 3))) == count


def test_batch_norms_at_any_depth_are_counted_once():
    model = keras.Sequential([keras.Input((5, 7, CHANNELS)), Nested(), OwnNormalization()])
    assert fuse_batch_norms(model) == 2
    assert fuse_batch_norms(model) == 2
    assert kernels(model, maps(4, 5, 7, CHANNELS)) == 3  # the shared one twice


def test_saved_model_is_plain_keras(tmp_path):
    model = keras.Sequential([keras.Input((5, 7, CHANNELS)), Nested()])
    config, images = model.get_config(), maps(4, 5, 7, CHANNELS)
    fuse_batch_norms(model)
    assert model.get_config() == config
    model(images, training=True)
    expected = model(images)

    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(loaded(images), expected, atol=1e-5)
    assert kernels(loaded, images) == 0

    clone = keras.models.clone_model(model)
    clone.set_weights(model.get_weights())
    np.testing.assert_allclose(clone(images), expected, atol=1e-5)

    model.export(tmp_path / "exported", verbose=False)
    exported = tf.saved_model.load(str(tmp_path / "exported"))
    np.testing.assert_allclose(exported.serve(images), expected, atol=1e-5)


def test_resnet_trains_alike():
    keras.utils.set_random_seed(1)
    images, targets = maps(4, 32, 32, 3), maps(4, 512)
    losses, statistics = [], []
    weights = None
    for fused in (True, False):
        # A stride of 8 leaves each variance 64 values: over few, rounding grows from step to step.
        backbone = create_backbone("resnet18", output_stride=8)
        weights = weights or backbone.get_weights()
        backbone.set_weights(weights)
        if fused:
            fuse_batch_norms(backbone)
        model = keras.Sequential([backbone, keras.layers.GlobalAveragePooling2D()])
        model.compile(keras.optimizers.SGD(0.02), "mse", run_eagerly=True)
        losses.append([model.train_on_batch(images, targets) for _ in range(3)])
        statistics.append([v.numpy() for v in backbone.non_trainable_variables])
    assert losses[0][2] < 0.99 * losses[0][0]
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-4)
    for a, b in zip(*statistics, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-3 * np.abs(b).max())


MIRRORED = """
import sys
import keras, numpy as np, tensorflow as tf
from tfac.speed.fused_normalization import fuse_batch_norms

cpu = tf.config.list_physical_devices("CPU")[0]
two = [tf.config.LogicalDeviceConfiguration()] * 2
tf.config.set_logical_device_configuration(cpu, two)
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
images = np.random.default_rng(0).normal(2, 3, (8, 5, 7, 3)).astype("float32")
dataset = tf.data.Dataset.from_tensor_slices(images).batch(8)
batches = strategy.experimental_distribute_dataset(dataset)

found = []
for fused in (True, False):
    keras.utils.set_random_seed(0)
    with strategy.scope():
        layers = [keras.layers.Conv2D(4, 3), keras.layers.BatchNormalization()]
        model = keras.Sequential([keras.Input((5, 7, 3)), *layers])
        optimizer = keras.optimizers.SGD(0.1)
        optimizer.build(model.trainable_variables)
        assert not fused or fuse_batch_norms(model) == 1

    def step(images):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.abs(model(images, training=True) - 1))
        optimizer.apply(tape.gradient(loss, [v.value for v in model.trainable_variables]))

    run = tf.function(lambda images: strategy.run(step, args=(images,)))
    for _ in range(3):
        for batch in batches:
            run(batch)
    found.append([keras.ops.convert_to_numpy(weight) for weight in model.weights])
for a, b in zip(*found, strict=True):
    np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
print("same")
"""


@pytest.mark.slow
def test_two_devices_train_alike():
    result = subprocess.run([sys.executable, "-c", MIRRORED], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr[-3000:]
    assert "same" in result.stdout
