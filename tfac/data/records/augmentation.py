"""Mirrored training pictures, drawn statelessly: the same seed mirrors the same pictures.

Random shifts, scales and colours were tried, with networks from random weights and from dlib's, and
are not here: average precision was the same or lower with them.
"""

import tensorflow as tf

from tfac.attributes import Mirroring
from tfac.landmarks import LandmarkScheme

_LABELS = ("labels", "label_mask")


def mirror_half(
    batch: dict[str, tf.Tensor], scheme: LandmarkScheme, mirroring: Mirroring, seed: tf.Tensor
) -> dict[str, tf.Tensor]:
    """Returns the batch with half of its pictures, their landmarks and labels mirrored.

    Args:
        batch: with "images" uint8 [B, H, W, 3], "landmarks" float32 [B, K, 2] in [0, 1],
            "landmarks_valid" float32 [B], "labels" and "label_mask" float32 [B, A]; other entries
            pass through. Landmarks that are not valid are left as they are.
        scheme: the landmarks' scheme, which knows what a mirror does to them.
        mirroring: what it does to the labels. None of CelebA's attributes tells left from right, so
            a mirrored face keeps them; a label that the mirror image does not tell is masked.
        seed: int64 [2]; which pictures is a function of it and of the batch's size alone.
    """
    images, landmarks = batch["images"], batch["landmarks"]
    # Seven numbers a picture, as long as there were other changes: a seed draws what it drew then.
    chosen = tf.random.stateless_uniform([tf.shape(images)[0], 7], seed)[:, 0] < 0.5  # [B]
    mirrored = tf.gather(landmarks, scheme.flip_indices, axis=1)
    mirrored = tf.stack([1 - mirrored[..., 0], mirrored[..., 1]], axis=-1)  # [B, K, 2]

    def mirror(picture_and_choice):
        picture, mirror_it = picture_and_choice
        return tf.cond(mirror_it, lambda: tf.reverse(picture, [1]), lambda: picture)

    # One at a time: to mirror all and to choose between them takes twenty times as long.
    spec = tf.TensorSpec(images.shape[1:], images.dtype)
    images = tf.map_fn(mirror, (images, chosen), fn_output_signature=spec)
    moved = (chosen & (batch["landmarks_valid"] > 0))[:, tf.newaxis, tf.newaxis]
    batch = {**batch, "images": images, "landmarks": tf.where(moved, mirrored, landmarks)}
    if mirroring.is_symmetric:
        return batch
    swapped = {name: tf.gather(batch[name], mirroring.indices, axis=1) for name in _LABELS}
    swapped["label_mask"] *= tf.constant(mirroring.kept, tf.float32)
    chosen = chosen[:, tf.newaxis]
    return batch | {name: tf.where(chosen, swapped[name], batch[name]) for name in _LABELS}
