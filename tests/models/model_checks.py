"""The checks every network has to pass, and a backbone small enough for them."""

import atexit
import functools
import json
import os
import tempfile
from unittest import mock

import keras
import keras_hub
import numpy as np
import tensorflow as tf

from tfac.attributes import ATTRIBUTES
from tfac.models import dlib_resnet

# Eleven is the length of no other axis of a network, so the axes of attributes can be told.
NAMES = ATTRIBUTES[:11]


def random_images(*shape):
    return np.random.default_rng(0).integers(0, 256, (*shape, 3)).astype(np.uint8)


def create_tiny_backbone(strides=(4, 2, 2, 2), size=(None, None)):
    """A backbone with random statistics; channels 4, 8, 12, ... after each stride."""
    maps = images = keras.Input((*size, 3))
    for number, stride in enumerate(strides, start=1):
        maps = keras.layers.Conv2D(4 * number, 3, strides=stride, padding="same")(maps)
        maps = keras.layers.BatchNormalization(moving_mean_initializer="random_normal")(maps)
        maps = keras.layers.ReLU()(maps)
    return keras.Model(images, maps, name="tiny")


@functools.cache
def tiny_backbone_file():
    """The path of a backbone that is made and traced in no time; a run starts at its weights."""
    folder = tempfile.TemporaryDirectory()
    atexit.register(folder.cleanup)
    path = os.path.join(folder.name, "tiny.keras")
    create_tiny_backbone(strides=(4, 2, 2, 1)).save(path)
    return path


def create_tiny_resnet():
    """A ResNet of one block a stage, which has the name of another one."""
    return keras_hub.models.ResNetBackbone(
        input_conv_filters=[64],
        input_conv_kernel_sizes=[7],
        stackwise_num_filters=[64, 4, 8, 16],
        stackwise_num_blocks=[1, 1, 1, 1],
        stackwise_num_strides=[1, 2, 2, 2],
        block_type="basic_block",
        image_shape=(None, None, 3),
        name="resnet18",
    )


def create_shallow_dlib_resnet(dtype=None):
    """dlib's network with one block a stage."""
    stages = tuple((filters, 1) for filters, _ in dlib_resnet.STAGES)
    with mock.patch.object(dlib_resnet, "STAGES", stages):
        return dlib_resnet.create_dlib_resnet29(dtype)


def learn_statistics(model, images):
    """Takes the statistics of batch norms half way to those of these images."""
    for layer in model._flatten_layers():
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.5
    model(images, training=True)


def run_model_test(
    model_class, arguments, tmp_path, heads=(NAMES,), explain=False, smallest=(1, 1)
):
    """Config, variables, sizes, gradients, order of attributes, files and mixed precision.

    `heads` are the attributes that one head answers, `explain` says that the network can, and
    `smallest` is the smallest picture that it takes.
    """
    keras.utils.set_random_seed(0)
    options = {"explain": True} if explain else {}

    def create(**others):
        model = model_class(**{"attributes": NAMES, **arguments, **others})
        model.build((None, None, None, 3))
        return model

    model = create()
    config = json.dumps(model.get_config())
    assert json.dumps(model_class.from_config(json.loads(config)).get_config()) == config
    _check_variables(model)
    _check_sizes(model, smallest, options)
    _check_gradients(model)
    _check_order(model, create, heads, options)
    for each in (model, create(dtype="mixed_float16"), create(dtype="mixed_bfloat16")):
        _check_file(each, tmp_path / "model.keras", options)


def _check_variables(model):
    """Every variable of a part is the model's, and listed once."""
    for listed in (model.variables, model.weights, model.trainable_variables):
        assert len({id(variable) for variable in listed}) == len(listed)
    values = [value for name, value in vars(model).items() if not name.startswith("_")]
    parts = [part for part in keras.tree.flatten(values) if isinstance(part, keras.layers.Layer)]
    expected = {id(variable) for part in parts for variable in part.variables}
    assert {id(variable) for variable in model.variables} == expected != set()


def _check_sizes(model, smallest, options):
    """One trace serves pictures of every size, of bytes or of floats, asked to explain or not."""
    traces = []

    @tf.function(input_signature=[tf.TensorSpec((None, None, None, 3), tf.uint8)])
    def traced(images):
        traces.append(1)
        return model(images, **options)

    for size in [(1, 64, 64), (3, 45, 71), (2, 33, 32), (1, *smallest)]:
        images = random_images(*size)
        outputs, explained = model(images), model(images.astype(np.float32), **options)
        shapes = {name: tuple(value.shape) for name, value in outputs.items()}
        assert shapes == model.compute_output_shape(images.shape)
        for name, value in outputs.items():
            np.testing.assert_array_equal(value, explained[name])
        again = traced(images)
        assert set(again) == set(explained)
        for name, value in explained.items():
            assert np.all(np.isfinite(value))
            np.testing.assert_allclose(again[name], value, rtol=1e-3, atol=1e-3, err_msg=name)
    assert len(traces) == 1


def _check_gradients(model):
    with tf.GradientTape() as tape:
        outputs = model(random_images(8, 64, 64), training=True)
        loss = sum(tf.reduce_sum(tf.square(value - 1.0)) for value in outputs.values())
    gradients = tape.gradient(loss, [variable.value for variable in model.trainable_variables])
    for variable, gradient in zip(model.trainable_variables, gradients, strict=True):
        assert gradient is not None and np.any(np.array(gradient) != 0), variable.path


def _check_order(model, create, heads, options):
    """Attributes in another order, each with its weights, have the same scores."""
    order = np.random.default_rng(1).permutation(len(model.attributes))
    names = [model.attributes[i] for i in order]
    places = {}
    for head in heads:
        before = [name for name in model.attributes if name in head]
        places[len(head)] = [before.index(name) for name in names if name in head]
    assert len(places) == len(heads)
    weights = model.get_weights()
    for number, weight in enumerate(weights):
        for axis, length in enumerate(weight.shape):
            if length in places:
                weights[number] = np.take(weights[number], places[length], axis)
    permuted = create(attributes=names)
    permuted.set_weights(weights)
    images = random_images(2, 40, 48)
    expected = model(images, **options)
    for name, value in permuted(images, **options).items():
        of_attributes = name.endswith("scores")
        ordered = np.array(expected[name])[:, order] if of_attributes else expected[name]
        np.testing.assert_allclose(value, ordered, rtol=1e-4, atol=1e-4, err_msg=name)


def _check_file(model, path, options):
    """A saved model gives the same answers, in float32 whatever the precision."""
    model.save(path)
    restored = keras.models.load_model(path)
    assert json.dumps(restored.get_config()) == json.dumps(model.get_config())
    assert len(restored.trainable_variables) == len(model.trainable_variables)
    images = random_images(2, 40, 48)
    again = restored(images, **options)
    for name, value in model(images, **options).items():
        assert value.dtype == "float32" and np.all(np.isfinite(value))
        np.testing.assert_array_equal(again[name], value)
