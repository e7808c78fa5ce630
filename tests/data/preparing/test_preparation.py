import json
import shutil

import numpy as np
import pytest
import tensorflow as tf

from tests.data.celeba_files import (
    NAMES,
    PARTITION,
    edit_lines,
    encoded_picture,
    label,
    write_celeba,
)
from tfac.attributes import ATTRIBUTES
from tfac.data.preparing import landmark_annotation, preparation, writing
from tfac.data.preparing.workers import Processes
from tfac.data.records.features import LANDMARK_SOURCES, record_features
from tfac.data.records.info import read_info
from tfac.data.records.pipeline import evaluation_dataset
from tfac.data.sources.celeba import CelebASource
from tfac.errors import ConfigError, DataError
from tfac.files import only_writer
from tfac.landmarks import CELEBA_5, DLIB_68, DLIB_72

LANDMARKS_FILE = "list_landmarks_align_celeba.txt"


def prepare(source, data_dir, **options):
    return preparation.prepare(CelebASource(source), data_dir, workers=Processes(1), **options)


def records(prepared, scheme=DLIB_72) -> dict[str, dict]:
    """Returns every record by its key, the picture still encoded."""
    features = record_features(ATTRIBUTES, scheme, with_landmarks_source=True)
    result = {}
    for path in prepared.path.glob("*.tfrecord*"):
        for serialised in tf.data.TFRecordDataset(str(path)):
            image = tf.io.parse_single_example(
                serialised, {"image": tf.io.FixedLenFeature([], tf.string)}
            )["image"]
            record = {k: v.numpy() for k, v in features.deserialize_example(serialised).items()}
            result[record["key"].decode()] = {**record, "image": image.numpy()}
    return result


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """The tiny CelebA, prepared with dlib, and where it lies."""
    folder = tmp_path_factory.mktemp("celeba")
    return prepare(write_celeba(folder / "source"), folder / "data")


def test_splits_and_metadata_are_stored(prepared):
    assert prepared.splits == {"train": 4, "validation": 2, "test": 2}
    assert not prepared.already_there
    info = read_info(prepared.path.parents[1])
    assert info.splits == prepared.splits and info.landmark_scheme == DLIB_72
    metadata = json.loads((prepared.path / "metadata.json").read_text())
    assert metadata["landmarks"] == "dlib_72" and metadata["skipped"] == {}
    assert set(metadata["source_sha256"]) == {"list_attr_celeba.txt", "list_eval_partition.txt"}


def test_nothing_else_is_left_in_the_data_dir(prepared):
    data_dir = prepared.path.parents[1]
    assert [path.name for path in data_dir.iterdir()] == ["celeba"]
    assert [path.name for path in (data_dir / "celeba").iterdir()] == ["1.0.0"]
    assert all(path.is_file() for path in prepared.path.iterdir())


def test_pictures_are_stored_byte_for_byte_with_their_labels(prepared):
    stored = records(prepared)
    assert set(stored) == set(NAMES)
    for i, name in enumerate(NAMES):
        assert stored[name]["image"] == encoded_picture(i)
        assert stored[name]["size"].tolist() == [32, 26]
        assert stored[name]["labels"].tolist() == [label(i, j) for j in range(40)]
        assert stored[name]["label_mask"].all()


def test_undetected_faces_have_assumed_landmarks_and_say_so(prepared):
    assert prepared.metadata["detected_share"] == 0  # the pictures are noise
    for record in records(prepared).values():
        assert LANDMARK_SOURCES[record["landmarks_source"]] == "assumed"
        assert record["landmarks_valid"]
        assert record["landmarks"].min() >= 0 and record["landmarks"].max() <= 1
        assert np.ptp(record["landmarks"], axis=0).min() > 0.2


def test_input_pipeline_reads_the_records(prepared):
    dataset = evaluation_dataset(
        read_info(prepared.path), "validation", image_size=(32, 26), batch_size=2
    )
    (batch,) = dataset
    assert sorted(batch["key"].numpy()) == [
        name.encode() for name, part in zip(NAMES, PARTITION, strict=True) if part == 1
    ]
    assert batch["landmarks_valid"].numpy().all()


def test_second_run_finds_it_and_ends(prepared):
    data_dir = prepared.path.parents[1]
    before = {path: path.stat().st_mtime_ns for path in prepared.path.iterdir()}
    again = prepare(data_dir.parent / "source", data_dir)
    assert again.already_there and again.splits == prepared.splits
    assert {path: path.stat().st_mtime_ns for path in prepared.path.iterdir()} == before


def test_other_landmarks_or_other_source_do_not_pass_for_the_same(prepared, tmp_path):
    data_dir = prepared.path.parents[1]
    with pytest.raises(ConfigError, match="was prepared with landmarks=dlib_72. Received: .*none"):
        prepare(data_dir.parent / "source", data_dir, landmarks="none")
    other = write_celeba(tmp_path, names=NAMES[:2], partition=(0, 1))
    with pytest.raises(ConfigError, match="was prepared from other annotation files"):
        prepare(other, data_dir)


def test_records_are_the_same_however_the_source_is_laid_out(prepared, tmp_path):
    source = write_celeba(tmp_path / "source", archive=False, nested=True)
    other = records(prepare(source, tmp_path / "data", landmarks="none"))
    for key, record in records(prepared).items():
        assert other[key]["image"] == record["image"]
        np.testing.assert_array_equal(other[key]["labels"], record["labels"])


def test_without_landmarks_none_is_valid(tmp_path):
    prepared = prepare(write_celeba(tmp_path), tmp_path / "data", landmarks="none")
    assert prepared.metadata["detected_share"] is None
    for record in records(prepared).values():
        assert not record["landmarks_valid"] and (record["landmarks"] == 0.5).all()
        assert LANDMARK_SOURCES[record["landmarks_source"]] == "none"


@pytest.mark.slow
def test_dlib_68_has_the_same_points_in_another_order(prepared, tmp_path):
    source = prepared.path.parents[1].parent / "source"
    other = prepare(source, tmp_path, landmarks="dlib_68")
    points_72, points_68 = np.empty((68, 2)), np.empty((68, 2))
    points_72[DLIB_72.source_indices] = records(prepared)[NAMES[0]]["landmarks"]
    points_68[DLIB_68.source_indices] = records(other, DLIB_68)[NAMES[0]]["landmarks"]
    np.testing.assert_array_equal(points_72, points_68)


def test_annotated_landmarks_are_stored_where_there_is_a_row(tmp_path):
    source = write_celeba(tmp_path / "source", landmarks=True)
    edit_lines(
        source / LANDMARKS_FILE, lambda lines: [str(len(NAMES) - 1), *lines[1:2], *lines[3:]]
    )
    options = {"landmarks": "celeba_5", "on_error": "skip"}
    prepared = prepare(source, tmp_path / "data", **options)
    assert prepared.metadata["skipped"] == {"picture without a landmarks row": 1}
    stored = records(prepared, CELEBA_5)
    assert not stored[NAMES[0]]["landmarks_valid"]
    assert LANDMARK_SOURCES[stored[NAMES[1]]["landmarks_source"]] == "annotated"
    np.testing.assert_allclose(stored[NAMES[1]]["landmarks"][2], [88 / 178, 131 / 218], rtol=1e-6)


def test_celeba_5_needs_the_landmarks_file(tmp_path):
    with pytest.raises(
        ConfigError, match="celeba_5 needs a source that brings .* celeba has no file"
    ):
        prepare(write_celeba(tmp_path), tmp_path / "data", landmarks="celeba_5")


def test_landmarks_of_another_shape_than_the_picture_are_refused(tmp_path):
    source = write_celeba(tmp_path / "source", archive=False, landmarks=True)
    for name, size in ((NAMES[0], (178, 178)), (NAMES[1], (218, 178)), (NAMES[2], (64, 52))):
        (source / "img_align_celeba" / name).write_bytes(encoded_picture(0, *size))
    with pytest.raises(DataError, match=f"{NAMES[0]}: expected 178x218.*178x178.*--resized_whole"):
        prepare(source, tmp_path / "data", landmarks="celeba_5")
    prepared = prepare(source, tmp_path / "data", landmarks="celeba_5", on_error="skip")
    assert prepared.metadata["skipped"] == {"picture of another shape than its landmarks": 1}
    valid = {key: record["landmarks_valid"] for key, record in records(prepared, CELEBA_5).items()}
    assert valid == {name: name != NAMES[0] for name in NAMES}
    assert NAMES[0] in (prepared.path / preparation.SKIPPED_NAME).read_text()
    whole = preparation.prepare(
        CelebASource(source, resized_whole=True),
        tmp_path / "whole",
        landmarks="celeba_5",
        workers=Processes(1),
    )
    assert all(record["landmarks_valid"] for record in records(whole, CELEBA_5).values())
    assert prepare(source, tmp_path / "none", landmarks="none").splits["train"] == 4


def test_a_limit_takes_the_same_pictures_always(tmp_path):
    names = tuple(f"{i + 1:06d}.jpg" for i in range(40))
    source = write_celeba(tmp_path / "source", names=names, partition=(0, 0, 1, 2) * 10)
    keys = []
    for limit in (3, 6):
        options = {"landmarks": "none", "limit": {"train": limit, "test": 100}}
        prepared = prepare(source, tmp_path / f"data{limit}", **options)
        assert prepared.splits == {"train": limit, "validation": 10, "test": 10}
        parts = {name: i % 4 for i, name in enumerate(names)}
        keys.append({key for key in records(prepared) if parts[key] < 2})
    assert keys[0] < keys[1] and len(keys[1]) == 6
    with pytest.raises(ConfigError, match="was prepared with .*limit"):
        prepare(source, tmp_path / "data3", landmarks="none")
    for limit in ({"val": 3}, {"train": 0}):
        with pytest.raises(ConfigError, match="limit: expected 1 or more pictures of train, val"):
            prepare(source, tmp_path / "data", limit=limit)


@pytest.fixture
def source_with_broken_picture(tmp_path):
    source = write_celeba(tmp_path / "source", archive=False)
    (source / "img_align_celeba" / NAMES[4]).write_bytes(encoded_picture(4)[:-20])
    return source


def test_picture_that_cannot_be_decoded_stops(source_with_broken_picture, tmp_path):
    message = f"{NAMES[4]}: the picture cannot be decoded: .*list_attr_celeba.txt line 7"
    with pytest.raises(DataError, match=message):
        prepare(source_with_broken_picture, tmp_path / "data", landmarks="none")
    assert not (tmp_path / "data" / "celeba").exists()


def test_picture_that_cannot_be_decoded_is_skipped(source_with_broken_picture, tmp_path, capsys):
    data_dir = tmp_path / "data"
    prepared = prepare(source_with_broken_picture, data_dir, landmarks="none", on_error="skip")
    assert prepared.splits == {"train": 4, "validation": 1, "test": 2}
    assert prepared.metadata["skipped"] == {"picture that cannot be decoded": 1}
    assert NAMES[4] not in records(prepared)
    assert f"{NAMES[4]}: the picture cannot be decoded" in capsys.readouterr().err


def test_split_whose_pictures_are_all_broken_is_left_out(tmp_path):
    source = write_celeba(tmp_path, archive=False, names=NAMES[:2], partition=(0, 1))
    (source / "img_align_celeba" / NAMES[1]).write_bytes(b"")
    prepared = prepare(source, tmp_path / "data", landmarks="none", on_error="skip")
    assert prepared.splits == {"train": 1}


def test_failed_write_leaves_no_data_set_and_keeps_the_annotation(tmp_path, monkeypatch):
    source, data_dir = write_celeba(tmp_path / "source"), tmp_path / "data"

    def full_disk(*arguments, **options):
        raise tf.errors.ResourceExhaustedError(None, None, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(tf.io.TFRecordWriter, "write", full_disk)
        with pytest.raises(DataError, match="records cannot be written: .*No space left on device"):
            prepare(source, data_dir, landmarks="none")
    assert not (data_dir / "celeba" / "1.0.0").exists()
    chunks = {path: path.stat().st_mtime_ns for path in data_dir.rglob("*.npz")}
    assert chunks

    def not_again(*arguments, **options):
        raise AssertionError("annotation began from zero")

    monkeypatch.setattr(landmark_annotation, "_compute_chunk", not_again)
    assert prepare(source, data_dir, landmarks="none").splits["train"] == 4
    assert not (data_dir / ".celeba-preparing").exists()


def test_finished_shards_are_not_written_again(tmp_path, monkeypatch):
    source, data_dir = write_celeba(tmp_path / "source"), tmp_path / "data"
    expected = prepare(source, tmp_path / "whole", landmarks="none")
    write_shard, written = writing._write_shard, []

    def killed(item, data_set):
        if len(written) == 3:
            (item[0].parent / f".{item[0].name}").write_bytes(b"half")
            raise KeyboardInterrupt
        write_shard(item, data_set)
        written.append(item[0])

    with monkeypatch.context() as patch:
        patch.setattr(writing, "_write_shard", killed)
        with pytest.raises(KeyboardInterrupt):
            prepare(source, data_dir, landmarks="none")
    before = {path.name: path.stat().st_mtime_ns for path in written}
    assert not (data_dir / "celeba").exists()
    prepared = prepare(source, data_dir, landmarks="none")
    after = {path.name: path.stat().st_mtime_ns for path in prepared.path.iterdir()}
    assert before.items() <= after.items() and len(before) == 3
    assert [path.name for path in data_dir.iterdir()] == ["celeba"]
    for path in expected.path.iterdir():
        assert (prepared.path / path.name).read_bytes() == path.read_bytes()


def test_annotation_of_other_pictures_is_not_reused(tmp_path):
    source, data_dir = write_celeba(tmp_path / "source", archive=False), tmp_path / "data"
    picture = source / "img_align_celeba" / NAMES[0]
    picture.write_bytes(b"broken")
    with pytest.raises(DataError, match="expected a picture"):
        prepare(source, data_dir, landmarks="none")
    picture.write_bytes(encoded_picture(0))
    assert prepare(source, data_dir, landmarks="none").splits["train"] == 4


def test_data_dir_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "data").write_text("a file where a folder should be")
    with pytest.raises(DataError, match="data_dir .*data: cannot be written"):
        prepare(write_celeba(tmp_path / "source"), tmp_path / "data")


def test_one_writer_at_a_time(tmp_path):
    with only_writer(tmp_path / "data", "data_dir"):
        with pytest.raises(ConfigError, match="another process is writing"):
            prepare(write_celeba(tmp_path / "source"), tmp_path / "data")


@pytest.mark.slow
def test_slice_of_real_faces_is_detected(real_faces, tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    shutil.copy(real_faces / "celeba64" / "img_align_celeba.zip", source)
    for name, header in (("list_attr_celeba.txt", 2), ("list_eval_partition.txt", 0)):
        lines = (real_faces / "celeba64" / name).read_text().splitlines()[: 60 + header]
        if header:
            lines[0] = "60"
        (source / name).write_text("\n".join(lines) + "\n")
    prepared = prepare(source, tmp_path / "data", on_error="skip")
    assert sum(prepared.splits.values()) == 60
    assert prepared.metadata["detected_share"] > 0.8
    assert preparation.LANDMARK_CHOICES["dlib_72"] == DLIB_72
