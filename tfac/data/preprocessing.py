"""From encoded bytes to the picture a model sees: one path for training, evaluation and export."""

import tensorflow as tf

from tfac.data.pictures import MAX_PIXELS

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def decode_picture(encoded: tf.Tensor) -> tf.Tensor:
    """Decodes a JPEG or PNG of at most `tfac.data.pictures.MAX_PIXELS`.

    The size is checked in the picture's header, before memory is set aside. Grey pictures become
    RGB and an alpha channel is dropped. The accurate inverse DCT is used, as by Pillow;
    TensorFlow's default is a faster approximation.

    Args:
        encoded: scalar string tensor.

    Returns:
        uint8 [H, W, 3].

    Raises:
        tf.errors.InvalidArgumentError: neither JPEG nor PNG (so no animation), broken, or too
            large; raised when the op runs.
    """
    is_jpeg = tf.io.is_jpeg(encoded)
    is_png = tf.strings.substr(encoded, 0, 8) == _PNG_SIGNATURE
    refuse_format = tf.debugging.Assert(
        is_jpeg | is_png, ["expected a JPEG or PNG picture. Received other bytes"]
    )
    with tf.control_dependencies([refuse_format] if refuse_format is not None else []):
        size = tf.cond(is_jpeg, lambda: _jpeg_size(encoded), lambda: _png_size(encoded))
    pixels = tf.reduce_prod(size)
    refuse_size = tf.debugging.Assert(
        (tf.reduce_min(size) > 0) & (pixels <= MAX_PIXELS),
        [f"expected a picture of 1 to {MAX_PIXELS} pixels. Received height, width:", size],
    )
    with tf.control_dependencies([refuse_size] if refuse_size is not None else []):
        # Despite its name the op decodes PNG too.
        return tf.io.decode_jpeg(encoded, channels=3, dct_method="INTEGER_ACCURATE")


def resize_picture(picture: tf.Tensor, image_size: tuple[int, int]) -> tf.Tensor:
    """Resizes a picture to `image_size`: bilinear, antialiased, rounded, aspect not kept.

    Args:
        picture: uint8 [H, W, 3].
        image_size: height and width wanted, pixels.

    Returns:
        uint8 [height, width, 3]; the same pixels where the size is already the one wanted.
    """
    picture.shape.assert_has_rank(3)

    def resized() -> tf.Tensor:
        values = tf.image.resize(picture, image_size, method="bilinear", antialias=True)
        return tf.saturate_cast(tf.round(values), tf.uint8)

    same_size = tf.reduce_all(tf.shape(picture)[:2] == tf.constant(image_size, tf.int32))
    return tf.ensure_shape(tf.cond(same_size, lambda: picture, resized), [*image_size, 3])


def _jpeg_size(encoded: tf.Tensor) -> tf.Tensor:
    return tf.cast(tf.io.extract_jpeg_shape(encoded)[:2], tf.int64)


def _png_size(encoded: tf.Tensor) -> tf.Tensor:
    # The header chunk comes first: width and height are big-endian at bytes 16 and 20. A shorter
    # file is filled up with zeros.
    start = tf.strings.substr(encoded, 0, 24)
    header = tf.io.decode_raw(start, tf.int32, little_endian=False, fixed_length=24)
    return tf.cast(header[5:3:-1], tf.int64)
