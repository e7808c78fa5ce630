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

import numpy as np
import tensorflow_datasets as tfds
from tqdm import tqdm

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


class RecordsBuilder(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """Writes a source's annotated pictures, each picture byte for byte as it was received.

    Args:
        source: what the pictures are of; the builder's name is `source.name`.
        splits: split to its pictures, annotated.
        landmarks: a key of LANDMARK_CHOICES.
        metadata: stored beside the records, with what every builder stores.
        data_dir: where data sets are kept.
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
    ):
        self.name, self.VERSION = source.name, tfds.core.Version(source.version)
        self._source = source
        self._annotated_splits = splits
        self._landmarks = landmarks
        self._extra_metadata = metadata
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

    def _split_generators(self, dl_manager) -> dict[str, Iterator]:
        return {
            name: self._generate_examples(name, split)
            for name, split in self._annotated_splits.items()
        }

    def _generate_examples(self, name: str, split: AnnotatedSplit) -> Iterator[tuple[str, dict]]:
        rows = split.rows
        mask = rows.label_mask
        if mask is None:
            mask = np.broadcast_to(np.True_, rows.labels.shape)
        bar = tqdm(total=split.count, desc=f"writing {name}", unit=" pictures", dynamic_ncols=True)
        with bar:
            chunk_index = None
            for row, key in enumerate(rows.names):
                index, i = divmod(split.start + row, CHUNK_SIZE)
                if index != chunk_index:
                    chunk_index, chunk = index, split.job.load(index)
                if chunk.status[i] == BROKEN:
                    continue
                landmarks, source = self._landmarks_of(rows, row, chunk, i)
                example = {
                    # A file object is stored byte for byte; an array would be encoded again.
                    "image": io.BytesIO(split.job.pictures.read(key)),
                    "key": key,
                    "size": chunk.sizes[i],
                    "labels": rows.labels[row],
                    "label_mask": mask[row],
                    "landmarks": landmarks,
                    "landmarks_valid": source != "none",
                    "landmarks_source": LANDMARK_SOURCES.index(source),
                }
                yield key, example
                bar.update()

    def _landmarks_of(
        self, rows: SourceSplit, row: int, chunk: Chunk, i: int
    ) -> tuple[np.ndarray, str]:
        """Returns the landmarks, float32 [K, 2] in [0, 1], and where they come from."""
        scheme = LANDMARK_CHOICES[self._landmarks]
        unknown = np.full((scheme.num_landmarks, 2), 0.5, np.float32)
        if self._landmarks == "none":
            return unknown, "none"
        if self._landmarks == "celeba_5":
            points = rows.landmarks[row]
            return (unknown, "none") if np.isnan(points).any() else (points, "annotated")
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
) -> Prepared:
    """Checks, annotates and writes a source; what an earlier run finished is not redone.

    Args:
        source: the pictures and their labels.
        data_dir: where data sets are kept; the result is `<data_dir>/<name>/<version>/`.
        landmarks: a key of LANDMARK_CHOICES: dlib's points, the source's own five, or none.
        workers: number of worker processes; by default one a core.
        on_error: "stop" at the first problem in the source, or "skip" and count.

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
                source, splits, origin, work_folder, landmarks, workers, problems
            )
            metadata = _metadata(landmarks, origin, counts, problems)
            builder = RecordsBuilder(source, annotated, landmarks, metadata, data_dir=data_dir)
            write_records(
                builder, num_shards=min(NUM_SHARDS, *(split.count for split in annotated.values()))
            )
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
    for index, chunk in annotate(job, workers=workers or os.cpu_count()):
        start = index * CHUNK_SIZE
        statuses[start : start + len(chunk.status)] = chunk.status
        for i in np.flatnonzero(chunk.status == BROKEN):
            problems.report(
                "picture that cannot be decoded",
                f"{chunk.errors[i]} ({{}} line {{}})".format(*places[start + i]),
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
