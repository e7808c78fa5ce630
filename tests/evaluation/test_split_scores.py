import dataclasses

import numpy as np
import pytest

from tfac.attributes import default_groups
from tfac.data.records.info import read_info
from tfac.data.records.pipeline import evaluation_dataset
from tfac.errors import ConfigError, DataError
from tfac.evaluation.split_scores import score_split
from tfac.inference.trained_network import TrainedNetwork
from tfac.landmarks import CELEBA_5, DLIB_72
from tfac.losses import get_attribute_loss

ATTRIBUTES = ("Young", "Male", "Smiling")


def brightness(images, training=False):
    """Scores that tell the pictures apart, and landmarks in their middle."""
    mean = np.mean(images, axis=(1, 2, 3))
    return {
        "scores": np.stack([mean, 2 * mean, -mean], axis=1),
        "landmarks": np.full((len(mean), 72, 2), 0.5, np.float32),
    }


@pytest.fixture
def model():
    return TrainedNetwork(
        model=brightness,
        attribute_loss=get_attribute_loss("binary_crossentropy"),
        thresholds=np.zeros(3),
        attributes=ATTRIBUTES,
        groups=default_groups(ATTRIBUTES),
        landmark_scheme=DLIB_72,
        image_size=(16, 16),
        source="here",
    )


@pytest.fixture(scope="module")
def info(tiny_records):
    return read_info(tiny_records)


def score(model, info, batch_size=5):
    dataset = evaluation_dataset(info, "train", image_size=(16, 16), batch_size=batch_size)
    return score_split(model, dataset, info)


def test_every_picture_is_scored_once_whatever_the_batch_size(model, info):
    small, whole = score(model, info), score(model, info, batch_size=24)
    assert small.scores.shape == (24, 3) and len(np.unique(small.scores[:, 0])) == 24
    for field in dataclasses.fields(small):
        np.testing.assert_array_equal(getattr(small, field.name), getattr(whole, field.name))


def test_labels_are_put_in_the_models_order(model, info):
    (batch,) = evaluation_dataset(info, "train", image_size=(16, 16), batch_size=24)
    scores = score(model, info)
    for column, name in enumerate(ATTRIBUTES):
        there = info.attributes.index(name)
        np.testing.assert_array_equal(scores.labels[:, column], batch["labels"][:, there])
        np.testing.assert_array_equal(scores.label_mask[:, column], batch["label_mask"][:, there])


def test_picture_without_landmarks_has_no_landmark_error(model, info):
    assert np.isnan(score(model, info).landmark_errors).sum() == 1


@pytest.mark.parametrize("scheme", [None, CELEBA_5])
def test_landmarks_of_another_scheme_are_not_compared(model, info, scheme):
    model = dataclasses.replace(model, landmark_scheme=scheme)
    assert score(model, info).landmark_errors is None


def test_scores_that_are_not_finite_are_named(model, info):
    def broken(images, training=False):
        outputs = brightness(images)
        outputs["scores"][:, 1] = np.nan
        return outputs

    with pytest.raises(DataError, match="here: .* 24 of 24 pictures, attributes Male"):
        score(dataclasses.replace(model, model=broken), info)


def test_attribute_that_the_data_lacks_is_named(model, info):
    model = dataclasses.replace(model, attributes=("Young", "Male", "Happy"))
    with pytest.raises(ConfigError, match=f"{info.path} lacks .* Received: Happy"):
        score(model, info)
