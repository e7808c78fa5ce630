import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.models.model_checks import create_tiny_resnet
from tfac.models import create_model
from tfac.speed.fused_normalization import fuse_batch_norms
from tfac.speed.inference_folding import folding_batch_norms, folds
from tfac.speed.matrix_convolution import use_matrix_products


@pytest.fixture
def images():
    return np.random.default_rng(1).integers(0, 256, (3, 48, 48, 3), np.uint8)


def fast_model(name="mgg_net", **options):
    """A network as training has it, with statistics of maps that it has seen."""
    keras.utils.set_random_seed(3)
    model = create_model(name, **options)
    fuse_batch_norms(model)
    use_matrix_products(model)
    rng = np.random.default_rng(2)
    call = tf.function(lambda images: model(images, training=True))
    for _ in range(10):
        call(tf.constant(rng.integers(0, 256, (8, 48, 48, 3), np.uint8)))
    return model


def inference(model, folded):
    @tf.function
    def infer(images):
        if not folded:
            return model(images, training=False)
        with folding_batch_norms():
            return model(images, training=False)

    return infer


def norms(function, images):
    graph = function.get_concrete_function(images).graph
    kept = {tensor.op for tensor in tf.nest.flatten(graph.structured_outputs)}
    waiting = list(kept)
    while waiting:  # what the outputs need: the rest is pruned
        for tensor in waiting.pop().inputs:
            if tensor.op not in kept:
                kept.add(tensor.op)
                waiting.append(tensor.op)
    return sum(op.type == "FusedBatchNormV3" for op in kept)


@pytest.mark.parametrize(
    ("name", "backbone", "unfolded"),
    [
        ("mgg_net", "resnet18", 7),  # two of masks; five products, on maps of 2x2
        pytest.param("dmm_cnn", "resnet50", 9, marks=pytest.mark.slow),
    ],
)
def test_answers_are_the_same_up_to_rounding(name, backbone, unfolded, images):
    model = fast_model(name, backbone=backbone)
    plain, folded = inference(model, False), inference(model, True)
    assert norms(plain, images) > norms(folded, images) == unfolded
    expected = plain(images)
    for key, values in folded(images).items():
        scale = max(1.0, float(np.abs(expected[key]).max()))
        np.testing.assert_allclose(values / scale, expected[key] / scale, atol=1e-4, err_msg=key)


def test_the_graph_follows_the_weights(images):
    """Traced once, it answers with what training has made of the network since."""
    model = fast_model("baseline", backbone=create_tiny_resnet())
    folded = inference(model, True)
    before = folded(images)["scores"]
    for weight in model.weights:
        weight.assign(1.1 * weight + 0.01)
    after = folded(images)["scores"]
    assert np.abs(after - before).max() > 1e-2
    expected = inference(model, False)(images)["scores"]
    np.testing.assert_allclose(after, expected, rtol=1e-4, atol=1e-4)


def test_bfloat16_is_as_near_to_float32_as_without_folding(images):
    model = fast_model("baseline", backbone=create_tiny_resnet(), dtype="mixed_bfloat16")
    exact = create_model("baseline", backbone=create_tiny_resnet())
    exact.set_weights(model.get_weights())
    exact = exact(images, training=False)["scores"]
    before, after = (
        np.abs(inference(model, folded)(images)["scores"] - exact).max() for folded in (False, True)
    )
    assert after < 1.5 * before


def test_training_and_eager_calls_are_left_alone(images):
    model = fast_model("baseline", backbone=create_tiny_resnet())
    expected = model(images, training=False)["scores"]
    with folding_batch_norms():
        assert folds()
        np.testing.assert_array_equal(model(images, training=False)["scores"], expected)
        training = tf.function(lambda images: model(images, training=True))
        assert norms(training, images) == 12
    assert not folds()
