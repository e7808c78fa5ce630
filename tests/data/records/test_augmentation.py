import numpy as np
import pytest
import tensorflow as tf

from tfac.data.records.augmentation import Augmentation, augment
from tfac.errors import ConfigError
from tfac.landmarks import CELEBA_5

SEED = tf.constant([3, 4], tf.int64)


def batch_with_dots(count=32, size=41):
    """Pictures that are black but for a white square round each of five landmarks' pixels."""
    rng = np.random.default_rng(1)
    pixels = np.stack([rng.choice(np.arange(14, 28, 3), 5, replace=False) for _ in range(count)])
    pixels = np.stack([pixels, np.arange(12, 32, 4) + 0 * pixels], axis=-1)  # x, y
    images = np.zeros((count, size, size, 3), np.uint8)
    for image, points in zip(images, pixels, strict=True):
        for x, y in points:
            image[y - 1 : y + 2, x - 1 : x + 2] = 255
    landmarks = ((pixels + 0.5) / size).astype(np.float32)
    return {
        "images": tf.constant(images),
        "landmarks": tf.constant(landmarks),
        "landmarks_valid": tf.ones(count),
        "labels": tf.constant(rng.integers(0, 2, (count, 4)), tf.float32),
    }


def same(batch, other):
    return all(np.array_equal(batch[name], other[name]) for name in batch)


def test_nothing_changes_without_augmentation():
    batch = batch_with_dots()
    assert same(batch, augment(batch, Augmentation(flip=False), CELEBA_5, SEED))


def test_same_seed_gives_same_changes_and_another_seed_others():
    batch, every = batch_with_dots(), Augmentation(True, 0.1, 0.1, 0.3)
    first = augment(batch, every, CELEBA_5, SEED)
    assert same(first, augment(batch, every, CELEBA_5, SEED))
    assert not same(first, augment(batch, every, CELEBA_5, SEED + 1))


def test_flip_mirrors_half_of_the_pictures_and_their_landmarks():
    batch = batch_with_dots(count=64)
    flipped = augment(batch, Augmentation(), CELEBA_5, SEED)
    chosen = 0
    for i in range(64):
        if np.array_equal(flipped["images"][i], batch["images"][i]):
            np.testing.assert_array_equal(flipped["landmarks"][i], batch["landmarks"][i])
            continue
        chosen += 1
        np.testing.assert_array_equal(flipped["images"][i], batch["images"][i][:, ::-1])
        left, right = batch["landmarks"][i].numpy()[[0, 1]]
        np.testing.assert_allclose(flipped["landmarks"][i][0], [1 - right[0], right[1]], rtol=1e-6)
        np.testing.assert_allclose(flipped["landmarks"][i][1], [1 - left[0], left[1]], rtol=1e-6)
    assert 20 < chosen < 44
    np.testing.assert_array_equal(flipped["labels"], batch["labels"])


@pytest.mark.parametrize(
    "augmentation",
    [
        Augmentation(flip=False, shift=0.15),
        Augmentation(flip=False, scale=0.2),
        Augmentation(flip=True, shift=0.1, scale=0.2),
    ],
)
def test_landmarks_stay_on_what_they_mark(augmentation):
    batch = batch_with_dots()
    moved = augment(batch, augmentation, CELEBA_5, SEED)
    assert not np.array_equal(moved["images"], batch["images"])
    for image, points in zip(moved["images"].numpy(), moved["landmarks"].numpy(), strict=True):
        for x, y in np.floor(points * 41).astype(int):
            assert image[y, x, 0] > 150


def test_shift_moves_by_at_most_its_share():
    batch = batch_with_dots()
    moved = augment(batch, Augmentation(flip=False, shift=0.1), CELEBA_5, SEED)
    distance = np.abs(moved["landmarks"] - batch["landmarks"])
    assert 0.05 < distance.max() <= 0.1 + 1e-6


def test_landmarks_moved_out_are_put_on_the_border():
    batch = batch_with_dots()
    batch["landmarks"] = tf.ones_like(batch["landmarks"]) * 0.99
    moved = augment(batch, Augmentation(flip=False, shift=0.3), CELEBA_5, SEED)["landmarks"].numpy()
    assert moved.max() == 1.0 and moved.min() >= 0.0


def test_unknown_landmarks_are_left_alone():
    batch = batch_with_dots()
    batch["landmarks_valid"] = tf.zeros(32)
    moved = augment(batch, Augmentation(True, 0.2, 0.2), CELEBA_5, SEED)
    np.testing.assert_array_equal(moved["landmarks"], batch["landmarks"])


def test_colour_keeps_shapes_and_changes_the_rest():
    rng = np.random.default_rng(2)
    batch = batch_with_dots(count=16)
    batch["images"] = tf.constant(rng.integers(60, 180, (16, 41, 41, 3)), tf.uint8)
    changed = augment(batch, Augmentation(flip=False, colour=0.2), CELEBA_5, SEED)
    np.testing.assert_array_equal(changed["landmarks"], batch["landmarks"])
    before, after = batch["images"].numpy(), changed["images"].numpy()
    assert after.dtype == np.uint8
    for i in range(16):
        assert not np.array_equal(before[i], after[i])
        ratio = after[i].mean() / before[i].mean()
        assert 0.79 < ratio < 1.21
        assert np.corrcoef(before[i].ravel(), after[i].ravel())[0, 1] > 0.97


def test_switching_one_change_on_leaves_the_others_draws():
    batch = batch_with_dots()
    plain = augment(batch, Augmentation(flip=True), CELEBA_5, SEED)
    coloured = augment(batch, Augmentation(flip=True, colour=0.2), CELEBA_5, SEED)
    np.testing.assert_array_equal(plain["landmarks"], coloured["landmarks"])


@pytest.mark.parametrize("values", [{"shift": -0.1}, {"scale": 0.6}, {"colour": 1.5}])
def test_values_out_of_range_are_refused(values):
    with pytest.raises(ConfigError, match=f"expected {next(iter(values))} in"):
        Augmentation(**values)
