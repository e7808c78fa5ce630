"""BulkInferrer: a model's predictions for a folder of photos, on Beam, as Parquet."""

import functools
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.components.beam import create_workers
from pipelines.components.evaluator import find_export
from pipelines.components.features import BEAM_RUNNER
from pipelines.components.source_files import files_fingerprint
from pipelines.engine.artifacts import InferenceResult, Input, Model, ModelBlessing, Output
from pipelines.engine.component import Parameters, component
from tfac.errors import ConfigError, DataError
from tfac.files import whole_file, write_json
from tfac.inference.photo_prediction import face_row, predict_crops, row_schema
from tfac.inference.predictor import Predictor
from tfac.photos.face_crops import FaceCrop, faces_of, takes_whole
from tfac.photos.face_detection import detector_for
from tfac.photos.photo_files import photos_below
from tfac.photos.pictures import open_photo

SUMMARY_FILE = "summary.json"
_SUMMARY_KEY = b"tfac"  # of a Parquet file's metadata

Part = tuple[list[str], Path]  # photos, and the file of their faces


def photos_fingerprint(parameters: Parameters) -> str:
    """Returns a text that changes when a photo is added, removed or replaced."""
    folder = Path(parameters["photos"])
    return files_fingerprint(folder, photos_below(folder)[0])


@component(
    external=photos_fingerprint,
    neutral=("batch_size", "beam_runner", "beam_options"),
    resumable=True,
)
def bulk_inferrer(
    model: Input[Model],
    inference_result: Output[InferenceResult],
    model_blessing: Input[ModelBlessing] | None = None,
    *,
    photos: str,
    aligned: bool | None = None,
    upsample: int = 1,
    search_size: int | None = None,
    detector: str | None = None,
    align_by: str | None = None,
    photos_per_file: int = 256,
    batch_size: int = 32,
    beam_runner: str = BEAM_RUNNER,
    beam_options: list[str] | None = None,
) -> None:
    """Finds the faces of photos and predicts their attributes; goes on where it was stopped.

    Args:
        model: with its saved_model/.
        inference_result: predictions-*.parquet, a row for each face: ``photo`` (its path below the
            folder), ``left``, ``top``, ``right`` and ``bottom`` in pixels of the photo, and for
            each attribute ``NAME`` (is it predicted) and ``NAME_probability``. summary.json counts
            ``photos``, ``faces`` and ``without_face``, and says why which are ``unreadable``; its
            properties are the four numbers.
        model_blessing: where it is given, the model has to be blessed.
        photos: a folder; folders below it count too.
        aligned: the photos are face crops like the training data, a face each; by default as the
            model was trained.
        upsample: how often a photo is doubled in size for the search.
        search_size: longer side that larger photos are shrunk to for the search, pixels; by default
            the detector's.
        detector: what finds the faces, as tfac-predict takes it.
        align_by: what turns them upright, as tfac-predict takes it.
        photos_per_file: photos whose faces share a file.
        batch_size: faces to predict at once.
        beam_runner: Beam's runner; all of its workers see the same files.
        beam_options: the runner's options, such as "--direct_num_workers=2".

    Raises:
        ConfigError: a parameter cannot be used, or there are no photos.
        DataError: the model cannot be loaded or is not blessed.
    """
    if model_blessing is not None and not model_blessing.properties.get("blessed"):
        raise DataError(
            f"{model.path}: expected a model that is blessed. Received: one that is not"
        )
    if photos_per_file < 1:
        raise ConfigError(f"photos_per_file: expected 1 or more. Received: {photos_per_file}")
    folder = Path(photos).resolve()
    names = [path.relative_to(folder).as_posix() for path in photos_below(folder)[0]]
    if not names:
        raise ConfigError(f"photos: expected pictures in the folder {photos}. Received: none")
    parts = _parts(names, photos_per_file, inference_result.path.resolve())
    workers = create_workers(beam_runner, beam_options)
    export = find_export(model).resolve()
    choice = (upsample, detector, align_by)
    look = functools.partial(_look, folder, choice=choice, search_size=search_size)
    arguments = (export, batch_size, aligned, look)
    for _ in workers.for_each(_infer, parts, *arguments, is_done=lambda part: part[1].exists()):
        pass
    summary = _add_up([file for _, file in parts])
    write_json(inference_result.path / SUMMARY_FILE, summary)
    inference_result.properties |= {**summary, "unreadable": len(summary["unreadable"])}


def _parts(names: list[str], size: int, folder: Path) -> list[Part]:
    starts = range(0, len(names), size)
    return [
        (names[start : start + size], folder / f"predictions-{i:05d}-of-{len(starts):05d}.parquet")
        for i, start in enumerate(starts)
    ]


def _look(
    folder: Path,
    name: str,
    metadata: Mapping[str, Any],
    *,
    whole: bool,
    choice: tuple[int, str | None, str | None],
    search_size: int | None,
) -> list[FaceCrop]:
    """Returns the faces of a photo.

    Raises:
        DataError: it cannot be read.
    """
    if whole:
        return faces_of(open_photo(folder / name), None)
    detector = detector_for(metadata, *choice)
    photo = open_photo(folder / name, search_size=search_size or detector.search_size)
    return faces_of(photo, detector, search_size)


@functools.lru_cache(maxsize=1)
def _predictor(export: Path, batch_size: int) -> Predictor:
    return Predictor(export, batch_size)


def _infer(part: Part, export: Path, batch_size: int, aligned: bool | None, look) -> None:
    """Writes the file of some photos unless it is there; a worker may be given one twice."""
    names, file = part
    if file.exists():
        return
    predictor = _predictor(export, batch_size)
    whole = takes_whole(predictor.metadata, aligned)
    unreadable: dict[str, str] = {}

    def crops() -> Iterator[tuple[str, list[FaceCrop]]]:
        for name in names:
            try:
                yield name, look(name, predictor.metadata, whole=whole)
            except DataError as error:
                unreadable[name] = str(error)

    rows, without_face = [], 0
    for name, faces in predict_crops(crops(), predictor):
        rows += [face_row(name, face) for face in faces]
        without_face += not faces
    summary = {
        "photos": len(names),
        "faces": len(rows),
        "without_face": without_face,
        "unreadable": unreadable,
    }
    schema = row_schema(predictor.attributes).with_metadata({_SUMMARY_KEY: json.dumps(summary)})
    with whole_file(file) as aside:
        pq.write_table(pa.Table.from_pylist(rows, schema), aside)


def _add_up(files: list[Path]) -> dict[str, Any]:
    summaries: list[Mapping[str, Any]] = [
        json.loads(pq.read_schema(file).metadata[_SUMMARY_KEY]) for file in files
    ]
    summed = {name: sum(s[name] for s in summaries) for name in ("photos", "faces", "without_face")}
    unreadable = {name: why for s in summaries for name, why in s["unreadable"].items()}
    return {**summed, "unreadable": unreadable}
