import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.models.model_checks import learn_statistics
from tfac.models import create_model
from tfac.speed.folding import copy_network, create_folded_network, fold_batch_norms


def with_random_statistics(model):
    """Gives the batch norms of a model weights and statistics as training leaves them."""
    rng = np.random.default_rng(7)
    for weight in model.variables:
        kind = weight.path.rsplit("/", 1)[-1]
        if kind in ("gamma", "moving_variance"):
            weight.assign(rng.uniform(0.5, 2.0, weight.shape))
        elif kind in ("beta", "moving_mean"):
            weight.assign(rng.normal(0, 0.3, weight.shape))
    return model


@pytest.fixture
def images():
    return np.random.default_rng(1).integers(0, 256, (3, 48, 40, 3), np.uint8)


@pytest.fixture
def branching():
    """Six batch norms, of which two can be folded."""
    layers = keras.layers
    inputs = keras.Input((None, None, 3))
    scaled = layers.Rescaling(1 / 255)(inputs)
    folded = layers.BatchNormalization()(layers.Conv2D(4, 3, use_bias=False)(scaled))
    folded = layers.BatchNormalization()(layers.Conv2D(4, 3, use_bias=False, strides=2)(folded))
    shared = layers.Conv2D(4, 1, use_bias=False)(folded)  # two read it
    two = layers.Add()([layers.BatchNormalization()(shared), layers.BatchNormalization()(shared)])
    rectified = layers.Conv2D(4, 1, use_bias=False, activation="relu")(two)
    with_bias = layers.Conv2D(4, 1)(layers.BatchNormalization()(rectified))
    last = layers.GlobalAveragePooling2D()(layers.BatchNormalization()(with_bias))
    return with_random_statistics(keras.Model(inputs, {"scores": layers.Dense(5)(last)}))


def test_only_norms_that_alone_read_a_plain_convolution_are_folded(branching, images):
    copy = copy_network(branching)
    assert fold_batch_norms(copy) == 2
    expected = branching(images, training=False)["scores"]
    np.testing.assert_allclose(copy(images, training=False)["scores"], expected, atol=1e-5)


def test_network_itself_is_left_as_it_is(branching, images):
    weights = [weight.copy() for weight in branching.get_weights()]
    expected = branching(images, training=False)["scores"]
    create_folded_network(branching)
    for before, after in zip(weights, branching.get_weights(), strict=True):
        np.testing.assert_array_equal(before, after)
    np.testing.assert_array_equal(branching(images, training=False)["scores"], expected)


def test_folded_norm_is_an_addition_in_the_graph(branching):
    folded = create_folded_network(branching)
    function = tf.function(lambda images: folded(images, training=False)["scores"])
    operations = function.get_concrete_function(
        tf.TensorSpec([1, 48, 40, 3])
    ).graph.get_operations()
    assert sum(op.type == "Rsqrt" for op in operations) == 4


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "backbone", "count"),
    [
        ("mgg_net", "resnet18", 22),
        ("lga_net", "resnet18", 22),
        ("dmm_cnn", "resnet50", 53),
        ("ps_mcnn", None, None),
        ("dmm_cnn", "vgg16", 0),
        ("two_crop_net", "dlib_resnet29", 58),
    ],
)
def test_float32_answers_stay_within_rounding(name, backbone, count, images):
    """Scores of the order of 1 move by less than 1e-4, explanations too."""
    keras.utils.set_random_seed(3)
    model = create_model(name, **({"backbone": backbone} if backbone else {}))
    learn_statistics(model, images)
    arguments = {"explain": True} if hasattr(model, "levels") else {}
    expected = model(images, training=False, **arguments)
    copy = copy_network(model)
    folded = fold_batch_norms(copy)
    assert folded == count or count is None and folded > 0
    answers = copy(images, training=False, **arguments)
    assert set(answers) == set(expected)
    for key, values in expected.items():
        scale = max(1.0, float(np.abs(values).max()))
        np.testing.assert_allclose(answers[key] / scale, values / scale, atol=1e-4, err_msg=key)


@pytest.mark.slow
def test_bfloat16_answers_are_as_near_to_float32_as_without_folding(images):
    keras.utils.set_random_seed(3)
    model = create_model("mgg_net", backbone="resnet18", dtype="mixed_bfloat16")
    learn_statistics(model, images)
    exact = copy_network(model, "float32")(images, training=False)["scores"]
    before = np.abs(model(images, training=False)["scores"] - exact).max()
    after = np.abs(create_folded_network(model)(images, training=False)["scores"] - exact).max()
    assert after < 2 * before
