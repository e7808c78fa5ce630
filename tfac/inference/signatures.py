"""What an export can be asked, and what it answers.

Every signature is TensorFlow Serving's ``predict``, with the batch first in every input and output,
so that REST's row format and server-side batching work. Decoding, resizing, network, probabilities
and thresholds run inside the graph, with the functions that evaluation uses.

| signature | input | asked with |
|---|---|---|
| serving_default | image_bytes, string [B] | JPEG or PNG files, each of any size |
| images | images, uint8 [B, H, W, 3] | pixels in [0, 255] |
| images_float | images, float32 [B, H, W, 3] | pixels in [0, 255], rounded to the nearest |
| examples | examples, string [B] | serialized tf.Example, the file in feature ``image`` (records) |
| explain | image_bytes, string [B] | as serving_default; not there where there is nothing to add |
| tfac_metadata | request, string [B] | anything |

| output | type | value of a picture | without a picture |
|---|---|---|---|
| valid | bool [B] | true | false |
| scores | float32 [B, A] | as the network gives them | 0 |
| probabilities | float32 [B, A] | in [0, 1] | -1 |
| predictions | int32 [B, A] | `TrainedNetwork.answers`: 1 for shown, else 0 | -1 |
| landmarks | float32 [B, K, 2] | x and y in [0, 1] of the picture; if the network has them | -1 |

A row without a picture does not touch the others of its batch. That is one whose bytes are broken,
empty, neither JPEG nor PNG, or of more than `tfac.photos.pictures.MAX_PIXELS` pixels; a tf.Example
that is broken or has no such feature; an array of no pixels; a picture with a side of more than
`tfac.photos.pictures.MAX_SIDE` pixels; and a float picture with a value that is not finite or does
not round to one of 0 to 255, or whose values are all in [0, 1] and not all whole: it was divided by
255 before.

``explain`` answers all that and, of a network with group attention, for each of its levels, such as
P3 (``explain.levels`` of ``tfac.json``; the G groups are in the order of ``explain.groups``):

| output | type | value of a picture | without a picture |
|---|---|---|---|
| masks_P3 | float32 [B, h, w, G] | 0 or more, at the trained image size, bilinear | 0 |
| affinity_P3 | float32 [B, G, G] | what row receives from column, in [0, 1]; with a graph | 0 |

``tfac_metadata`` answers ``metadata``, string [B], the text of ``tfac.json``: for clients that see
the server but not its files.
"""

import dataclasses
from collections.abc import Callable

import tensorflow as tf

from tfac.inference.trained_network import TrainedNetwork
from tfac.photos.pictures import MAX_SIDE
from tfac.photos.preprocessing import read_picture, resize_picture

INPUT_SIZES = ("free", "trained")

_WITHOUT_PICTURE = {"probabilities": -1, "predictions": -1, "landmarks": -1}
_IMAGE_FEATURE = {"image": tf.io.FixedLenFeature([], tf.string)}

Answers = dict[str, tf.Tensor]
Network = Callable[[tf.Tensor], Answers]


@dataclasses.dataclass(frozen=True)
class Signature:
    """One way to ask: a function of one tensor, and what it takes."""

    answer: Callable[[tf.Tensor], Answers]
    input: tf.TensorSpec


def create_signatures(
    trained: TrainedNetwork, metadata: str, input_size: str = "free"
) -> dict[str, Signature]:
    """Returns the signatures of an export by name; the module says what they mean.

    Args:
        trained: model, thresholds and what belongs to them.
        metadata: the text that ``tfac_metadata`` answers.
        input_size: "free" resizes arrays of any H and W inside the graph, "trained" takes the image
            size of the training alone. Encoded pictures are resized either way.
    """
    image_size = tuple(trained.image_size)
    free = input_size == "free"
    network = _create_network(trained)

    def from_arrays(images: tf.Tensor, valid: tf.Tensor) -> Answers:
        resized = _resize_each(images, image_size) if free else images
        return _answer(network, resized, valid & _is_picture(tf.shape(images)[1:3]))

    def from_images(images: tf.Tensor) -> Answers:
        return from_arrays(images, tf.fill(tf.shape(images)[:1], True))

    def from_floats(images: tf.Tensor) -> Answers:
        return from_arrays(*_round_pixels(images))

    def from_bytes(image_bytes: tf.Tensor) -> Answers:
        return _answer(network, *read_each(image_bytes, image_size))

    def from_examples(examples: tf.Tensor) -> Answers:
        return _answer(network, *read_each(examples, image_size, _picture_of_example))

    def metadata_text(request: tf.Tensor) -> Answers:
        return {"metadata": tf.fill(tf.shape(request), metadata)}

    image_bytes = tf.TensorSpec([None], tf.string, name="image_bytes")
    shape = [None, None, None, 3] if free else [None, *image_size, 3]
    signatures = {
        "serving_default": Signature(from_bytes, image_bytes),
        "images": Signature(from_images, tf.TensorSpec(shape, tf.uint8, name="images")),
        "images_float": Signature(from_floats, tf.TensorSpec(shape, tf.float32, name="images")),
        "examples": Signature(from_examples, tf.TensorSpec([None], tf.string, name="examples")),
        "tfac_metadata": Signature(metadata_text, tf.TensorSpec([None], tf.string, name="request")),
    }
    explanation = describe_explanation(trained)
    if explanation is not None:
        with_masks = bool(explanation["levels"])
        explaining = _create_network(trained, explain=True) if with_masks else network

        def explain(image_bytes: tf.Tensor) -> Answers:
            return _answer(explaining, *read_each(image_bytes, image_size))

        signatures["explain"] = Signature(explain, image_bytes)
    return signatures


def describe_explanation(trained: TrainedNetwork) -> dict | None:
    """Returns what ``tfac.json`` says about the signature ``explain``; None where it has none.

    That is ``levels``, the names of the levels with masks, ``groups``, the names of the masks in
    their order, and ``affinity``, whether each level has affinities too.
    """
    levels = getattr(trained.model, "levels", ())
    if not levels and trained.landmark_scheme is None:
        return None
    return {
        "levels": list(levels),
        "groups": list(trained.model.group_names) if levels else [],
        "affinity": bool(levels and getattr(trained.model, "graph", False)),
    }


def _create_network(trained: TrainedNetwork, **arguments) -> Network:
    """Returns one graph function of resized pictures, which several signatures share."""

    def network(images: tf.Tensor) -> Answers:  # [B, h, w, 3]
        outputs = trained.predict(images, **arguments)
        scores = tf.cast(outputs["scores"], tf.float32)  # [B, A]
        answers = {
            "scores": scores,
            "probabilities": tf.cast(trained.probabilities(scores), tf.float32),
            "predictions": tf.cast(trained.answers(scores), tf.int32),
        }
        if "landmarks" in outputs:
            answers["landmarks"] = tf.cast(outputs["landmarks"], tf.float32)  # [B, K, 2]
        for name, value in outputs.items():
            level, _, kind = name.partition("_")
            if kind == "attention_mask":
                masks = tf.image.resize(value, trained.image_size)  # [B, h, w, G]
                answers[f"masks_{level}"] = masks
            elif kind == "affinity":
                answers[f"affinity_{level}"] = value  # [B, G, G]
        return answers

    pictures = tf.TensorSpec([None, *trained.image_size, 3], tf.uint8)
    return tf.function(network, input_signature=[pictures], autograph=False)


def _answer(network: Network, images: tf.Tensor, valid: tf.Tensor) -> Answers:
    """Returns the network's answers for the rows that are `valid`, bool [B], and no answer else."""

    def where_valid(name: str, values: tf.Tensor) -> tf.Tensor:
        rows = tf.reshape(valid, [-1] + [1] * (values.shape.rank - 1))
        return tf.where(rows, values, tf.cast(_WITHOUT_PICTURE.get(name, 0), values.dtype))

    answers = {name: where_valid(name, values) for name, values in network(images).items()}
    return answers | {"valid": valid}


def _picture_of_example(example: tf.Tensor) -> tf.Tensor:
    return tf.io.parse_single_example(example, _IMAGE_FEATURE)["image"]


def read_each(
    inputs: tf.Tensor,
    image_size: tuple[int, int],
    find: Callable[[tf.Tensor], tf.Tensor] = tf.identity,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Decodes and resizes the pictures one by one.

    Returns:
        (pictures uint8 [B, height, width, 3], black where there is none; whether there is one,
        bool [B])
    """

    def read(one: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return read_picture(find(one), image_size), tf.constant(True)

    def read_or_blank(one: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        # The one way to catch an op's error inside a graph: a data set that leaves the element out.
        picture = tf.data.Dataset.from_tensors(one).map(read).ignore_errors(log_warning=False)
        blank = tf.data.Dataset.from_tensors((tf.zeros((*image_size, 3), tf.uint8), False))
        return picture.concatenate(blank).take(1).get_single_element()

    types = tf.TensorSpec((*image_size, 3), tf.uint8), tf.TensorSpec([], tf.bool)
    return tf.map_fn(read_or_blank, inputs, fn_output_signature=types)


def _resize_each(images: tf.Tensor, image_size: tuple[int, int]) -> tf.Tensor:
    """Resizes uint8 [B, H, W, 3] to the trained size as evaluation does, one by one."""
    pictures = tf.TensorSpec((*image_size, 3), tf.uint8)

    def resize(image: tf.Tensor) -> tf.Tensor:
        return tf.cond(
            _is_picture(tf.shape(image)[:2]),
            lambda: resize_picture(image, image_size),
            lambda: tf.zeros((*image_size, 3), tf.uint8),
        )

    resized = tf.cond(
        tf.reduce_all(tf.shape(images)[1:3] == image_size),
        lambda: images,
        lambda: tf.map_fn(resize, images, fn_output_signature=pictures),
    )
    return tf.ensure_shape(resized, [None, *image_size, 3])


def _round_pixels(images: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns float32 [B, H, W, 3] as uint8, and which of them are pictures, bool [B]."""
    # NaN is in no range.
    in_range = tf.reduce_all((images >= -0.5) & (images < 255.5), axis=[1, 2, 3], keepdims=True)
    is_share = (images >= 0) & (images <= 1)
    divided = tf.reduce_all(is_share, axis=[1, 2, 3]) & tf.reduce_any(
        images != tf.round(images), axis=[1, 2, 3]
    )
    pixels = tf.cast(tf.where(in_range, images + 0.5, 0), tf.uint8)
    return pixels, in_range[:, 0, 0, 0] & ~divided


def _is_picture(size: tf.Tensor) -> tf.Tensor:
    return (tf.reduce_min(size) > 0) & (tf.reduce_max(size) <= MAX_SIDE)
