import dataclasses

import keras
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from tfac.data.records.info import read_info
from tfac.data.records.pipeline import evaluation_dataset
from tfac.losses import get_attribute_loss
from tfac.models import create_backbone
from tfac.models.dlib_weights import load_dlib_weights
from tfac.training.config import TrainConfig
from tfac.training.linear_probe import fit_head, logistic_regression
from tfac.training.run import run_training
from tfac.training.workdir import load_trained_network


class MeanColour(keras.Model):
    """A network whose features are a picture's mean colour and its left half's."""

    def __init__(self, num_attributes):
        super().__init__()
        self.head = keras.layers.Dense(num_attributes)
        self.head.build((None, 6))
        self.built = True

    def features(self, images, training=False):
        images = keras.ops.cast(images, "float32") / 255
        left = images[:, :, : images.shape[2] // 2]
        return keras.ops.concatenate(
            [keras.ops.mean(v, axis=(1, 2)) for v in (images, left)], axis=-1
        )

    def call(self, images, training=False):
        return {"scores": self.head(self.features(images))}


def test_is_the_regression_of_scikit_learn_on_standardised_features():
    rng = np.random.default_rng(0)
    features = rng.normal(3, 2, (2, 50, 4)).astype(np.float16)
    labels = (rng.uniform(size=(50, 2)) < 0.4).astype(np.float32)
    weights = rng.uniform(0, 2, (50, 2)).astype(np.float32) * (rng.uniform(size=(50, 2)) < 0.8)
    kernel, bias = logistic_regression(features, labels, weights, l2=0.1)

    rows = features.reshape(100, 4).astype(np.float64)
    mean, deviation = rows.mean(axis=0), rows.std(axis=0) + 1e-3
    for attribute in range(2):
        reference = LogisticRegression(C=1 / (0.1 * 100), tol=1e-8, max_iter=1000).fit(
            (rows - mean) / deviation,
            np.tile(labels[:, attribute], 2),
            sample_weight=np.tile(weights[:, attribute], 2),
        )
        expected = reference.decision_function((rows - mean) / deviation)
        np.testing.assert_allclose(
            rows @ kernel[:, attribute] + bias[attribute], expected, atol=5e-3
        )


def test_an_attribute_without_annotations_gets_no_scores():
    rng = np.random.default_rng(0)
    features = rng.normal(size=(1, 20, 3)).astype(np.float16)
    labels = (rng.uniform(size=(20, 2)) < 0.5).astype(np.float32)
    weights = np.ones((20, 2), np.float32) * (0, 1)
    kernel, bias = logistic_regression(features, labels, weights, l2=0.1)
    assert np.all(kernel[:, 0] == 0) and bias[0] == 0 and np.all(kernel[:, 1] != 0)


@pytest.mark.parametrize("weights", [None, np.ones((40, 2), np.float32) * (1, 3)])
def test_head_learns_the_labels_of_records(tiny_records, weights):
    info = read_info(tiny_records)
    config = dataclasses.replace(
        TrainConfig(model="baseline", freeze=True, backbone_weights="some"), image_size=(16, 16)
    )
    model = MeanColour(len(info.attributes))
    loss = get_attribute_loss("binary_crossentropy", weights)
    fit_head(model, config, info, loss, show_progress=False)
    batch = next(iter(evaluation_dataset(info, "train", image_size=(16, 16), batch_size=24)))
    scores, labels = np.array(model(batch["images"])["scores"]), batch["labels"].numpy()
    # Shown where the picture is bright enough: a bright picture has higher scores.
    middle = np.argsort(labels.mean(axis=0))[len(info.attributes) // 2]
    assert (
        scores[labels[:, middle] == 1, middle].mean()
        > scores[labels[:, middle] == 0, middle].mean()
    )
    if weights is not None:
        plain = MeanColour(len(info.attributes))
        fit_head(plain, config, info, get_attribute_loss("binary_crossentropy"), False)
        assert np.mean(scores > np.array(plain(batch["images"])["scores"])) > 0.9


@pytest.mark.slow
def test_frozen_run_has_the_backbone_it_started_from_and_a_head_that_knows(
    tiny_frozen, tiny_records
):
    trained = load_trained_network(tiny_frozen)
    assert trained.step == 0
    images = np.random.default_rng(0).normal(size=(2, 64, 64, 3)).astype(np.float32)
    start = create_backbone("dlib_resnet29")
    load_dlib_weights(start)
    expected = start(images, training=False)
    np.testing.assert_allclose(trained.model.backbone(images), expected, rtol=1e-3, atol=1e-3)
    batch = next(
        iter(
            evaluation_dataset(read_info(tiny_records), "train", image_size=(64, 64), batch_size=24)
        )
    )
    shown = np.array(trained.predict(batch["images"])["scores"]) > trained.thresholds
    assert np.mean(shown == (batch["labels"].numpy() > 0.5)) > 0.8
    config = TrainConfig.from_dict(trained.training)
    again = run_training(config, tiny_records, tiny_frozen, show_progress=False)
    assert int(again.step.numpy()) == 0  # what is finished is not fitted again


def test_with_test_time_flip_the_head_is_fitted_to_the_mean_of_both_versions(tiny_records):
    info = read_info(tiny_records)
    config = TrainConfig(model="baseline", freeze=True, backbone_weights="some")
    config = dataclasses.replace(config, image_size=(16, 16), test_time_flip=True)
    model = MeanColour(len(info.attributes))
    loss = get_attribute_loss("binary_crossentropy")
    fit_head(model, config, info, loss, show_progress=False)
    dataset = evaluation_dataset(info, "train", image_size=(16, 16), batch_size=24)
    batch = next(iter(dataset))
    images = batch["images"]
    mean = (model.features(images) + model.features(images[:, :, ::-1])) / 2
    kernel, bias = logistic_regression(
        np.array(mean, np.float16)[np.newaxis],
        batch["labels"].numpy(),
        batch["label_mask"].numpy(),
        30 / np.sqrt(24),
    )
    np.testing.assert_allclose(model.head.kernel, kernel, atol=1e-3)
    np.testing.assert_allclose(model.head.bias, bias, atol=1e-3)
