import cv2
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds
from PIL import Image

from tfac.attributes import ATTRIBUTES, SUBJECTIVE_ATTRIBUTES
from tfac.data.preparing.workers import Processes
from tfac.data.synthetic.drawing import draw_face
from tfac.data.synthetic.faces import (
    PICTURES_PER_IDENTITY,
    SyntheticFacesConfig,
    make_example,
    prepare_synthetic_faces,
    save_contact_sheet,
)
from tfac.data.synthetic.sampling import sample_face
from tfac.errors import ConfigError
from tfac.landmarks import DLIB_72

COUNTS = {"train": 10, "validation": 5, "test": 3}


CONFIG = SyntheticFacesConfig(
    image_size=48, **{f"{split}_count": count for split, count in COUNTS.items()}
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    data_dir = tmp_path_factory.mktemp("faces")
    path, already_there = prepare_synthetic_faces(CONFIG, data_dir, Processes(1))
    assert not already_there
    assert [path.name for path in data_dir.iterdir()] == ["synthetic_faces"]
    return path


def test_prepared_records_load_from_their_folder(folder):
    loaded = tfds.builder_from_directory(folder)
    assert {name: split.num_examples for name, split in loaded.info.splits.items()} == COUNTS
    assert loaded.info.metadata["attributes"] == list(ATTRIBUTES)
    assert loaded.info.metadata["landmark_scheme"] == "dlib_72"


def test_tfds_loads_it_by_name(folder):
    data_dir = folder.parents[2]
    assert folder.relative_to(data_dir).parts == ("synthetic_faces", CONFIG.name, "1.0.0")
    loaded = tfds.load(f"synthetic_faces/{CONFIG.name}:1.0.0", split="test", data_dir=data_dir)
    assert len(list(loaded)) == COUNTS["test"]


def test_second_run_finds_it_and_ends(folder):
    before = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    assert prepare_synthetic_faces(CONFIG, folder.parents[2]) == (folder, True)
    assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == before


@pytest.mark.slow
def test_two_processes_draw_the_same_records(folder, tmp_path):
    other, _ = prepare_synthetic_faces(CONFIG, tmp_path, Processes(2))
    for path in folder.iterdir():
        assert (other / path.name).read_bytes() == path.read_bytes()


def test_records_hold_what_make_example_drew(folder):
    stored = (
        tfds.builder_from_directory(folder)
        .as_dataset(split="train", decoders={"image": tfds.decode.SkipDecoding()})
        .as_numpy_iterator()
    )
    by_key = {record["key"].decode(): record for record in stored}
    assert len(by_key) == COUNTS["train"]
    for number in range(COUNTS["train"]):
        expected = make_example(CONFIG, "train", number)
        record = by_key[expected["key"]]
        assert record["image"] == expected["image"]
        for name in ("labels", "label_mask", "landmarks", "landmarks_valid", "size"):
            np.testing.assert_array_equal(record[name], expected[name])


def test_keys_are_unique_and_splits_share_no_identity():
    config = SyntheticFacesConfig(image_size=32)
    looks = {}
    for split in COUNTS:
        keys = [make_example(config, split, number)["key"] for number in range(9)]
        assert len(set(keys)) == 9
        looks[split] = {sample_face(config.seed, split, identity, 0).look for identity in range(50)}
    assert not looks["train"] & looks["validation"]
    assert not looks["train"] & looks["test"]
    assert not looks["validation"] & looks["test"]


def test_example_does_not_depend_on_the_counts():
    few = SyntheticFacesConfig(image_size=32, train_count=5)
    many = SyntheticFacesConfig(image_size=32, train_count=500)
    assert make_example(few, "train", 4)["image"] == make_example(many, "train", 4)["image"]


def test_consecutive_pictures_show_one_identity():
    config = SyntheticFacesConfig(image_size=32)
    keys = [make_example(config, "test", number)["key"] for number in range(PICTURES_PER_IDENTITY)]
    assert len({key.rsplit("-", 1)[0] for key in keys}) == 1


def test_stored_picture_is_the_drawn_one():
    config = SyntheticFacesConfig(image_size=96)
    example = make_example(config, "train", 0)
    drawn, landmarks = draw_face(sample_face(0, "train", 0, 0), 96)
    decoded = tf.io.decode_jpeg(example["image"]).numpy()
    assert cv2.PSNR(decoded, drawn) > 24
    np.testing.assert_array_equal(example["landmarks"], landmarks[DLIB_72.source_indices])


def test_label_noise_changes_labels_but_not_pictures():
    clean, noisy = (
        SyntheticFacesConfig(image_size=32),
        SyntheticFacesConfig(image_size=32, label_noise=0.3),
    )
    changed = np.zeros(len(ATTRIBUTES), bool)
    for number in range(40):
        first, second = make_example(clean, "train", number), make_example(noisy, "train", number)
        assert first["image"] == second["image"]
        changed |= first["labels"] != second["labels"]
    assert {ATTRIBUTES[index] for index in np.flatnonzero(changed)} <= set(SUBJECTIVE_ATTRIBUTES)
    assert changed.sum() > 10


@pytest.mark.parametrize(
    "other",
    [
        {"image_size": 64},
        {"train_count": 7},
        {"validation_count": 7},
        {"test_count": 7},
        {"seed": 1},
        {"label_noise": 0.1},
    ],
)
def test_other_settings_have_another_name(other):
    assert SyntheticFacesConfig().name != SyntheticFacesConfig(**other).name


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("image_size", 16),
        ("image_size", 5000),
        ("train_count", 0),
        ("seed", -1),
        ("label_noise", 0.5),
    ],
)
def test_settings_out_of_range_are_refused_by_name(setting, value):
    with pytest.raises(ConfigError, match=f"{setting}.*{value}"):
        SyntheticFacesConfig(**{setting: value})


@pytest.mark.slow
def test_contact_sheet_is_a_picture_with_a_strip_for_each_attribute(tmp_path):
    path = tmp_path / "sheet.png"
    save_contact_sheet(path, examples=2, face_size=32)
    with Image.open(path) as sheet:
        assert sheet.width > 2 * 2 * 2 * 32
        assert sheet.height > 20 * 32
