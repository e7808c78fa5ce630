"""Random changes of training pictures, drawn statelessly: the same seed gives the same changes."""

import dataclasses

import numpy as np
import tensorflow as tf

from tfac.errors import ConfigError
from tfac.landmarks import LandmarkScheme

_LUMA = (0.299, 0.587, 0.114)


@dataclasses.dataclass(frozen=True)
class Augmentation:
    """How training pictures are changed at random; labels are never touched.

    No attribute of CelebA tells left from right, so a mirrored face keeps its labels.

    Attributes:
        flip: mirror half of the pictures.
        shift: the largest shift, as a share of the picture's height and width, in [0, 0.5].
        scale: pictures are enlarged or reduced by a factor in [1 - scale, 1 + scale] about their
            centre; in [0, 0.5].
        colour: brightness, contrast and saturation are each multiplied by a factor in
            [1 - colour, 1 + colour]; in [0, 1].

    Raises:
        ConfigError: a value is outside its range.
    """

    flip: bool = True
    shift: float = 0.0
    scale: float = 0.0
    colour: float = 0.0

    def __post_init__(self):  # noqa: D105
        for name, limit in (("shift", 0.5), ("scale", 0.5), ("colour", 1.0)):
            value = getattr(self, name)
            if not 0 <= value <= limit:
                raise ConfigError(
                    f"augmentation: expected {name} in [0, {limit}]. Received: {value}"
                )


def augment(
    batch: dict[str, tf.Tensor], augmentation: Augmentation, scheme: LandmarkScheme, seed: tf.Tensor
) -> dict[str, tf.Tensor]:
    """Returns the batch with its pictures and landmarks changed.

    Args:
        batch: with "images" uint8 [B, H, W, 3], "landmarks" float32 [B, K, 2] in [0, 1] and
            "landmarks_valid" float32 [B]; other entries pass through.
        augmentation: what may change.
        scheme: the landmarks' scheme, which knows what a mirror does to them.
        seed: int64 [2]; the changes are a function of it and of the batch's size alone.

    Landmarks that a shift or scale moves out of the picture are put on its border; landmarks that
    are not valid are left as they are.
    """
    images, landmarks = batch["images"], batch["landmarks"]
    # A fixed set of draws: switching one change on or off leaves the others as they were.
    draws = tf.random.stateless_uniform([tf.shape(images)[0], 7], seed)  # [B, 7]
    if augmentation.flip:
        images, landmarks = _flip(images, landmarks, scheme, draws[:, 0] < 0.5)
    if augmentation.shift or augmentation.scale:
        zoom = 1 + augmentation.scale * _signed(draws[:, 1])
        offset = augmentation.shift * _signed(draws[:, 2:4])
        images, landmarks = _move(images, landmarks, zoom, offset)
    if augmentation.colour:
        images = _recolour(images, 1 + augmentation.colour * _signed(draws[:, 4:7]))
    valid = batch["landmarks_valid"][:, tf.newaxis, tf.newaxis] > 0
    landmarks = tf.where(valid, landmarks, batch["landmarks"])
    return {**batch, "images": images, "landmarks": landmarks}


def _signed(draws: tf.Tensor) -> tf.Tensor:
    return 2 * draws - 1


def _flip(images, landmarks, scheme: LandmarkScheme, chosen: tf.Tensor):
    mirrored = tf.gather(landmarks, scheme.flip_indices, axis=1)
    mirrored = tf.stack([1 - mirrored[..., 0], mirrored[..., 1]], axis=-1)  # [B, K, 2]

    def mirror(picture_and_choice):
        picture, mirror_it = picture_and_choice
        return tf.cond(mirror_it, lambda: tf.reverse(picture, [1]), lambda: picture)

    # One at a time: to mirror all and to choose between them takes twenty times as long.
    spec = tf.TensorSpec(images.shape[1:], images.dtype)
    images = tf.map_fn(mirror, (images, chosen), fn_output_signature=spec)
    return images, tf.where(chosen[:, tf.newaxis, tf.newaxis], mirrored, landmarks)


def _move(images, landmarks, zoom: tf.Tensor, offset: tf.Tensor):
    """Moves point p of [0, 1] to (p - 0.5) zoom + 0.5 + offset; what comes in repeats the edge."""
    landmarks = (landmarks - 0.5) * zoom[:, tf.newaxis, tf.newaxis] + 0.5 + offset[:, tf.newaxis]
    size = tf.cast(tf.shape(images)[1:3], tf.float32)
    # The op asks where each output pixel comes from, counting pixel centres from 0.
    step = 1 / zoom
    width_height = size[::-1]
    centre = (width_height - 1) / 2
    start = centre - (centre + offset * width_height) * step[:, tf.newaxis]  # [B, 2], x and y
    zero = tf.zeros_like(step)
    rows = [step, zero, start[:, 0], zero, step, start[:, 1], zero, zero]
    images = tf.raw_ops.ImageProjectiveTransformV3(
        images=tf.cast(images, tf.float32),
        transforms=tf.stack(rows, axis=1),
        output_shape=tf.shape(images)[1:3],
        fill_value=0.0,
        interpolation="BILINEAR",
        fill_mode="NEAREST",
    )
    return _to_pixels(images), tf.clip_by_value(landmarks, 0.0, 1.0)


def _recolour(images: tf.Tensor, factors: tf.Tensor) -> tf.Tensor:
    brightness, contrast, saturation = tf.unstack(
        factors[:, tf.newaxis, tf.newaxis, tf.newaxis], axis=-1
    )  # each [B, 1, 1, 1]
    values = tf.cast(images, tf.float32) * brightness
    grey = tf.reduce_sum(values * np.array(_LUMA, np.float32), axis=-1, keepdims=True)
    values = grey + (values - grey) * saturation
    mean = tf.reduce_mean(grey, axis=[1, 2], keepdims=True)
    return _to_pixels(mean + (values - mean) * contrast)


def _to_pixels(values: tf.Tensor) -> tf.Tensor:
    return tf.saturate_cast(tf.round(values), tf.uint8)
