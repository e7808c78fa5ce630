"""Export of a trained model as a SavedModel that TensorFlow Serving and plain TensorFlow run.

Layout of an export::

    <directory>/<version>/saved_model.pb, variables/, ...   what TensorFlow reads
    <directory>/<version>/assets.extra/tfac.json            what the outputs mean (see `describe`)
    <directory>/<version>/assets.extra/attributes.txt       attribute names in the scores' order
    <directory>/<version>/assets.extra/metrics.json         an evaluation, where one was given
    <directory>/<version>/assets.extra/model_card.md, .html what it is for, and how well it does
    <directory>/<version>/assets.extra/tf_serving_warmup_requests
    <directory>/<version>/assets.extra/formats/...          for other engines, where asked for

`assets.extra` is SavedModel's own place for files that travel with a model. TensorFlow loads none
of them, TensorFlow Serving the warm-up requests.
"""

import dataclasses
import importlib.metadata
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from tfac.errors import ConfigError, DataError
from tfac.evaluation.report import write_report
from tfac.export.formats import FORMATS_FOLDER, check_formats, write_formats
from tfac.export.model_card import write_model_card
from tfac.export.warmup import WARMUP_BATCH_SIZES, WARMUP_FILE, write_warmup_requests
from tfac.files import version_folders, whole_directory
from tfac.inference.signatures import INPUT_SIZES, create_signatures, describe_explanation
from tfac.inference.trained_network import TrainedNetwork
from tfac.speed.folding import create_folded_network

EXTRA_ASSETS = "assets.extra"
METADATA_FILE = "tfac.json"
ATTRIBUTES_FILE = "attributes.txt"
METRICS_FILE = "metrics.json"

_LIBRARIES = ("tfac", "tensorflow", "keras")
_DATA = ("name", "fingerprint", "face_detector", "splits")  # what of a data set is told


@dataclasses.dataclass(frozen=True)
class ExportOptions:
    """How a model is exported.

    Attributes:
        input_size: height and width of the arrays that it takes: "free", or "trained" for the image
            size of the training alone. Encoded pictures have any.
        warmup_batch_sizes: what a server asks ``serving_default`` with when it loads the model: the
            batch sizes that it will run. Without any there are no warm-up requests.
        folded: batch norms are folded into the convolutions before them, which is faster; see
            `tfac.speed.folding`.
        formats: those of `tfac.export.formats.FORMATS` that travel with the SavedModel.

    Raises:
        ConfigError: a value out of range, or a format whose packages are not installed.
    """

    input_size: str = "free"
    warmup_batch_sizes: tuple[int, ...] = WARMUP_BATCH_SIZES
    folded: bool = True
    formats: tuple[str, ...] = ()

    def __post_init__(self):  # noqa: D105
        check_formats(self.formats)
        if self.input_size not in INPUT_SIZES:
            raise ConfigError(
                f"input_size: expected one of {', '.join(INPUT_SIZES)}. Received: {self.input_size}"
            )
        if any(size < 1 for size in self.warmup_batch_sizes):
            raise ConfigError(
                "warmup_batch_sizes: expected numbers of 1 or more. "
                f"Received: {', '.join(map(str, self.warmup_batch_sizes))}"
            )


def export_saved_model(
    trained: TrainedNetwork,
    directory: str | os.PathLike,
    options: ExportOptions = ExportOptions(),
    evaluation: Mapping[str, Any] | None = None,
) -> Path:
    """Writes `trained` as the next version under `directory`, whole or not at all.

    `tfac.inference.signatures` says what an export can be asked and what it answers.

    Args:
        trained: model, thresholds and what belongs to them.
        directory: the model's folder, for example ``saved_models/dmm_cnn``.
        options: how it is exported.
        evaluation: the contents of a ``metrics.json`` that tfac-evaluate wrote about this model.

    Returns:
        The path of the new version, ``<directory>/<largest existing version + 1>``.

    Raises:
        ConfigError: Keras runs on another backend than TensorFlow.
        DataError: `directory` is a file, the export cannot be written there, or `evaluation` is of
            another model (see `tfac.export.model_card`).
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
        path = directory / str(max(version_folders(directory), default=0) + 1)
        try:
            with whole_directory(path) as folder:
                _write(trained, folder, directory.name, options, evaluation)
            return path
        except (OSError, tf.errors.OpError) as error:
            # If the path exists, another export took this number meanwhile: take the next.
            if not path.exists():
                raise DataError(f"{path}: the export cannot be written: {error}") from error


def describe(
    trained: TrainedNetwork, evaluation: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Returns what ``tfac.json`` says about `trained`: everything needed to read its outputs.

    Args:
        trained: the model.
        evaluation: as in `export_saved_model`; what it says of the attributes one by one and of
            slices is left to ``metrics.json``.
    """
    subjective = trained.groups.subjective_attributes
    scheme = trained.landmark_scheme
    return {
        "attributes": list(trained.attributes),
        "attribute_groups": {
            "objective": [name for name in trained.attributes if name not in subjective],
            "subjective": [name for name in trained.attributes if name in subjective],
        },
        "part_groups": {part: list(names) for part, names in trained.groups.part_groups.items()},
        # Says what a score is: least squares on -1/1, or a logit.
        "attribute_loss": trained.attribute_loss.name,
        "thresholds": [float(cut) for cut in trained.thresholds],  # of scores
        "threshold_probabilities": [
            float(cut) for cut in trained.probabilities(tf.constant(trained.thresholds, tf.float32))
        ],
        "calibration": trained.calibration and trained.calibration.to_dict(),
        "label_rules": [rule.to_dict() for rule in trained.groups.label_rules],
        "consistent": trained.consistent,
        "image_size": {"height": trained.image_size[0], "width": trained.image_size[1]},
        "faces": trained.faces,
        "landmark_scheme": None if scheme is None else scheme.name,
        "landmark_features": None
        if scheme is None
        else {name: [where.start, where.stop] for name, where in scheme.slices.items()},
        "explain": describe_explanation(trained),
        "precision": trained.model.dtype_policy.name,
        "step": int(trained.step),
        "training": dict(trained.training),
        "data": trained.data and {name: trained.data.get(name) for name in _DATA},
        "metrics": evaluation and _without(evaluation, "model", "attributes", "slices"),
        "versions": {
            "trained_with": trained.versions,
            "exported_with": {name: importlib.metadata.version(name) for name in _LIBRARIES},
        },
    }


def _write(
    trained: TrainedNetwork,
    folder: Path,
    model_name: str,
    options: ExportOptions,
    evaluation: Mapping[str, Any] | None,
) -> None:
    description = describe(trained, evaluation)
    metadata = json.dumps(description, indent=2) + "\n"
    extra = folder / EXTRA_ASSETS
    extra.mkdir()
    (extra / METADATA_FILE).write_text(metadata, "utf-8")
    (extra / ATTRIBUTES_FILE).write_text("\n".join(trained.attributes) + "\n", "utf-8")
    write_model_card(extra, description, evaluation, options.formats)
    if evaluation is not None:
        write_report(_without(evaluation, "model"), extra / METRICS_FILE)

    if options.formats:
        write_formats(trained, options.formats, extra / FORMATS_FOLDER)
    if options.folded:
        trained = dataclasses.replace(trained, model=create_folded_network(trained.model))
    signatures = create_signatures(trained, metadata, options.input_size)
    if options.warmup_batch_sizes:
        write_warmup_requests(
            extra / WARMUP_FILE,
            model_name,
            signatures,
            trained.image_size,
            options.warmup_batch_sizes,
        )
    archive = keras.export.ExportArchive()
    # No `archive.track(model)`: the endpoints' variables are found without it, and with it each of
    # them is stored twice.
    for name, signature in signatures.items():
        archive.add_endpoint(name, signature.answer, [signature.input])
    archive.write_out(folder, verbose=False)


def _without(report: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in report.items() if name not in names}
