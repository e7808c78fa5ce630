import numpy as np
import tensorflow as tf

from tfac.attributes import Mirroring
from tfac.data.records.augmentation import mirror_half
from tfac.landmarks import CELEBA_5

SEED = tf.constant([3, 4], tf.int64)
SYMMETRIC = Mirroring((0, 1, 2, 3), (True,) * 4)


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
        "label_mask": tf.constant(rng.integers(0, 2, (count, 4)), tf.float32),
    }


def same(batch, other):
    return all(np.array_equal(batch[name], other[name]) for name in batch)


def test_same_seed_mirrors_the_same_pictures_and_another_seed_others():
    batch = batch_with_dots()
    first = mirror_half(batch, CELEBA_5, SYMMETRIC, SEED)
    assert same(first, mirror_half(batch, CELEBA_5, SYMMETRIC, SEED))
    assert not same(first, mirror_half(batch, CELEBA_5, SYMMETRIC, SEED + 1))


def test_flip_mirrors_half_of_the_pictures_and_their_landmarks():
    batch = batch_with_dots(count=64)
    flipped = mirror_half(batch, CELEBA_5, SYMMETRIC, SEED)
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


def test_unknown_landmarks_are_left_alone():
    batch = batch_with_dots()
    batch["landmarks_valid"] = tf.zeros(32)
    mirrored = mirror_half(batch, CELEBA_5, SYMMETRIC, SEED)
    np.testing.assert_array_equal(mirrored["landmarks"], batch["landmarks"])


def test_labels_that_tell_left_from_right_are_mirrored_too():
    batch = batch_with_dots(count=64)
    mirrored = mirror_half(
        batch, CELEBA_5, Mirroring((0, 3, 2, 1), (True, True, False, True)), SEED
    )
    for i in range(64):
        labels, mask = batch["labels"][i].numpy(), batch["label_mask"][i].numpy()
        if not np.array_equal(mirrored["images"][i], batch["images"][i]):
            labels, mask = labels[[0, 3, 2, 1]], mask[[0, 3, 2, 1]] * [1, 1, 0, 1]
        np.testing.assert_array_equal(mirrored["labels"][i], labels)
        np.testing.assert_array_equal(mirrored["label_mask"][i], mask)
