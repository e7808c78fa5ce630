"""Export of a trained model as a SavedModel that TensorFlow Serving and plain TensorFlow run.

Layout of an export::

    <directory>/<version>/saved_model.pb, variables/, ...   what TensorFlow reads
    <directory>/<version>/assets.extra/attributes.txt       attribute names in the scores' order
    <directory>/<version>/assets.extra/tfac.json            what the outputs mean (see `describe`)

`assets.extra` is SavedModel's own place for files that travel with a model and that neither
TensorFlow nor TensorFlow Serving loads.
"""

import json
import os
from pathlib import Path

import keras
import tensorflow as tf

import tfac
from tfac.data.preprocessing import read_picture, resize_picture
from tfac.errors import ConfigError, DataError
from tfac.files import whole_directory
from tfac.training.workdir import TrainedModel

EXTRA_ASSETS = "assets.extra"
METADATA_FILE = "tfac.json"
ATTRIBUTES_FILE = "attributes.txt"


def export_saved_model(trained: TrainedModel, directory: str | os.PathLike) -> Path:
    """Writes `trained` as the next version under `directory`, whole or not at all.

    Both signatures run decoding, resizing, model, probabilities and thresholds inside the graph,
    with the functions that evaluation uses:

    - ``serving_default``: ``image_bytes`` string [B], each an encoded JPEG or PNG of any size.
    - ``images``: ``images`` uint8 [B, H, W, 3] in [0, 255], any H and W.

    Each returns ``scores`` float32 [B, A], ``probabilities`` float32 [B, A] in [0, 1],
    ``predictions`` int32 [B, A] in {0, 1} (1 where the score passes the threshold) and, where the
    model has a landmark branch, ``landmarks`` float32 [B, K, 2], x and y in [0, 1] of the picture.

    Args:
        trained: model, thresholds and what belongs to them.
        directory: the model's folder, for example ``saved_models/dmm_cnn``.

    Returns:
        The path of the new version, ``<directory>/<largest existing version + 1>``.

    Raises:
        ConfigError: Keras runs on another backend than TensorFlow.
        DataError: `directory` is a file, or the export cannot be written there.
    """
    if keras.backend.backend() != "tensorflow":
        raise ConfigError(
            "export: expected Keras to run on TensorFlow (KERAS_BACKEND=tensorflow). "
            f"Received: {keras.backend.backend()}"
        )
    directory = Path(directory)
    if directory.exists() and not directory.is_dir():
        raise DataError(f"expected a folder for the versions of a model, but {directory} is a file")
    while True:
        path = directory / str(max(versions(directory), default=0) + 1)
        try:
            with whole_directory(path) as folder:
                _write(trained, folder)
            return path
        except (OSError, tf.errors.OpError) as error:
            # If the path exists, another export took this number meanwhile: take the next.
            if not path.exists():
                raise DataError(f"{path}: the export cannot be written: {error}") from error


def versions(directory: str | os.PathLike) -> list[int]:
    """Returns the versions under `directory` in rising order; none where it does not exist."""
    directory = Path(directory)
    if not directory.is_dir():
        return []
    return sorted(int(path.name) for path in directory.iterdir() if path.name.isdecimal())


def describe(trained: TrainedModel) -> dict:
    """Returns what ``tfac.json`` says about `trained`: everything needed to read its outputs."""
    subjective = trained.groups.subjective_attributes
    loss, scheme = trained.attribute_loss, trained.landmark_scheme
    return {
        "tfac_version": tfac.__version__,
        "tensorflow_version": tf.__version__,
        "keras_version": keras.__version__,
        "attributes": list(trained.attributes),
        "attribute_groups": {
            "objective": [name for name in trained.attributes if name not in subjective],
            "subjective": [name for name in trained.attributes if name in subjective],
        },
        "part_groups": {part: list(names) for part, names in trained.groups.part_groups.items()},
        "attribute_loss": loss.name,  # says what a score is: least squares on -1/1, or a logit
        "thresholds": [float(cut) for cut in trained.thresholds],  # of scores
        "threshold_probabilities": [
            float(cut) for cut in loss.probabilities(tf.constant(trained.thresholds, tf.float32))
        ],
        "image_size": {"height": trained.image_size[0], "width": trained.image_size[1]},
        "landmark_scheme": None if scheme is None else scheme.name,
        "landmark_features": None
        if scheme is None
        else {name: [where.start, where.stop] for name, where in scheme.slices.items()},
        "step": int(trained.step),
        "training": trained.config.to_dict(),
    }


def _write(trained: TrainedModel, folder: Path) -> None:
    image_size = tuple(trained.image_size)

    def answer(images):  # [B, h, w, 3], resized
        outputs = trained.predict(images)
        scores = tf.cast(outputs["scores"], tf.float32)  # [B, A]
        answers = {
            "scores": scores,
            "probabilities": tf.cast(trained.attribute_loss.probabilities(scores), tf.float32),
            "predictions": tf.cast(scores > tf.constant(trained.thresholds, tf.float32), tf.int32),
        }
        if "landmarks" in outputs:
            answers["landmarks"] = tf.cast(outputs["landmarks"], tf.float32)  # [B, K, 2]
        return answers

    def on_each(prepare, inputs):
        """Prepares one picture at a time: they differ in size, and evaluation does so too."""
        prepared = tf.TensorSpec((*image_size, 3), tf.uint8)
        return tf.map_fn(prepare, inputs, fn_output_signature=prepared)

    def from_bytes(image_bytes):
        def prepare(encoded):
            return read_picture(encoded, image_size)

        return answer(on_each(prepare, image_bytes))

    def from_images(images):
        return answer(on_each(lambda image: resize_picture(image, image_size), images))

    archive = keras.export.ExportArchive()
    # No `archive.track(model)`: the endpoints' variables are found without it, and with it each of
    # them is stored twice.
    encoded = tf.TensorSpec([None], tf.string, name="image_bytes")
    archive.add_endpoint("serving_default", from_bytes, [encoded])
    decoded = tf.TensorSpec([None, None, None, 3], tf.uint8, name="images")
    archive.add_endpoint("images", from_images, [decoded])
    archive.write_out(folder, verbose=False)

    extra = folder / EXTRA_ASSETS
    extra.mkdir()
    (extra / METADATA_FILE).write_text(json.dumps(describe(trained), indent=2) + "\n", "utf-8")
    (extra / ATTRIBUTES_FILE).write_text("\n".join(trained.attributes) + "\n", "utf-8")
