"""From encoded bytes to the picture a model sees: one path for training, evaluation and export."""

import contextlib

import tensorflow as tf

from tfac.photos.pictures import MAX_PIXELS, MAX_SIDE

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def read_picture(encoded: tf.Tensor, image_size: tuple[int, int]) -> tf.Tensor:
    """Decodes a picture and resizes it, as `decode_picture` and `resize_picture` do.

    Args:
        encoded: scalar string tensor, a JPEG or PNG file.
        image_size: height and width wanted, pixels.

    Returns:
        uint8 [height, width, 3].

    Raises:
        tf.errors.InvalidArgumentError: as `decode_picture`.
    """
    return resize_picture(decode_picture(encoded), image_size)


def decode_picture(encoded: tf.Tensor) -> tf.Tensor:
    """Decodes a JPEG or PNG of at most `tfac.photos.pictures.MAX_PIXELS`, to its own size.

    No side has more than `tfac.photos.pictures.MAX_SIDE` pixels.
    The size is checked in the picture's header, before memory is set aside. Grey pictures become
    RGB and an alpha channel is dropped. The accurate inverse DCT is used, as by Pillow;
    TensorFlow's default is a faster approximation. A JPEG is never decoded to a part of its size,
    which would be faster too: whoever has the decoded pixels alone could not get the same answer.

    Args:
        encoded: scalar string tensor.

    Returns:
        uint8 [H, W, 3].

    Raises:
        tf.errors.InvalidArgumentError: neither JPEG nor PNG (so no animation), broken, or too
            large; raised when the op runs.
    """

    def jpeg() -> tf.Tensor:
        size = tf.io.extract_jpeg_shape(encoded)[:2]
        with _bounded(tf.cast(size, tf.int64)):
            return _decode(encoded)

    def png() -> tf.Tensor:
        is_png = tf.strings.substr(encoded, 0, 8) == _PNG_SIGNATURE
        with _required(is_png, "expected a JPEG or PNG picture. Received other bytes"):
            size = _png_size(encoded)
        with _bounded(size):
            return _decode(encoded)

    picture = tf.cond(tf.io.is_jpeg(encoded), jpeg, png)
    return tf.ensure_shape(picture, [None, None, 3])


def resize_picture(picture: tf.Tensor, image_size: tuple[int, int]) -> tf.Tensor:
    """Resizes a picture to `image_size`, aspect not kept, pixels rounded.

    A smaller picture has the mean over the area that each of its pixels covers, a larger one is
    bilinear. Where it is smaller in one direction and larger in the other, it is bilinear and
    antialiased, which takes longest.

    Beside the picture, at most 21 times its bytes are in use, and what the result takes: a long,
    thin picture is shrunk before it grows.

    Args:
        picture: uint8 [H, W, 3].
        image_size: height and width wanted, pixels.

    Returns:
        uint8 [height, width, 3]; the same pixels where the size is already the one wanted.
    """
    picture.shape.assert_has_rank(3)
    size, wanted = tf.shape(picture)[:2], tf.constant(image_size, tf.int32)

    def resized(method: str, antialias: bool = False) -> tf.Tensor:
        values = tf.image.resize(picture, image_size, method=method, antialias=antialias)
        return tf.cast(values + 0.5, tf.uint8)

    def antialiased() -> tf.Tensor:
        # The op changes the height first. On its side, a flat picture is shrunk first.
        return tf.cond(
            4 * size[0] < wanted[0], on_its_side, lambda: resized("bilinear", antialias=True)
        )

    def on_its_side() -> tf.Tensor:
        turned = tf.transpose(picture, (1, 0, 2))
        values = tf.image.resize(turned, image_size[::-1], method="bilinear", antialias=True)
        return tf.cast(tf.transpose(values, (1, 0, 2)) + 0.5, tf.uint8)

    def enlarged() -> tf.Tensor:
        return tf.cond(
            tf.reduce_all(size <= wanted),
            lambda: resized("bilinear"),
            antialiased,
        )

    def changed() -> tf.Tensor:
        return tf.cond(tf.reduce_all(size >= wanted), lambda: resized("area"), enlarged)

    picture = tf.cond(tf.reduce_all(size == wanted), lambda: picture, changed)
    return tf.ensure_shape(picture, [*image_size, 3])


def _decode(encoded: tf.Tensor) -> tf.Tensor:
    # Despite its name the op decodes PNG too.
    return tf.io.decode_jpeg(encoded, channels=3, dct_method="INTEGER_ACCURATE")


def _bounded(size: tf.Tensor) -> contextlib.AbstractContextManager:
    return _required(
        (tf.reduce_min(size) > 0)
        & (tf.reduce_max(size) <= MAX_SIDE)
        & (tf.reduce_prod(size) <= MAX_PIXELS),
        f"expected a picture of 1 to {MAX_PIXELS} pixels, sides of at most {MAX_SIDE}. "
        "Received height, width:",
        size,
    )


def _required(condition: tf.Tensor, message: str, *data: tf.Tensor):
    """Makes what is done in the context depend on `condition`."""
    # `tf.debugging.Assert` makes a conditional of it, which takes longer than the rest.
    check = tf.raw_ops.Assert(condition=condition, data=[message, *data], summarize=3)
    return tf.control_dependencies([] if check is None else [check])


def _png_size(encoded: tf.Tensor) -> tf.Tensor:
    # The header chunk comes first: width and height are big-endian at bytes 16 and 20. A shorter
    # file is filled up with zeros.
    start = tf.strings.substr(encoded, 0, 24)
    header = tf.io.decode_raw(start, tf.int32, little_endian=False, fixed_length=24)
    return tf.cast(header[5:3:-1], tf.int64)
