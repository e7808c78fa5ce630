"""CelebA as records: the TFDS builder, and the checks and annotation of the pictures before it.

While a data set is being prepared its finished parts lie in `<data_dir>/.celeba-preparing/`; the
data set itself appears under `<data_dir>/celeba/<version>/` whole or not at all.
"""

import collections
import contextlib
import dataclasses
import fcntl
import hashlib
import io
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds

from tfac.attributes import ATTRIBUTES
from tfac.data.celeba_source import CelebASource, CelebASplit, find_source, read_splits
from tfac.data.features import LANDMARK_SOURCES, record_features, record_metadata
from tfac.data.landmark_annotation import (
    ASSUMED,
    BROKEN,
    CHUNK_SIZE,
    DETECTED,
    AnnotationJob,
    annotate,
)
from tfac.data.problems import Problems
from tfac.errors import ConfigError, DataError
from tfac.landmarks import CELEBA_5, DLIB_68, DLIB_72, LandmarkScheme

VERSION = "1.0.0"
WORK_FOLDER = ".celeba-preparing"

# How landmarks are had -> the scheme of the records ("none" keeps the default's shape).
LANDMARK_CHOICES: dict[str, LandmarkScheme] = {
    "dlib_72": DLIB_72,
    "dlib_68": DLIB_68,
    "celeba_5": CELEBA_5,
    "none": DLIB_72,
}

# Shards of this many bytes and more, so that reading and shuffling have several files to work on.
MIN_SHARD_BYTES = 8 * 2**20


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
    """The rows of a split and the finished annotation of its pictures."""

    rows: CelebASplit
    job: AnnotationJob


class CelebABuilder(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """Writes annotated CelebA pictures as records, each picture byte for byte as it was received.

    Args:
        splits: split to its pictures, annotated.
        landmarks: a key of LANDMARK_CHOICES.
        metadata: stored beside the records, with what every builder stores.
        data_dir: where data sets are kept.
    """

    name = "celeba"
    VERSION = tfds.core.Version(VERSION)

    def __init__(
        self,
        splits: dict[str, AnnotatedSplit],
        landmarks: str,
        metadata: dict,
        *,
        data_dir: str | os.PathLike,
    ):
        self._annotated_splits = splits
        self._landmarks = landmarks
        self._extra_metadata = metadata
        super().__init__(data_dir=data_dir)

    def _info(self) -> tfds.core.DatasetInfo:
        scheme = LANDMARK_CHOICES[self._landmarks]
        metadata = record_metadata(ATTRIBUTES, scheme)
        metadata.update(self._extra_metadata)
        return tfds.core.DatasetInfo(
            builder=self,
            description="CelebA (Liu et al., ICCV 2015): aligned faces with 40 attributes.",
            homepage="https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html",
            features=record_features(ATTRIBUTES, scheme, with_landmarks_source=True),
            metadata=metadata,
        )

    def _split_generators(self, dl_manager) -> dict[str, Iterator]:
        return {name: self._generate_examples(s) for name, s in self._annotated_splits.items()}

    def _generate_examples(self, split: AnnotatedSplit) -> Iterator[tuple[str, dict]]:
        for index, names in enumerate(split.job.chunk_names()):
            chunk = split.job.load(index)
            start = index * CHUNK_SIZE
            for i in np.flatnonzero(chunk.status != BROKEN):
                landmarks, source = self._landmarks_of(split.rows, start + i, chunk, i)
                yield (
                    names[i],
                    {
                        # A file object is stored byte for byte; an array would be encoded again.
                        "image": io.BytesIO(split.job.pictures.read(names[i])),
                        "key": names[i],
                        "size": chunk.sizes[i],
                        "labels": split.rows.labels[start + i],
                        "label_mask": np.ones(len(ATTRIBUTES), np.bool_),
                        "landmarks": landmarks,
                        "landmarks_valid": source != "none",
                        "landmarks_source": LANDMARK_SOURCES.index(source),
                    },
                )

    def _landmarks_of(self, rows, row, chunk, i) -> tuple[np.ndarray, str]:
        """Returns the landmarks, float32 [K, 2] in [0, 1], and where they come from."""
        scheme = LANDMARK_CHOICES[self._landmarks]
        unknown = np.full((scheme.num_landmarks, 2), 0.5, np.float32)
        if self._landmarks == "none":
            return unknown, "none"
        if self._landmarks == "celeba_5":
            points = rows.landmarks[row]
            return (unknown, "none") if np.isnan(points).any() else (points, "annotated")
        points = chunk.points[i][scheme.source_indices]
        source = "detected" if chunk.status[i] == DETECTED else "assumed"
        return points.clip(0, 1), source  # a chin below the picture is put on its edge


def prepare_celeba(
    source_dir: str | os.PathLike,
    data_dir: str | os.PathLike,
    *,
    landmarks: str = "dlib_72",
    workers: int | None = None,
    on_error: str = "stop",
) -> Prepared:
    """Checks, annotates and writes a copy of CelebA; what an earlier run finished is not redone.

    Args:
        source_dir: a copy of CelebA in its official layout, see `tfac.data.celeba_source`.
        data_dir: where data sets are kept; the result is `<data_dir>/celeba/<version>/`.
        landmarks: a key of LANDMARK_CHOICES: dlib's points, CelebA's own five, or none.
        workers: number of worker processes; by default one a core.
        on_error: "stop" at the first problem in the source, or "skip" and count.

    Returns:
        The prepared data set. Its metadata holds `faces` (counts of landmark sources),
        `detected_share` (None without dlib), `skipped` (kind of problem to count) and
        `source_sha256` (file name to checksum).

    Raises:
        DataError: the source is incomplete or broken, or `data_dir` cannot be written.
        ConfigError: `landmarks` needs a file that is not there, or the data set in `data_dir` is of
            another source or has other landmarks.
    """
    source = find_source(source_dir)
    if landmarks == "celeba_5" and source.landmarks is None:
        raise ConfigError(
            "landmarks=celeba_5 needs list_landmarks_align_celeba.txt, which is missing from "
            f"{source_dir}"
        )
    data_dir = Path(data_dir)
    path = data_dir / CelebABuilder.name / VERSION
    checksums = {file.name: _sha256(file) for file in source.annotation_files}
    with _writable(data_dir), _work_folder(data_dir) as work_folder:
        if (path / "dataset_info.json").exists():
            return _already_there(path, landmarks, checksums)
        for leftover in path.parent.glob("incomplete.*"):
            shutil.rmtree(leftover)
        problems = Problems(on_error)
        splits = read_splits(source, problems, with_landmarks=landmarks == "celeba_5")
        annotated, faces = _annotate_splits(
            source, splits, checksums, work_folder, landmarks, workers, problems
        )
        metadata = _metadata(landmarks, checksums, faces, problems)
        builder = CelebABuilder(annotated, landmarks, metadata, data_dir=data_dir)
        builder.download_and_prepare(
            download_config=tfds.download.DownloadConfig(min_shard_size=MIN_SHARD_BYTES)
        )
    return _read_prepared(path, already_there=False)


def _annotate_splits(
    source: CelebASource,
    splits: dict[str, CelebASplit],
    checksums: dict[str, str],
    work_folder: Path,
    landmarks: str,
    workers: int | None,
    problems: Problems,
) -> tuple[dict[str, AnnotatedSplit], collections.Counter]:
    """Annotates every split; returns those with pictures left, and the statuses' counts."""
    with_dlib = landmarks.startswith("dlib")
    fingerprint = _fingerprint(source, splits, checksums, with_dlib)
    for other in work_folder.iterdir():
        if other.is_dir() and other.name != fingerprint:
            shutil.rmtree(other)
    annotated: dict[str, AnnotatedSplit] = {}
    counts: collections.Counter[int] = collections.Counter()
    for name, rows in splits.items():
        folder = work_folder / fingerprint / name
        job = AnnotationJob(source.pictures, rows.names, folder, find_landmarks=with_dlib)
        usable = 0
        for index, chunk in annotate(job, workers=workers or os.cpu_count(), title=name):
            for i in np.flatnonzero(chunk.status == BROKEN):
                line = rows.lines[index * CHUNK_SIZE + i]
                problems.report(
                    "picture that cannot be decoded",
                    f"{chunk.errors[i]} ({source.labels} line {line})",
                )
            counts.update(chunk.status.tolist())
            usable += int(np.sum(chunk.status != BROKEN))
        if usable:
            annotated[name] = AnnotatedSplit(rows, job)
    if not annotated:
        raise DataError(f"{source.pictures.path}: expected pictures, found none that can be used")
    return annotated, counts


def _fingerprint(
    source: CelebASource, splits: dict[str, CelebASplit], checksums: dict, with_dlib: bool
) -> str:
    """Returns a name for work that may be shared by runs: same pictures in the same chunks."""
    names = [(name, split.names) for name, split in splits.items()]
    text = json.dumps([source.pictures.fingerprint(), checksums, names, with_dlib, CHUNK_SIZE])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _metadata(
    landmarks: str, checksums: dict[str, str], counts: collections.Counter, problems: Problems
) -> dict:
    faces = counts[DETECTED] + counts[ASSUMED]
    return {
        "landmarks": landmarks,
        "detected_share": counts[DETECTED] / faces if landmarks.startswith("dlib") else None,
        "skipped": dict(problems.skipped),
        "source_sha256": checksums,
    }


def _already_there(path: Path, landmarks: str, checksums: dict[str, str]) -> Prepared:
    prepared = _read_prepared(path, already_there=True)
    if prepared.metadata["landmarks"] != landmarks:
        raise ConfigError(
            f"{path} was prepared with landmarks={prepared.metadata['landmarks']}. "
            f"Received: landmarks={landmarks}. Remove it or choose another data_dir"
        )
    if prepared.metadata["source_sha256"] != checksums:
        raise ConfigError(
            f"{path} was prepared from other annotation files than those given. Remove it or "
            "choose another data_dir"
        )
    return prepared


def _read_prepared(path: Path, *, already_there: bool) -> Prepared:
    info = tfds.builder_from_directory(path).info
    splits = {name: split.num_examples for name, split in info.splits.items()}
    return Prepared(path, splits, dict(info.metadata), already_there)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextlib.contextmanager
def _writable(data_dir: Path) -> Iterator[None]:
    """Turns errors of the file system under `data_dir` into a `DataError`."""
    try:
        yield
    except (OSError, tf.errors.OpError) as error:
        raise DataError(f"data_dir {data_dir}: records cannot be written: {error}") from error


@contextlib.contextmanager
def _work_folder(data_dir: Path) -> Iterator[Path]:
    """Yields the folder of unfinished work, held by one process; removed when all is finished."""
    folder = data_dir / WORK_FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigError(f"another tfac-prepare is writing to {data_dir}") from None
        yield folder
        shutil.rmtree(folder)
