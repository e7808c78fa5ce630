"""Writing data sets: one writer at a time, shard by shard, whole or not at all.

The files are those of TensorFlow Datasets, so that `tfds.load` reads them. TFDS's own writer sorts
a split in temporary files, begins again after an interrupt and is bound to some of Beam's runners;
here whoever writes gives the records of each shard in the order that TFDS would give them.
"""

import dataclasses
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import tensorflow as tf
import tensorflow_datasets as tfds
from tensorflow_datasets.core.hashing import Hasher

from tfac.attributes import AttributeGroups
from tfac.data.preparing.workers import Workers
from tfac.data.records.features import record_features, record_metadata
from tfac.data.records.info import TFRECORD_FRAME_BYTES
from tfac.errors import DataError
from tfac.files import put_in_place, whole_file
from tfac.landmarks import LandmarkScheme
from tfac.progress import progress

# Several files can be read at once; 180 MB each for the whole of CelebA.
_MIN_SHARDS = 8
_MAX_SHARD_LENGTH = 25_000


@dataclasses.dataclass(frozen=True, eq=False)
class Shard:
    """The records of one file.

    Attributes:
        length: how many there are.
        portion: what `DataSet.make_examples` makes them from.
    """

    length: int
    portion: Any


@dataclasses.dataclass(frozen=True, eq=False)
class DataSet:
    """A data set to write; all but `shards` is what pickle can carry to a worker.

    Attributes:
        name: a valid Python name.
        version: three numbers.
        description: what it is, a sentence or two.
        attributes: names of the A attributes, in the order of the labels.
        landmark_scheme: of the records' landmarks.
        make_examples: yields a portion's records (see `tfac.data.records.features`), each time the
            same.
        shards: split to its files; as many for each as `num_shards` says.
        homepage: where it is from; empty if nowhere.
        config: which of the data sets of this name; empty if there is but one.
        groups: how the attributes are grouped; None for the default.
        with_landmarks_source: whether records say where their landmarks come from.
        metadata: stored beside the records, with what every data set stores.
    """

    name: str
    version: str
    description: str
    attributes: tuple[str, ...]
    landmark_scheme: LandmarkScheme
    make_examples: Callable[[Any], Iterable[dict]]
    shards: Mapping[str, Sequence[Shard]]
    homepage: str = ""
    config: str = ""
    groups: AttributeGroups | None = None
    with_landmarks_source: bool = False
    metadata: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def folder(self) -> Path:
        """Where it lies below the folder of all data sets."""
        return Path(self.name, self.config, self.version)

    def features(self) -> tfds.features.FeaturesDict:
        """Returns the records' features."""
        return record_features(
            self.attributes,
            self.landmark_scheme,
            with_landmarks_source=self.with_landmarks_source,
        )


def num_shards(length: int) -> int:
    """Returns how many files a split of `length` records has."""
    return max(min(length, _MIN_SHARDS), -(-length // _MAX_SHARD_LENGTH))


def shard_bounds(length: int) -> list[tuple[int, int]]:
    """Returns the numbers of the first record of each shard of a split and of the one behind it."""
    count = num_shards(length)
    bounds = [round(length * shard / count) for shard in range(count + 1)]
    return list(zip(bounds, bounds[1:], strict=False))


def shuffled(split: str, keys: Sequence[str]) -> list[int]:
    """Returns the order that records are stored in: at random, but always the same.

    It is the order of TFDS: records that are alike in the source are not so in the file.

    Args:
        split: the split's name.
        keys: unique names of its records.
    """
    hasher = Hasher(split)
    hashes = [hasher.hash_key(key) for key in keys]
    return sorted(range(len(keys)), key=hashes.__getitem__)


def write_data_set(
    data_set: DataSet, data_dir: str | os.PathLike, unfinished: Path, workers: Workers
) -> Path:
    """Writes the shards that are not there yet, then the data set appears whole.

    Call it under `only_writer`.

    Args:
        data_set: what to write.
        data_dir: where data sets are kept.
        unfinished: folder for the shards until all are there, in `data_dir`; what is in it is taken
            for this data set's.
        workers: who writes.

    Returns:
        The data set's folder.

    Raises:
        DataError: a file cannot be written, for example because the disk is full.
    """
    path = Path(data_dir) / data_set.folder
    try:
        _write_shards(data_set, unfinished, workers)
        _write_info(data_set, unfinished)
        path.parent.mkdir(parents=True, exist_ok=True)
        put_in_place(unfinished, path)
    except OSError as error:
        raise DataError(f"{path}: records cannot be written: {error}") from error
    return path


def _file_names(data_set: DataSet, split: str, folder: Path) -> tfds.core.ShardedFileTemplate:
    return tfds.core.ShardedFileTemplate(
        data_dir=folder, dataset_name=data_set.name, filetype_suffix="tfrecord", split=split
    )


def _files(data_set: DataSet, split: str, folder: Path) -> list[Path]:
    names = _file_names(data_set, split, folder)
    return [Path(path) for path in names.sharded_filepaths(len(data_set.shards[split]))]


def _write_shards(data_set: DataSet, folder: Path, workers: Workers) -> None:
    for leftover in folder.glob(".*"):
        leftover.unlink()  # of a writer that was killed
    shards = [
        (path, shard)
        for split in data_set.shards
        for path, shard in zip(_files(data_set, split, folder), data_set.shards[split], strict=True)
    ]
    missing = [(path, shard) for path, shard in shards if not path.exists()]
    total = sum(shard.length for _, shard in shards)
    there = total - sum(shard.length for _, shard in missing)
    with progress(total=total, initial=there, desc="writing", unit=" pictures") as bar:
        for number in workers.for_each(
            _write_shard,
            missing,
            dataclasses.replace(data_set, shards={}),
            is_done=lambda item: item[0].exists(),
        ):
            bar.update(missing[number][1].length)


def _write_shard(item: tuple[Path, Shard], data_set: DataSet) -> None:
    path, shard = item
    if path.exists():
        return
    features = data_set.features()
    try:
        with whole_file(path) as aside, tf.io.TFRecordWriter(os.fspath(aside)) as writer:
            for example in data_set.make_examples(shard.portion):
                serialised = tf.train.Example.FromString(features.serialize_example(example))
                # Bytes that do not depend on who writes them.
                writer.write(serialised.SerializeToString(deterministic=True))
    except (OSError, tf.errors.OpError) as error:
        raise DataError(f"{path}: records cannot be written: {error}") from error


def _write_info(data_set: DataSet, folder: Path) -> None:
    identity = tfds.core.dataset_info.DatasetIdentity(
        name=data_set.name,
        version=tfds.core.Version(data_set.version),
        data_dir=os.fspath(folder),
        module_name="tfac",
        config_name=data_set.config or None,
    )
    metadata = record_metadata(data_set.attributes, data_set.landmark_scheme, data_set.groups)
    metadata.update(data_set.metadata)
    info = tfds.core.DatasetInfo(
        builder=identity,
        description=data_set.description,
        homepage=data_set.homepage or None,
        features=data_set.features(),
        metadata=metadata,
    )
    info.set_file_format("tfrecord")
    splits = []
    for split, shards in data_set.shards.items():
        lengths = [shard.length for shard in shards]
        size = sum(path.stat().st_size for path in _files(data_set, split, folder))
        splits.append(
            tfds.core.SplitInfo(
                name=split,
                shard_lengths=lengths,
                num_bytes=size - TFRECORD_FRAME_BYTES * sum(lengths),
                filename_template=_file_names(data_set, split, folder),
            )
        )
    info.set_splits(tfds.core.splits.SplitDict(splits))
    info.write_to_directory(folder)
