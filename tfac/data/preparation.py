"""A source as records: the TFDS builder, and the checks and annotation of the pictures before it.

While a data set is being prepared its finished parts lie in `<data_dir>/.<name>-preparing/`; the
data set itself appears under `<data_dir>/<name>/<version>/` whole or not at all.
"""

import collections
import dataclasses
import hashlib
import io
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
from tqdm import tqdm

from tfac.data.beam import BeamExecution
from tfac.data.features import LANDMARK_SOURCES, record_features, record_metadata
from tfac.data.landmark_annotation import (
    ASSUMED,
    BROKEN,
    CHUNK_SIZE,
    DETECTED,
    NO_FACE,
    AnnotationJob,
    Chunk,
    annotate,
)
from tfac.data.problems import Problems
from tfac.data.records import read_info
from tfac.data.source import Source, SourceSplit
from tfac.data.writing import only_writer, write_records
from tfac.errors import ConfigError, DataError
from tfac.landmarks import CELEBA_5, DLIB_68, DLIB_72, LandmarkScheme

# How landmarks are had -> the scheme of the records ("none" keeps the default's shape).
LANDMARK_CHOICES: dict[str, LandmarkScheme] = {
    "dlib_72": DLIB_72,
    "dlib_68": DLIB_68,
    "celeba_5": CELEBA_5,
    "none": DLIB_72,
}

# Files for each split, so that several can be read at once; 180 MB each for the whole of CelebA.
NUM_SHARDS = 8


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
    """Pictures of a split that lie in one chunk of the annotation, n of them: a worker's portion.

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


@dataclasses.dataclass(frozen=True, eq=False)
class AnnotatedSplit:
    """A split whose pictures are annotated.

    Attributes:
        rows: its pictures.
        job: the finished annotation of the pictures of all splits.
        start: where the first picture of this split stands among all.
        count: how many of its pictures can be used.
    """

    rows: SourceSplit
    job: AnnotationJob
    start: int
    count: int

    def parts(self) -> Iterator[Part]:
        """Yields the split in parts, in order."""
        rows, row = self.rows, 0
        while row < len(rows.names):
            chunk, first = divmod(self.start + row, CHUNK_SIZE)
            here = slice(row, row + CHUNK_SIZE - first)
            labels, mask = rows.labels[here], rows.label_mask
            yield Part(
                names=rows.names[here],
                labels=labels,
                label_mask=np.ones(labels.shape, np.bool_) if mask is None else mask[here],
                landmarks=None if rows.landmarks is None else rows.landmarks[here],
                chunk=chunk,
                first=first,
            )
            row = here.stop


class RecordsBuilder(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """Writes a source's annotated pictures, each picture byte for byte as it was received.

    Args:
        source: what the pictures are of; the builder's name is `source.name`.
        splits: split to its pictures, annotated.
        landmarks: a key of LANDMARK_CHOICES.
        metadata: stored beside the records, with what every builder stores.
        data_dir: where data sets are kept.
        beam: where to write; None for this process.
    """

    VERSION = tfds.core.Version("0.0.0")  # TFDS wants one of the class; the source has the version

    def __init__(
        self,
        source: Source,
        splits: dict[str, AnnotatedSplit],
        landmarks: str,
        metadata: dict,
        *,
        data_dir: str | os.PathLike,
        beam: BeamExecution | None = None,
    ):
        self.name, self.VERSION = source.name, tfds.core.Version(source.version)
        self._source = source
        self._annotated_splits = splits
        self._landmarks = landmarks
        self._extra_metadata = metadata
        self._beam = beam
        super().__init__(data_dir=data_dir)

    def _info(self) -> tfds.core.DatasetInfo:
        scheme = LANDMARK_CHOICES[self._landmarks]
        metadata = record_metadata(self._source.attributes, scheme, self._source.groups)
        metadata.update(self._extra_metadata)
        return tfds.core.DatasetInfo(
            builder=self,
            description=self._source.description,
            homepage=self._source.homepage,
            features=record_features(self._source.attributes, scheme, with_landmarks_source=True),
            metadata=metadata,
        )

    def _split_generators(self, dl_manager) -> dict[str, Any]:
        if self._beam is None:
            return {
                name: self._generate_examples(name, split)
                for name, split in self._annotated_splits.items()
            }
        return {
            name: self._beam.flat_map(
                make_examples,
                list(split.parts()),
                dataclasses.replace(split.job, names=()),
                self._landmarks,
            )
            for name, split in self._annotated_splits.items()
        }

    def _generate_examples(self, name: str, split: AnnotatedSplit) -> Iterator[tuple[str, dict]]:
        bar = tqdm(total=split.count, desc=f"writing {name}", unit=" pictures", dynamic_ncols=True)
        with bar:
            for part in split.parts():
                for example in make_examples(part, split.job, self._landmarks):
                    yield example
                    bar.update()


def make_examples(part: Part, job: AnnotationJob, landmarks: str) -> Iterator[tuple[str, dict]]:
    """Yields key and record of each of a part's pictures that can be used.

    Args:
        part: the pictures.
        job: their finished annotation.
        landmarks: a key of LANDMARK_CHOICES.
    """
    chunk = job.load(part.chunk)
    for row, key in enumerate(part.names):
        i = part.first + row
        if chunk.status[i] == BROKEN:
            continue
        own = None if part.landmarks is None else part.landmarks[row]
        points, source = _choose_landmarks(landmarks, own, chunk, i)
        yield (
            key,
            {
                # A file object is stored byte for byte; an array would be encoded again.
                "image": io.BytesIO(job.pictures.read(key)),
                "key": key,
                "size": chunk.sizes[i],
                "labels": part.labels[row],
                "label_mask": part.label_mask[row],
                "landmarks": points,
                "landmarks_valid": source != "none",
                "landmarks_source": LANDMARK_SOURCES.index(source),
            },
        )


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
    workers: int | None = None,
    on_error: str = "stop",
    beam: BeamExecution | None = None,
) -> Prepared:
    """Checks, annotates and writes a source; what an earlier run finished is not redone.

    Args:
        source: the pictures and their labels.
        data_dir: where data sets are kept; the result is `<data_dir>/<name>/<version>/`.
        landmarks: a key of LANDMARK_CHOICES: dlib's points, the source's own five, or none.
        workers: number of worker processes; by default one a core.
        on_error: "stop" at the first problem in the source, or "skip" and count.
        beam: where pictures are checked, annotated and written, in place of `workers` processes.

    Returns:
        The prepared data set. Its metadata holds `landmarks`, `detected_share` (of the pictures,
        None without dlib), `skipped` (kind of problem to count), `source_sha256` (annotation
        file to checksum) and `source_settings`.

    Raises:
        DataError: the source is incomplete or broken, or `data_dir` cannot be written.
        ConfigError: the source does not bring the landmarks asked for, or the data set in
            `data_dir` is of another source or has other landmarks.
    """
    if landmarks == "celeba_5" and source.own_landmarks != CELEBA_5:
        raise ConfigError(
            f"landmarks=celeba_5 needs a source that brings these points; {source.name} has no "
            "file with them"
        )
    path = Path(data_dir) / source.name / source.version
    work_folder = Path(data_dir) / f".{source.name}-preparing"
    origin = {"source_sha256": source.checksums(), "source_settings": dict(source.settings)}
    with only_writer(data_dir):
        already_there = (path / "dataset_info.json").exists()
        if already_there:
            _check_it_is_the_same(path, landmarks, origin)
        else:
            problems = Problems(on_error)
            splits = source.read_splits(problems, with_landmarks=landmarks == "celeba_5")
            annotated, counts = _annotate_splits(
                source, splits, origin, work_folder, landmarks, workers, problems, beam
            )
            metadata = _metadata(landmarks, origin, counts, problems)
            builder = RecordsBuilder(
                source, annotated, landmarks, metadata, data_dir=data_dir, beam=beam
            )
            num_shards = min(NUM_SHARDS, *(split.count for split in annotated.values()))
            write_records(builder, num_shards=num_shards, beam=beam)
        shutil.rmtree(work_folder, ignore_errors=True)
        source.clean_up()
    return _read_prepared(path, already_there)


def _annotate_splits(
    source: Source,
    splits: dict[str, SourceSplit],
    origin: dict,
    work_folder: Path,
    landmarks: str,
    workers: int | None,
    problems: Problems,
    beam: BeamExecution | None,
) -> tuple[dict[str, AnnotatedSplit], collections.Counter]:
    """Annotates every split; returns those with pictures left, and the statuses' counts."""
    with_dlib = landmarks.startswith("dlib")
    fingerprint = _fingerprint(source, splits, origin, with_dlib)
    for other in work_folder.glob("*"):
        if other.name != fingerprint:
            shutil.rmtree(other)
    names = [name for rows in splits.values() for name in rows.names]
    places = [(rows.file, line) for rows in splits.values() for line in rows.lines]
    folder = work_folder / fingerprint
    job = AnnotationJob(
        source.pictures, names, folder, find_landmarks=with_dlib, alignment=source.alignment
    )
    statuses = np.empty(len(names), np.uint8)
    for index, chunk in annotate(job, workers=workers or os.cpu_count(), beam=beam):
        start = index * CHUNK_SIZE
        statuses[start : start + len(chunk.status)] = chunk.status
        for i in np.flatnonzero(chunk.status == BROKEN):
            file, line = places[start + i]
            problems.report(
                "picture that cannot be decoded", f"{chunk.errors[i]} ({file} line {line})"
            )
    annotated: dict[str, AnnotatedSplit] = {}
    start = 0
    for split, rows in splits.items():
        stop = start + len(rows.names)
        count = int(np.sum(statuses[start:stop] != BROKEN))
        if count:
            annotated[split] = AnnotatedSplit(rows, job, start, count)
        start = stop
    if not annotated:
        raise DataError(f"{source.pictures.path}: expected pictures, found none that can be used")
    return annotated, collections.Counter(statuses.tolist())


def _fingerprint(
    source: Source, splits: dict[str, SourceSplit], origin: dict, with_dlib: bool
) -> str:
    """Returns a name for work that may be shared by runs: same pictures in the same chunks."""
    names = [(name, split.names) for name, split in splits.items()]
    text = json.dumps([source.pictures.fingerprint(), origin, names, with_dlib, CHUNK_SIZE])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _metadata(
    landmarks: str, origin: dict, counts: collections.Counter, problems: Problems
) -> dict:
    faces = counts[DETECTED] + counts[ASSUMED] + counts[NO_FACE]
    return {
        "landmarks": landmarks,
        "detected_share": counts[DETECTED] / faces if landmarks.startswith("dlib") else None,
        "skipped": dict(problems.skipped),
        **origin,
    }


def _check_it_is_the_same(path: Path, landmarks: str, origin: dict) -> None:
    metadata = _read_prepared(path, already_there=True).metadata
    if metadata["landmarks"] != landmarks:
        raise ConfigError(
            f"{path} was prepared with landmarks={metadata['landmarks']}. "
            f"Received: landmarks={landmarks}. Remove it or choose another data_dir"
        )
    if metadata["source_sha256"] != origin["source_sha256"]:
        raise ConfigError(
            f"{path} was prepared from other annotation files than those given. Remove it or "
            "choose another data_dir"
        )
    if metadata.get("source_settings", {}) != origin["source_settings"]:
        raise ConfigError(
            f"{path} was prepared with {metadata.get('source_settings', {})}. "
            f"Received: {origin['source_settings']}. Remove it or choose another data_dir"
        )


def _read_prepared(path: Path, already_there: bool) -> Prepared:
    metadata = json.loads((path / "metadata.json").read_text(encoding="utf-8"))
    return Prepared(path, read_info(path).splits, metadata, already_there)
