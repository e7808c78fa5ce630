import os
import shutil

import numpy as np
import pytest
import tensorflow as tf

pytest.importorskip("apache_beam", reason="Apache Beam (tfac[beam]) is not installed")

from PIL import Image

from pipelines.components.example_gen import example_gen
from pipelines.engine.artifacts import Examples
from pipelines.engine.caching import read_contents
from pipelines.engine.component import spec
from tfac.data.records.info import read_info
from tfac.errors import ConfigError, DataError

FACES = {"image_size": 32, "train_count": 20, "validation_count": 8, "test_count": 4}


def records(path, split):
    info = read_info(path)
    for record in tf.data.TFRecordDataset(info.shards(split)):
        yield {name: value.numpy() for name, value in info.parse(record).items()}


@pytest.fixture(scope="module")
def faces(tmp_path_factory):
    made = Examples(tmp_path_factory.mktemp("faces"))
    example_gen(made, dataset="synthetic_faces", options=FACES)
    return made


@pytest.mark.slow
def test_synthetic_faces_are_drawn(faces):
    info = read_info(faces.path)
    assert info.splits == faces.properties["splits"] == {"train": 20, "validation": 8, "test": 4}
    assert faces.properties["name"] == "synthetic_faces"
    assert faces.properties["fingerprint"] == info.fingerprint
    assert faces.properties["attributes"] == list(info.attributes)
    assert faces.properties["skipped"] == {}


def write_folder(path):
    path.mkdir()
    rows = ["picture,Smiling,Hat"]
    for i in range(30):
        picture = np.full((40, 40, 3), 8 * i, np.uint8)
        Image.fromarray(picture).save(path / f"{i}.png")
        rows.append(f"{i}.png,{i % 2},{i % 3 // 2}")
    (path / "labels.csv").write_text("\n".join(rows) + "\n")
    return {"source_dir": str(path), "options": {"labels": str(path / "labels.csv")}}


@pytest.mark.slow
def test_a_folder_is_read_and_broken_pictures_are_counted(tmp_path):
    where = write_folder(tmp_path / "source")
    (tmp_path / "source" / "3.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match="3.png: expected a picture"):
        example_gen(Examples(tmp_path / "stop"), dataset="folder", landmarks="none", **where)
    made = Examples(tmp_path / "skip")
    example_gen(made, dataset="folder", landmarks="none", on_error="skip", **where)
    assert made.properties["attributes"] == ["Smiling", "Hat"]
    assert sum(made.properties["splits"].values()) == 29
    assert list(made.properties["skipped"].values()) == [1]
    for record in records(made.path, "train"):
        number = int(record["key"].decode().removesuffix(".png"))
        assert record["labels"].tolist() == [number % 2, number % 3 // 2]


def test_prepared_records_are_copied(tiny_records, tmp_path):
    made = Examples(tmp_path / "examples")
    (made.path / tiny_records.name).mkdir(parents=True)  # a copy that was stopped
    (made.path / tiny_records.name / "half").touch()
    example_gen(made, dataset="records", source_dir=str(tiny_records))
    assert made.properties["splits"] == {"train": 24, "validation": 12, "test": 8}
    names = {path.name for path in (made.path / tiny_records.name).iterdir()}
    assert names == {path.name for path in tiny_records.iterdir()}


def test_cut_off_records_are_not_copied(tiny_records, tmp_path):
    shutil.copytree(tiny_records, tmp_path / "source")
    (shard,) = (tmp_path / "source").glob("*test*tfrecord*")
    shard.write_bytes(shard.read_bytes()[:-10])
    with pytest.raises(DataError, match="record 7 is cut off"):
        example_gen(
            Examples(tmp_path / "a"), dataset="records", source_dir=str(tmp_path / "source")
        )


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"dataset": "celebb", "source_dir": "."}, "dataset: expected one of celeba, .*celebb"),
        ({"dataset": "celeba"}, "celeba: expected source_dir for all but synthetic_faces"),
        ({"dataset": "synthetic_faces", "source_dir": "."}, "expected source_dir for all but"),
        (
            {"dataset": "synthetic_faces", "options": {"size": 3}},
            "synthetic_faces: expected options among image_size, .*Received: size",
        ),
        (
            {"dataset": "celeba", "source_dir": ".", "options": {"protocol": "a"}},
            "celeba: expected options of CelebASource",
        ),
        (
            {"dataset": "celeba", "source_dir": ".", "landmarks": "dlib"},
            "landmarks: expected one of dlib_72, .*Received: dlib",
        ),
        (
            {"dataset": "celeba", "source_dir": ".", "on_error": "go"},
            "on_error: expected one of stop, skip. Received: go",
        ),
        (
            {"dataset": "synthetic_faces", "beam_options": ["--nonsense"], "options": FACES},
            "beam_option: expected options of Beam",
        ),
    ],
)
def test_parameters_that_cannot_be_used_are_named(tmp_path, parameters, message):
    with pytest.raises(ConfigError, match=message):
        example_gen(Examples(tmp_path), **parameters)


def test_a_source_has_another_fingerprint_when_a_file_changes(tmp_path):
    fingerprint, where = spec(example_gen).external, write_folder(tmp_path / "source")
    parameters = {"dataset": "folder", **where}
    before = fingerprint(parameters)
    assert fingerprint(parameters) == before
    assert fingerprint({"dataset": "synthetic_faces", "options": None}) != before
    labels = tmp_path / "source" / "labels.csv"
    text = labels.read_text()
    labels.write_text(text.replace("3.png,1", "3.png,0"))  # as many bytes
    os.utime(labels, ns=(1, 1))
    assert fingerprint(parameters) != before
    (tmp_path / "source" / "4.png").unlink()
    assert len({before, fingerprint(parameters)}) == 2


@pytest.mark.slow
def test_the_same_source_gives_the_same_bytes_in_processes_of_beam(faces, tmp_path):
    again = Examples(tmp_path)
    options = ["--direct_num_workers=2", "--direct_running_mode=multi_processing"]
    example_gen(again, dataset="synthetic_faces", options=FACES, beam_options=options)
    contents = [read_contents(made.path, made.properties) for made in (faces, again)]
    assert contents[0] == contents[1] and contents[0].num_files > 3
