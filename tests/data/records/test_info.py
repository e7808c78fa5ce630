import json
import shutil
from pathlib import Path

import pytest
import tensorflow as tf

from tfac.attributes import ATTRIBUTES
from tfac.data.records.info import check_shards, find_damage, read_info
from tfac.data.records.pipeline import evaluation_dataset, read_batches
from tfac.errors import ConfigError, DataError
from tfac.landmarks import DLIB_72


@pytest.fixture
def copy(tiny_records, tmp_path):
    """A copy of the tiny data set that a test may damage."""
    return shutil.copytree(tiny_records, tmp_path / "data" / "tiny_faces" / "1.0.0")


def validation_shard(folder: Path) -> Path:
    (path,) = folder.glob("*-validation.tfrecord-*")
    return path


def rewrite(shard: Path, change):
    """Writes the records that `change(index, record)` returns; None leaves one out."""
    records = [record.numpy() for record in tf.data.TFRecordDataset(str(shard))]
    with tf.io.TFRecordWriter(str(shard)) as writer:
        for index, record in enumerate(records):
            changed = change(index, record)
            if changed is not None:
                writer.write(changed)


def edit(record: bytes, **features) -> bytes:
    """Sets bytes features of a serialised tf.train.Example; None removes one."""
    example = tf.train.Example.FromString(record)
    for name, value in features.items():
        if name in example.features.feature:
            del example.features.feature[name]
        if value is not None:
            example.features.feature[name].bytes_list.value.append(value)
    return example.SerializeToString()


def read_all(folder: Path) -> int:
    info = read_info(folder)
    dataset = evaluation_dataset(info, "validation", image_size=(8, 8), batch_size=4)
    return sum(len(batch["key"]) for batch in read_batches(dataset, info, "validation"))


def test_info_says_what_the_data_set_holds(tiny_records):
    info = read_info(tiny_records)
    assert info.name == "tiny_faces" and info.path == tiny_records
    assert info.attributes == ATTRIBUTES and info.landmark_scheme == DLIB_72
    assert info.splits == {"train": 24, "validation": 12, "test": 8}


def test_data_set_is_found_below_a_parent(copy, tmp_path):
    assert read_info(tmp_path).path == copy
    shutil.copytree(copy, copy.parent / "incomplete.ABC_2.0.0")
    assert read_info(tmp_path).path == copy


def test_several_or_no_data_sets_are_refused(copy, tmp_path):
    shutil.copytree(copy, copy.parent / "2.0.0")
    with pytest.raises(DataError, match="exactly one prepared data set.*1.0.0, .*2.0.0"):
        read_info(tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="Received: none"):
        read_info(tmp_path / "empty")
    with pytest.raises(DataError, match="Received: no folder"):
        read_info(tmp_path / "nowhere")


def test_fingerprint_follows_the_contents_and_not_the_place(tiny_records, copy):
    assert read_info(copy).fingerprint == read_info(tiny_records).fingerprint
    metadata = json.loads((copy / "metadata.json").read_text())
    metadata["attributes"].reverse()
    (copy / "metadata.json").write_text(json.dumps(metadata))
    assert read_info(copy).fingerprint != read_info(tiny_records).fingerprint


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("metadata.json", "{", "metadata.json: expected the data set.s metadata as JSON"),
        ("metadata.json", "[]", "metadata.json: expected the data set.s metadata as JSON"),
        ("metadata.json", '{"attributes": ["a", "a"]}', "metadata.json: expected `attributes`"),
        ("metadata.json", '{"attributes": ["a"]}', "metadata.json: unknown landmark scheme"),
        ("dataset_info.json", "{", "dataset_info.json: expected a TFDS description"),
        ("dataset_info.json", "{}", "dataset_info.json: expected a name and splits"),
        ("dataset_info.json", '{"fileFormat": "riegeli"}', "expected fileFormat tfrecord"),
    ],
)
def test_unusable_metadata_is_named(copy, name, text, message):
    (copy / name).write_text(text)
    with pytest.raises(DataError, match=message):
        read_info(copy)


def test_missing_metadata_is_named(copy):
    (copy / "metadata.json").unlink()
    with pytest.raises(DataError, match=r"metadata.json: expected the data set's metadata"):
        read_info(copy)


def test_sound_data_set_passes_both_checks(tiny_records):
    info = read_info(tiny_records)
    for split in info.splits:
        check_shards(info, split)
        find_damage(info, split)
    with pytest.raises(ConfigError, match="Received: dev"):
        check_shards(info, "dev")


def test_records_with_further_features_are_read(copy):
    shard = validation_shard(copy)
    rewrite(shard, lambda _, record: edit(record, landmarks_source=b"dlib"))
    assert read_all(copy) == 12


def test_missing_file_is_named(copy):
    shard = validation_shard(copy)
    shard.unlink()
    with pytest.raises(DataError, match=f"Missing: {shard.name}"):
        read_all(copy)


def test_file_cut_between_records_is_named(copy):
    shard = validation_shard(copy)
    rewrite(shard, lambda index, record: record if index < 9 else None)
    with pytest.raises(DataError, match=f"{shard.name}: expected 12 records. Received: 9"):
        read_all(copy)


def test_file_cut_inside_a_record_is_named(copy):
    shard = validation_shard(copy)
    shard.write_bytes(shard.read_bytes()[:-100])
    with pytest.raises(DataError, match=f"{shard.name}: record 11 is cut off or corrupt"):
        read_all(copy)


def test_flipped_byte_is_named_with_its_record(copy):
    shard = validation_shard(copy)
    data = bytearray(shard.read_bytes())
    data[len(data) // 2] ^= 1
    shard.write_bytes(data)
    with pytest.raises(DataError, match=rf"{shard.name}: record [56] is cut off or corrupt"):
        read_all(copy)


def test_undecodable_picture_is_named_with_its_key(copy):
    shard = validation_shard(copy)
    bad = {"image": b"\xff\xd8\xff broken", "key": b"broken.jpg"}
    rewrite(shard, lambda index, record: edit(record, **bad) if index == 7 else record)
    with pytest.raises(DataError, match=f"{shard.name}: the picture of record 7 .key 'broken.jpg'"):
        read_all(copy)


def test_record_without_a_feature_is_named(copy):
    shard = validation_shard(copy)
    rewrite(shard, lambda index, record: edit(record, labels=None) if index == 2 else record)
    with pytest.raises(DataError, match=f"{shard.name}: record 2 lacks a feature.*labels"):
        read_all(copy)
