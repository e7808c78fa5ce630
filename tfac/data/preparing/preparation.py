"""A source as records: its pictures are checked, annotated and written.

While a data set is being prepared its finished parts lie in `<data_dir>/.<name>-preparing/`; the
data set itself appears under `<data_dir>/<name>/<version>/` whole or not at all.
"""

import dataclasses
import functools
import hashlib
import io
import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from tfac.data.preparing.landmark_annotation import (
    CHUNK_SIZE,
    DETECTED,
    NO_FACE,
    AnnotationJob,
    Chunk,
    annotate,
)
from tfac.data.preparing.workers import Processes, Workers
from tfac.data.preparing.writing import (
    DataSet,
    Shard,
    shard_bounds,
    shuffled,
    write_data_set,
)
from tfac.data.records.features import LANDMARK_SOURCES
from tfac.data.records.info import read_info
from tfac.data.sources.celeba import ALIGNMENT as CELEBA_ALIGNMENT
from tfac.data.sources.problems import Problems
from tfac.data.sources.source import SPLITS, Source, SourceSplit
from tfac.errors import ConfigError, DataError
from tfac.files import only_writer, read_json
from tfac.landmarks import CELEBA_5, DLIB_68, DLIB_72, LandmarkScheme
from tfac.photos.face_crops import ALIGNED, FACES, WHOLE
from tfac.photos.face_detection import DEFAULT_ALIGN_BY, DEFAULT_DETECTOR, FaceDetector

# What was left out, a line each, beside the records.
SKIPPED_NAME = "skipped.txt"

# How landmarks are had -> the scheme of the records ("none" keeps the default's shape).
LANDMARK_CHOICES: dict[str, LandmarkScheme] = {
    "dlib_72": DLIB_72,
    "dlib_68": DLIB_68,
    "celeba_5": CELEBA_5,
    "none": DLIB_72,
}

# What is made of the pictures: the largest face of a photo, cropped as CelebA's are (`ALIGNED` is
# then what the records hold), or the picture as it is, which is cropped so already or otherwise.
LARGEST = "largest"
FACE_CHOICES = (LARGEST, *FACES)
BOXED = "boxed"  # the faces that the source draws boxes round, each cropped so


@dataclasses.dataclass(frozen=True, eq=False)
class Prepared:
    """A prepared data set.

    Attributes:
        path: the folder of its version, which holds the records.
        splits: split to number of pictures.
        metadata: what its metadata.json holds.
        already_there: True where an earlier run had finished it.
    """

    path: Path
    splits: dict[str, int]
    metadata: dict
    already_there: bool


@dataclasses.dataclass(frozen=True, eq=False)
class Part:
    """Pictures of a split that lie in one chunk of the annotation, n of them.

    Attributes:
        names: their names.
        labels: uint8 [n, A].
        label_mask: bool [n, A].
        landmarks: float32 [n, K, 2], or None.
        chunk: the chunk's number.
        first: where the first of them stands in the chunk.
    """

    names: list[str]
    labels: np.ndarray
    label_mask: np.ndarray
    landmarks: np.ndarray | None
    chunk: int
    first: int


def make_examples(parts: Sequence[Part], job: AnnotationJob, landmarks: str) -> Iterator[dict]:
    """Yields the record of each picture that can be used.

    Args:
        parts: the pictures.
        job: their finished annotation.
        landmarks: a key of LANDMARK_CHOICES.
    """
    for part in parts:
        chunk = job.load(part.chunk)
        for row, key in enumerate(part.names):
            i = part.first + row
            if chunk.status[i] in job.problems:
                continue
            own = None if part.landmarks is None else part.landmarks[row]
            points, source = _choose_landmarks(landmarks, own, chunk, i)
            yield {
                # A file object is stored byte for byte; an array would be encoded again.
                "image": io.BytesIO(job.image(key, chunk, i)),
                "key": key,
                "size": chunk.sizes[i],
                "labels": part.labels[row],
                "label_mask": part.label_mask[row],
                "landmarks": points,
                "landmarks_valid": source != "none",
                "landmarks_source": LANDMARK_SOURCES.index(source),
            }


def _choose_landmarks(
    landmarks: str, own: np.ndarray | None, chunk: Chunk, i: int
) -> tuple[np.ndarray, str]:
    """Returns the landmarks, float32 [K, 2] in [0, 1], and where they come from."""
    scheme = LANDMARK_CHOICES[landmarks]
    unknown = np.full((scheme.num_landmarks, 2), 0.5, np.float32)
    if landmarks == "none":
        return unknown, "none"
    if landmarks == "celeba_5":
        return (unknown, "none") if np.isnan(own).any() else (own, "annotated")
    if chunk.status[i] == NO_FACE:
        return unknown, "none"
    points = chunk.points[i][scheme.source_indices]
    source = "detected" if chunk.status[i] == DETECTED else "assumed"
    return points.clip(0, 1), source  # a chin below the picture is put on its edge


def prepare(
    source: Source,
    data_dir: str | os.PathLike,
    *,
    landmarks: str = "dlib_72",
    faces: str | None = None,
    detector: str = DEFAULT_DETECTOR,
    align_by: str = DEFAULT_ALIGN_BY,
    workers: Workers | None = None,
    on_error: str = "stop",
    limit: Mapping[str, int] | None = None,
) -> Prepared:
    """Checks, annotates and writes a source; what an earlier run finished is not redone.

    Args:
        source: the pictures and their labels.
        data_dir: where data sets are kept; the result is `<data_dir>/<name>/<version>/`.
        landmarks: a key of LANDMARK_CHOICES: dlib's points, the source's own five, or none.
        faces: one of FACE_CHOICES; by default what the source's pictures are, and where it does not
            say, "largest", or with landmarks=none "whole".
        detector: what finds faces, of `tfac.photos.face_detection.DETECTORS`.
        align_by: what they are turned upright by, of `tfac.photos.face_detection.ALIGN_BY`.
        workers: who checks, annotates and writes; by default a process for each core.
        on_error: "stop" at the first problem in the source, or "skip" and count; what was skipped
            is then named in `skipped.txt` beside the records.
        limit: split to the most pictures it may have, for a small copy: the first in the order of
            the records, which follows from their names alone. Other splits are whole.

    Returns:
        The prepared data set. Its metadata holds `landmarks`, `detected_share` (of the pictures,
        None without dlib), `several_faces` (photos that show more than one), `faces` (what the
        records hold, of `tfac.photos.face_crops.FACES`) and `faces_choice`, `face_detector` (its
            `name` and `align_by`), `skipped` (kind of
        problem to count), `source_sha256` (annotation file to checksum) and `source_settings`.

    Raises:
        DataError: the source is incomplete or broken, or `data_dir` cannot be written.
        ConfigError: the source does not bring the landmarks asked for, or has other faces, or the
            data set in `data_dir` is of another source or has other landmarks or faces; `limit`
            names no split.
    """
    if set(limit or {}) - set(SPLITS) or any(count < 1 for count in (limit or {}).values()):
        raise ConfigError(
            f"limit: expected 1 or more pictures of {', '.join(SPLITS)}. Received: {dict(limit)}"
        )
    if landmarks == "celeba_5" and source.own_landmarks != CELEBA_5:
        raise ConfigError(
            f"landmarks=celeba_5 needs a source that brings these points; {source.name} has no "
            "file with them"
        )
    faces = _choose_faces(source, faces, landmarks)
    finder = FaceDetector(name=detector, align_by=align_by)
    if align_by == "points" and landmarks.startswith("dlib"):
        raise ConfigError(
            f"align_by=points does without dlib's landmarks. Received: landmarks={landmarks}; "
            "landmarks=none with it"
        )
    path = Path(data_dir) / source.name / source.version
    work_folder = Path(data_dir) / f".{source.name}-preparing"
    settings = {**source.settings, **({"limit": dict(limit)} if limit else {})}
    origin = {"source_sha256": source.checksums(), "source_settings": settings}
    with only_writer(data_dir, "data_dir"):
        already_there = (path / "dataset_info.json").exists()
        if already_there:
            _check_it_is_the_same(path, landmarks, faces, finder.choice, origin)
        else:
            problems = Problems(on_error)
            splits = source.read_splits(problems, with_landmarks=landmarks == "celeba_5")
            for name in (limit or {}).keys() & splits.keys():
                rows = splits[name]
                splits[name] = rows.take(shuffled(name, rows.names)[: limit[name]])
            workers = workers or Processes()
            _prepare(
                source,
                splits,
                data_dir,
                work_folder,
                origin,
                landmarks,
                faces,
                finder,
                workers,
                problems,
            )
            problems.write(path / SKIPPED_NAME)
        shutil.rmtree(work_folder, ignore_errors=True)
        source.clean_up()
    return _read_prepared(path, already_there)


def _prepare(
    source: Source,
    splits: dict[str, SourceSplit],
    data_dir: str | os.PathLike,
    work_folder: Path,
    origin: dict,
    landmarks: str,
    faces: str,
    detector: FaceDetector,
    workers: Workers,
    problems: Problems,
) -> None:
    splits = {name: rows.take(shuffled(name, rows.names)) for name, rows in splits.items()}
    with_dlib = landmarks.startswith("dlib")
    fingerprint = _fingerprint(source, splits, origin, with_dlib, faces, detector.choice)
    for other in work_folder.glob("*"):
        if other.name != fingerprint:
            shutil.rmtree(other)
    job = AnnotationJob(
        source.pictures,
        [name for rows in splits.values() for name in rows.names],
        work_folder / fingerprint,
        find_landmarks=with_dlib,
        alignment=CELEBA_ALIGNMENT if faces == ALIGNED else source.alignment,
        crops_faces=faces in (LARGEST, BOXED),
        boxed=faces == BOXED,
        face_detector=detector.choice,
    )
    aspect = source.landmark_aspect if landmarks == "celeba_5" else None
    statuses, several_faces = _annotate(job, splits, workers, problems, aspect)
    unusable = np.isin(statuses, list(job.problems))
    data_set = DataSet(
        name=source.name,
        version=source.version,
        description=source.description,
        homepage=source.homepage,
        attributes=source.attributes,
        groups=source.groups,
        landmark_scheme=LANDMARK_CHOICES[landmarks],
        with_landmarks_source=True,
        metadata={
            "landmarks": landmarks,
            "faces": WHOLE if faces == WHOLE else ALIGNED,
            "faces_choice": faces,
            "face_detector": detector.choice,
            "several_faces": several_faces,
            "detected_share": float(np.mean(statuses[~unusable] == DETECTED))
            if with_dlib
            else None,
            "skipped": dict(problems.skipped),
            **origin,
        },
        make_examples=functools.partial(
            make_examples, job=dataclasses.replace(job, names=()), landmarks=landmarks
        ),
        shards=_shards(splits, ~unusable),
    )
    if not data_set.shards:
        raise DataError(f"{source.pictures.path}: expected pictures, found none that can be used")
    write_data_set(data_set, data_dir, job.folder / f"records-{landmarks}", workers)


def _annotate(
    job: AnnotationJob,
    splits: dict[str, SourceSplit],
    workers: Workers,
    problems: Problems,
    aspect: float | None = None,
) -> tuple[np.ndarray, int]:
    """Returns the status of all pictures, uint8 [N], and how many of them show several faces.

    Pictures that are not of the aspect (width over height) of their landmarks lose those.
    """
    statuses = np.empty(len(job.names), np.uint8)
    several_faces = 0
    for index, chunk in annotate(job, workers):
        start = index * CHUNK_SIZE
        statuses[start : start + len(chunk.status)] = chunk.status
        several_faces += int((chunk.num_faces > 1).sum())
        unusable = np.isin(chunk.status, list(job.problems))
        for i in np.flatnonzero(unusable):
            rows, row = _place(splits, start + i)
            problems.report(
                job.problems[chunk.status[i]],
                f"{chunk.errors[i]} ({rows.file} line {rows.lines[row]})",
            )
        if aspect is None:
            continue
        heights, widths = chunk.sizes[:, 0], chunk.sizes[:, 1]
        fits = np.minimum(abs(widths - heights * aspect), abs(heights - widths / aspect)) <= 1
        for i in np.flatnonzero(~fits & ~unusable):
            rows, row = _place(splits, start + i)
            problems.report(
                "picture of another shape than its landmarks",
                f"{job.pictures.describe(rows.names[row])}: expected 178x218, or that resized, "
                f"which the landmarks are for. Received: {widths[i]}x{heights[i]}. A crop needs "
                "--landmarks=dlib_72 or none; --resized_whole says that pictures are the whole "
                "178x218, resized to another shape",
            )
            rows.landmarks[row] = np.nan
    return statuses, several_faces


def _place(splits: dict[str, SourceSplit], picture: int) -> tuple[SourceSplit, int]:
    """Returns the split and row of a picture, counted over all splits."""
    for rows in splits.values():
        if picture < len(rows.names):
            return rows, picture
        picture -= len(rows.names)
    raise IndexError(picture)


def _shards(splits: dict[str, SourceSplit], usable: np.ndarray) -> dict[str, list[Shard]]:
    """Returns the shards of each split that has pictures that can be used."""
    shards: dict[str, list[Shard]] = {}
    start = 0
    for name, rows in splits.items():
        used = np.flatnonzero(usable[start : start + len(rows.names)])
        if len(used):
            shards[name] = [
                Shard(last - first, _parts(rows, start, used[first], used[last - 1] + 1))
                for first, last in shard_bounds(len(used))
            ]
        start += len(rows.names)
    return shards


def _parts(rows: SourceSplit, start: int, first: int, last: int) -> list[Part]:
    """Returns the rows from `first` to before `last` of a split that starts at picture `start`."""
    parts = []
    while first < last:
        chunk, place = divmod(start + first, CHUNK_SIZE)
        here = slice(first, min(last, first + CHUNK_SIZE - place))
        labels, mask = rows.labels[here], rows.label_mask
        parts.append(
            Part(
                names=rows.names[here],
                labels=labels,
                label_mask=np.ones(labels.shape, np.bool_) if mask is None else mask[here],
                landmarks=None if rows.landmarks is None else rows.landmarks[here],
                chunk=chunk,
                first=place,
            )
        )
        first = here.stop
    return parts


def _fingerprint(
    source: Source,
    splits: dict[str, SourceSplit],
    origin: dict,
    with_dlib: bool,
    faces: str,
    detector: dict[str, str],
) -> str:
    """Returns a name for work that may be shared by runs: same pictures in the same chunks."""
    names = [(name, split.names) for name, split in splits.items()]
    choices = [with_dlib, faces, detector]
    text = json.dumps([source.pictures.fingerprint(), origin, names, choices, CHUNK_SIZE])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _choose_faces(source: Source, faces: str | None, landmarks: str) -> str:
    own = source.faces
    if source.boxed:
        if faces:
            raise ConfigError(f"faces={faces}: expected no boxes of faces. Received: both")
        return BOXED
    if faces is None:
        return own or (WHOLE if landmarks == "none" else LARGEST)
    if faces not in FACE_CHOICES:
        raise ConfigError(f"faces: expected one of {', '.join(FACE_CHOICES)}. Received: {faces}")
    if own and faces != own and (own, faces) != (WHOLE, LARGEST):
        raise ConfigError(f"faces={faces}: the pictures of {source.name} are {own}. Leave it out")
    return faces


def _check_it_is_the_same(
    path: Path, landmarks: str, faces: str, detector: dict[str, str], origin: dict
) -> None:
    metadata = _read_prepared(path, already_there=True).metadata
    settings, other = metadata.get("source_settings", {}), ""
    if metadata["landmarks"] != landmarks:
        other = f"with landmarks={metadata['landmarks']}. Received: landmarks={landmarks}"
    elif metadata.get("faces_choice", faces) != faces:
        other = f"with faces={metadata['faces_choice']}. Received: faces={faces}"
    elif faces in (LARGEST, BOXED) and metadata.get("face_detector", detector) != detector:
        other = f"with {metadata['face_detector']}. Received: {detector}"
    elif metadata["source_sha256"] != origin["source_sha256"]:
        other = "from other annotation files than those given"
    elif settings != origin["source_settings"]:
        other = f"with {settings}. Received: {origin['source_settings']}"
    if other:
        raise ConfigError(f"{path} was prepared {other}. Remove it or choose another data_dir")


def _read_prepared(path: Path, already_there: bool) -> Prepared:
    metadata = read_json(path / "metadata.json")
    return Prepared(path, read_info(path).splits, metadata, already_there)
