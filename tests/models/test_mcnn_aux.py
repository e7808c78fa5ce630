import numpy as np
import pytest
import tensorflow as tf

from tests.layers.test_spatial_pyramid_pooling import pool_by_loops
from tests.models.model_checks import random_images, run_model_test
from tfac.attributes import MCNN_AUX_GROUPS
from tfac.errors import ConfigError
from tfac.models import MCNNAUX, create_model

REST = ("around_head", "facial_hair", "cheeks", "fat")


@pytest.fixture(scope="module")
def model():
    model = create_model("mcnn_aux")
    rng = np.random.default_rng(1)
    model.aux.set_weights([rng.normal(size=shape) for shape in ((40, 40), (40,))])
    return model


def scores_by_loops(model, images):
    """Each attribute on its own: its group's pooled map, matrix products, then the layer AUX."""
    shared = model.conv2(model.conv1(model.normalization(images)))
    pooled = {
        name: pool_by_loops(np.array(layer(shared)), (3,)) for name, layer in model.conv3.items()
    }
    kernel, bias = model.head.get_weights()
    mcnn_scores = np.zeros((len(images), len(model.attributes)))
    for column, attribute in enumerate(model.attributes):
        group = next(name for name, members in MCNN_AUX_GROUPS.items() if attribute in members)
        features = pooled["rest" if group in REST else group]
        weights = model.fully_connected[group].get_weights()
        for i in (0, 2):
            features = np.maximum(features @ weights[i] + weights[i + 1], 0.0)
        mcnn_scores[:, column] = features @ kernel[column] + bias[column]
    aux_kernel, aux_bias = model.aux.get_weights()
    scores = np.zeros_like(mcnn_scores)
    for to in range(scores.shape[1]):
        scores[:, to] = aux_bias[to]
        for source in range(scores.shape[1]):
            scores[:, to] += mcnn_scores[:, source] * aux_kernel[source, to]
    return mcnn_scores, scores


def test_network_contract(tmp_path):
    attributes = ("Male", *MCNN_AUX_GROUPS["around_head"][:8], *MCNN_AUX_GROUPS["fat"])
    run_model_test(MCNNAUX, {"attributes": attributes}, tmp_path, heads=(attributes,))


def test_scores_equal_plain_loops_over_the_attributes(model):
    images = random_images(2, 33, 47)
    outputs = model(images)
    mcnn_scores, scores = scores_by_loops(model, images)
    np.testing.assert_allclose(outputs["mcnn_scores"], mcnn_scores, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(outputs["scores"], scores, rtol=1e-3, atol=1e-3)


def test_number_of_weights(model):
    # Convolutions and their normalisation (4 numbers a channel), two fully connected layers for
    # each of nine groups, the classifiers and AUX: summed from the layers' printed widths.
    convolutions = 7 * 7 * 3 * 75 + 5 * 5 * 75 * 200 + 6 * 3 * 3 * 200 * 300
    normalizations = 4 * (75 + 200 + 6 * 300)
    dense = 9 * ((9 * 300 + 1) * 512 + (512 + 1) * 512)
    expected = convolutions + normalizations + dense + 40 * (512 + 1) + 40 * (40 + 1)
    assert model.count_params() == expected == 18_466_597
    assert list(model.conv3) == ["gender", "nose", "mouth", "eyes", "face", "rest"]
    assert list(model.fully_connected) == list(MCNN_AUX_GROUPS)


def test_aux_starts_as_the_identity():
    outputs = MCNNAUX(attributes=("Male", "Smiling"))(random_images(2, 32, 32))
    np.testing.assert_allclose(outputs["scores"], outputs["mcnn_scores"], rtol=1e-6)


def test_the_loss_of_the_answer_trains_aux_alone(model):
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(tf.square(model(random_images(2, 32, 32))["scores"] - 1.0))
    gradients = tape.gradient(loss, [variable.value for variable in model.trainable_variables])
    reached = {
        variable.path
        for variable, gradient in zip(model.trainable_variables, gradients, strict=True)
        if gradient is not None
    }
    assert reached == {variable.path for variable in model.aux.trainable_variables}


def test_groups_without_an_answered_attribute_have_no_layers():
    model = MCNNAUX(attributes=("Chubby", "Male", "Bald"))
    assert list(model.fully_connected) == ["gender", "around_head", "fat"]
    assert list(model.conv3) == ["gender", "rest"]


def test_backbone_weights_are_refused():
    with pytest.raises(ConfigError, match="mcnn_aux has no backbone"):
        create_model("mcnn_aux", attributes=("Male",), backbone_weights="imagenet")
