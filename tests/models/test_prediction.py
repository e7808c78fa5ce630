import numpy as np
import pytest

from tests.models.model_checks import create_tiny_backbone, random_images
from tfac.attributes import Mirroring
from tfac.models import create_model, predict


@pytest.fixture(scope="module")
def model():
    return create_model("dmm_cnn", backbone=create_tiny_backbone())


@pytest.fixture
def images():
    return random_images(2, 40, 48)


def test_without_the_flip_it_is_the_model_s_answer(model, images):
    outputs = predict(model, images)
    for name, value in model(images, training=False).items():
        np.testing.assert_array_equal(outputs[name], value)


def test_scores_are_means_over_a_picture_and_its_mirror_image(model, images):
    outputs = predict(model, images, test_time_flip=True)
    for i in range(2):
        own = model(images[i : i + 1])
        mirrored = model(np.array([[row[::-1] for row in images[i]]]))
        expected = (np.array(own["scores"][0]) + np.array(mirrored["scores"][0])) / 2
        np.testing.assert_allclose(outputs["scores"][i], expected, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(outputs["landmarks"][i], own["landmarks"][0], atol=1e-5)


def test_scores_that_tell_left_from_right_are_mirrored_too(model, images):
    own, mirrored = (np.array(model(each)["scores"]) for each in (images, images[:, :, ::-1]))
    indices, kept = list(range(40)), [True] * 40
    indices[3], indices[7], kept[5] = 7, 3, False
    scores = predict(model, images, Mirroring(tuple(indices), tuple(kept)))["scores"]
    expected = (own + mirrored) / 2
    expected[:, 3], expected[:, 7] = (
        (own[:, 3] + mirrored[:, 7]) / 2,
        (own[:, 7] + mirrored[:, 3]) / 2,
    )
    expected[:, 5] = own[:, 5]
    np.testing.assert_allclose(scores, expected, rtol=1e-4, atol=1e-5)


def test_the_model_s_own_arguments_reach_it(images):
    model = create_model("mgg_net", backbone=create_tiny_backbone(), levels=("P4",))
    explained = predict(model, images, test_time_flip=True, explain=True)
    expected = model(images, explain=True)["P4_attention_mask"]
    np.testing.assert_array_equal(explained["P4_attention_mask"], expected)
    assert "P4_attention_mask" not in predict(model, images)
