"""A prepared data set on disk: what it holds, and which file is at fault when it cannot be read."""

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any

import tensorflow as tf
import tensorflow_datasets as tfds
from google.protobuf import json_format

from tfac.attributes import AttributeGroups, default_groups
from tfac.data.records.features import record_features
from tfac.errors import ConfigError, DataError
from tfac.files import read_json
from tfac.landmarks import LandmarkScheme, get_landmark_scheme
from tfac.photos.face_crops import ALIGNED, FACES
from tfac.photos.preprocessing import decode_picture

# What a TFRecord file adds to a record: its length, and checksums of the length and the data.
TFRECORD_FRAME_BYTES = 16


@dataclasses.dataclass(frozen=True, eq=False)
class RecordsInfo:
    """A data set of records.

    Attributes:
        path: the folder with the TFRecord files.
        name: the data set's name.
        attributes: names of the A attributes, in the order of the labels.
        groups: how the attributes are grouped.
        landmark_scheme: the scheme of the K landmarks.
        faces: what the pictures are, of `tfac.photos.face_crops.FACES`.
        face_detector: name and align_by of the detector they were prepared with, as `FaceDetector`
            takes them; None where the data set does not say.
        splits: split name to its number of records.
        shard_lengths: split name to the number of records in each of its files, by file.
        num_bytes: split name to the bytes of its records, files' framing not counted.
        source_settings: what else its records follow from, such as LFWA's protocol.
        fingerprint: hexadecimal; differs where name, version, attributes, scheme or splits differ.
    """

    path: Path
    name: str
    attributes: tuple[str, ...]
    groups: AttributeGroups
    landmark_scheme: LandmarkScheme
    faces: str
    face_detector: dict[str, str] | None
    splits: dict[str, int]
    shard_lengths: dict[str, dict[Path, int]]
    num_bytes: dict[str, int]
    source_settings: dict[str, Any]
    fingerprint: str

    def shards(self, split: str) -> list[str]:
        """Returns the paths of the files of `split`.

        Raises:
            ConfigError: there is no such split, or it is empty.
        """
        if not self.splits.get(split):
            filled = [f"{name} ({count})" for name, count in self.splits.items() if count]
            raise ConfigError(
                f"unknown or empty split of {self.path}: expected one of {', '.join(filled)}. "
                f"Received: {split}"
            )
        return [str(path) for path in self.shard_lengths[split]]

    def parse(self, records: tf.Tensor) -> dict[str, tf.Tensor]:
        """Parses serialised records, one or a batch; other features than `features` are ignored.

        Args:
            records: string [] or [B].

        Returns:
            Feature to its value, with the shapes and types of `tfac.data.records.features`, behind
            B where there is one; pictures stay encoded.
        """
        # TFDS would take one record at a time. It stores all whole numbers as int64.
        features = record_features(self.attributes, self.landmark_scheme).get_serialized_info()
        types = {name: feature.tf_dtype for name, feature in features.items()}
        stored = {
            name: tf.io.FixedLenFeature(
                feature.shape, types[name] if types[name] in (tf.string, tf.float32) else tf.int64
            )
            for name, feature in features.items()
        }
        parsed = tf.io.parse_example(records, stored)
        return {name: tf.cast(parsed[name], types[name]) for name in features}


def read_info(data_dir: str | Path) -> RecordsInfo:
    """Reads what a prepared data set holds.

    Args:
        data_dir: the data set's version folder, or any folder in which exactly one data set lies.

    Raises:
        DataError: no or several data sets, or metadata that cannot be used.
    """
    path = _find_data_set(Path(data_dir))
    proto = _read_dataset_info(path / "dataset_info.json")
    attributes, scheme, groups, faces, detector, settings = _read_metadata(path / "metadata.json")
    template = tfds.core.ShardedFileTemplate(
        data_dir=path, dataset_name=proto.name, filetype_suffix="tfrecord"
    )
    split_infos = tfds.core.splits.SplitDict.from_proto(proto.splits, template)
    shard_lengths = {
        name: {
            path / filename: length
            for filename, length in zip(split.filenames, split.shard_lengths, strict=True)
        }
        for name, split in split_infos.items()
    }
    num_bytes = {name: split.num_bytes for name, split in split_infos.items()}
    lengths = {name: list(shards.values()) for name, shards in shard_lengths.items()}
    identity = [proto.name, proto.version, lengths, num_bytes, attributes, scheme.name]
    return RecordsInfo(
        path=path,
        name=proto.name,
        attributes=attributes,
        groups=groups,
        landmark_scheme=scheme,
        faces=faces,
        face_detector=detector,
        splits={name: sum(shards) for name, shards in lengths.items()},
        shard_lengths=shard_lengths,
        num_bytes=num_bytes,
        source_settings=settings,
        fingerprint=hashlib.sha256(json.dumps(identity).encode()).hexdigest(),
    )


def check_shards(info: RecordsInfo, split: str) -> None:
    """Checks that the files of `split` are there and as long as the metadata says.

    Sizes are compared first; records are counted only where these differ.

    Raises:
        ConfigError: there is no such split, or it is empty.
        DataError: a file is missing, is cut off, or has more or fewer records than it should.
    """
    shards = info.shards(split)
    missing = [path for path in shards if not Path(path).is_file()]
    if missing:
        raise DataError(
            f"{info.path}: expected {len(shards)} TFRecord files in split {split}. "
            f"Missing: {', '.join(Path(path).name for path in missing)}"
        )
    expected = info.num_bytes[split] + TFRECORD_FRAME_BYTES * info.splits[split]
    if sum(Path(path).stat().st_size for path in shards) != expected:
        find_damage(info, split, decode=False)


def find_damage(info: RecordsInfo, split: str, *, decode: bool = True) -> None:
    """Reads every record of `split`, in order, and raises for the first that cannot be used.

    Args:
        info: the data set.
        split: the split to read.
        decode: parse the records and decode their pictures as well.

    Raises:
        DataError: a record or picture is broken, or a file has too many or too few records.
    """
    info.shards(split)
    check = tf.function(lambda record: decode_picture(info.parse(record)["image"]))
    for path, expected in info.shard_lengths[split].items():
        count = 0
        try:
            for record in tf.data.TFRecordDataset(str(path)):
                if decode:
                    _check_record(info, path, count, record, check)
                count += 1
        except tf.errors.DataLossError as error:
            raise DataError(f"{path}: record {count} is cut off or corrupt") from error
        except tf.errors.NotFoundError as error:
            raise DataError(f"{path}: expected a TFRecord file. Received: no such file") from error
        if count != expected:
            raise DataError(f"{path}: expected {expected} records. Received: {count}")


def _check_record(info: RecordsInfo, path: Path, index: int, record: tf.Tensor, check) -> None:
    try:
        check(record)
    except tf.errors.InvalidArgumentError as error:
        try:
            key = info.parse(record)["key"].numpy().decode(errors="replace")
        except tf.errors.InvalidArgumentError as parse_error:
            raise DataError(
                f"{path}: record {index} lacks a feature or has one of another shape or type than "
                f"tfac.data.records.features says: {_first_line(parse_error)}"
            ) from parse_error
        raise DataError(
            f"{path}: the picture of record {index} (key {key!r}) cannot be decoded: "
            f"{_first_line(error)}"
        ) from error


def _first_line(error: tf.errors.OpError) -> str:
    lines = [line.strip() for line in error.message.splitlines() if line.strip()]
    useful = [line for line in lines if not line.startswith("Detected at node")]
    return (useful or lines or ["no reason given"])[0].split(" [[{{", 1)[0]


def _find_data_set(data_dir: Path) -> Path:
    if not data_dir.is_dir():
        raise DataError(
            f"{data_dir}: expected the folder of a prepared data set. Received: no folder"
        )
    if (data_dir / "dataset_info.json").is_file():
        return data_dir
    found = sorted(
        path.parent
        for path in data_dir.rglob("dataset_info.json")
        # TFDS prepares in a folder of this name and renames it when it is whole.
        if not any(part.startswith("incomplete.") for part in path.relative_to(data_dir).parts)
    )
    if len(found) != 1:
        received = ", ".join(map(str, found)) or "none"
        raise DataError(
            f"{data_dir}: expected exactly one prepared data set (a folder with dataset_info.json) "
            f"here or below. Received: {received}"
        )
    return found[0]


def _read_dataset_info(path: Path):
    try:
        proto = tfds.core.dataset_info.read_from_json(path)
    except (json_format.ParseError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: expected a TFDS description of a data set. {error}") from error
    if proto.file_format not in ("", "tfrecord"):
        raise DataError(f"{path}: expected fileFormat tfrecord. Received: {proto.file_format}")
    if not proto.name or not proto.splits:
        raise DataError(f"{path}: expected a name and splits. Received: {proto.name!r}, no splits")
    return proto


def _read_metadata(
    path: Path,
) -> tuple[tuple[str, ...], LandmarkScheme, AttributeGroups, str, dict | None, dict[str, Any]]:
    metadata = read_json(path, "the data set's metadata as JSON")
    attributes = metadata.get("attributes")
    if (
        not isinstance(attributes, list)
        or not attributes
        or not all(isinstance(name, str) for name in attributes)
        or len(set(attributes)) != len(attributes)
    ):
        raise DataError(
            f"{path}: expected `attributes`, a list of unique names. Received: {attributes!r}"
        )
    try:
        scheme = get_landmark_scheme(str(metadata.get("landmark_scheme")))
        groups = metadata.get("attribute_groups")
        if groups is None:
            groups = default_groups(attributes)
        else:
            groups = AttributeGroups.from_dict(groups, attributes)
    except ConfigError as error:
        raise DataError(f"{path}: {error}") from error
    faces = metadata.get("faces", ALIGNED)  # data sets of earlier versions do not say
    if faces not in FACES:
        raise DataError(f"{path}: expected `faces` among {', '.join(FACES)}. Received: {faces!r}")
    settings = metadata.get("source_settings")
    settings = settings if isinstance(settings, dict) else {}
    return tuple(attributes), scheme, groups, faces, metadata.get("face_detector"), settings
