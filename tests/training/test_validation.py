import numpy as np
import pytest
import tensorflow as tf

from tfac.losses import get_attribute_loss
from tfac.training.validation import validate


def batches(sizes, rng):
    for size in sizes:
        yield {
            "images": rng.integers(0, 255, (size, 4, 4, 3)).astype(np.uint8),
            "labels": (rng.uniform(size=(size, 3)) < 0.5).astype(np.float32),
            "label_mask": (rng.uniform(size=(size, 3)) < 0.7).astype(np.float32),
            "landmarks": rng.uniform(size=(size, 2, 2)).astype(np.float32),
            "landmarks_valid": (rng.uniform(size=size) < 0.5).astype(np.float32),
        }


def predict(images):
    mean = tf.reduce_mean(tf.cast(images, tf.float32) / 255, axis=(1, 2))
    return {"scores": 2 * mean - 1, "landmarks": tf.stack([mean[:, :2], mean[:, 1:]], axis=1)}


def run(parts):
    parts = [{name: tf.constant(value) for name, value in part.items()} for part in parts]
    return validate(predict, parts, get_attribute_loss("squared_error"))


def test_losses_are_means_over_annotated_pictures_whatever_the_batches():
    parts = list(batches((4, 4, 3), np.random.default_rng(2)))
    result = run(parts)
    whole = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    outputs = {name: value.numpy() for name, value in predict(whole["images"]).items()}
    for j in range(3):
        losses = [
            (outputs["scores"][i, j] - (1 if whole["labels"][i, j] else -1)) ** 2
            for i in range(11)
            if whole["label_mask"][i, j]
        ]
        assert result.attribute_losses[j] == pytest.approx(np.mean(losses), rel=1e-5)
    landmark_losses = [
        ((outputs["landmarks"][i] - whole["landmarks"][i]) ** 2).sum()
        for i in range(11)
        if whole["landmarks_valid"][i]
    ]
    assert result.landmark_loss == pytest.approx(np.mean(landmark_losses), rel=1e-5)
    assert result.scores.shape == (11, 3)
    np.testing.assert_array_equal(result.samples.images, whole["images"][:4])


def test_nothing_annotated_gives_no_landmark_loss_and_zero_attribute_losses():
    part = next(batches((4,), np.random.default_rng(2)))
    part["label_mask"][:], part["landmarks_valid"][:] = 0, 0
    result = run([part])
    assert result.landmark_loss is None and not result.has_landmarks
    np.testing.assert_array_equal(result.attribute_losses, np.zeros(3))
