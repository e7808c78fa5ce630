import json
import shutil

import numpy as np
import pytest
from model_samples import model_of
from PIL import Image

pytest.importorskip("apache_beam", reason="Apache Beam (tfac[beam]) is not installed")

import pyarrow.parquet as pq

from pipelines.components.bulk_inferrer import bulk_inferrer
from pipelines.engine.artifacts import InferenceResult, Model, ModelBlessing
from pipelines.engine.component import spec
from tfac.attributes import ATTRIBUTES
from tfac.errors import ConfigError, DataError
from tfac.inference.predictor import Predictor
from tfac.photos.pictures import open_picture

pytestmark = pytest.mark.slow  # Beam


@pytest.fixture(scope="module")
def model(tiny_export, tmp_path_factory):
    return model_of(tiny_export, tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Five noise pictures in two folders, one file that is no picture and one of another kind."""
    folder = tmp_path_factory.mktemp("photos")
    (folder / "more").mkdir()
    rng = np.random.default_rng(0)
    for i, name in enumerate(("b.jpg", "a.png", "more/c.JPG", "more/d.jpeg", "e.webp")):
        picture = rng.integers(0, 256, (40 + i, 50, 3), np.uint8)
        Image.fromarray(picture).save(folder / name)
    (folder / "broken.jpg").write_bytes(b"no picture")
    (folder / "notes.txt").write_text("no photo")
    return folder


@pytest.fixture(scope="module")
def result(model, photos, tmp_path_factory):
    made = InferenceResult(tmp_path_factory.mktemp("result"))
    bulk_inferrer(model, made, photos=str(photos), aligned=True, photos_per_file=4)
    return made


def read_rows(result):
    paths = sorted(result.path.glob("*.parquet"))
    return [row for path in paths for row in pq.read_table(path).to_pylist()]


def test_a_row_for_each_face_says_what_the_model_says(result, model, photos):
    rows = read_rows(result)
    assert [row["photo"] for row in rows] == "a.png b.jpg e.webp more/c.JPG more/d.jpeg".split()
    predictor = Predictor(model.path / "saved_model" / "tiny")
    for row in rows:
        picture = open_picture(photos / row["photo"])
        (expected,) = predictor([picture])
        sides = [row[side] for side in ("left", "top", "right", "bottom")]
        assert sides == [0, 0, 50, len(picture)]
        for name in ATTRIBUTES:
            assert row[name] == expected.predictions[name]
            assert row[f"{name}_probability"] == pytest.approx(
                expected.probabilities[name], abs=1e-5
            )


def test_photos_are_counted_and_the_unreadable_named(result):
    summary = json.loads((result.path / "summary.json").read_text())
    assert summary.pop("unreadable").keys() == {"broken.jpg"}
    assert summary == {"photos": 6, "faces": 5, "without_face": 0}
    assert result.properties == {**summary, "unreadable": 1}
    names = sorted(path.name for path in result.path.iterdir())
    assert names == [
        "predictions-00000-of-00002.parquet",
        "predictions-00001-of-00002.parquet",
        "summary.json",
    ]


def test_files_that_are_there_are_not_written_again(result, model, photos, tmp_path):
    again = InferenceResult(tmp_path / "again")
    shutil.copytree(result.path, again.path)
    (again.path / "predictions-00001-of-00002.parquet").unlink()
    kept = again.path / "predictions-00000-of-00002.parquet"
    before = kept.stat().st_mtime_ns
    bulk_inferrer(model, again, photos=str(photos), aligned=True, photos_per_file=4)
    assert kept.stat().st_mtime_ns == before and again.properties == result.properties
    assert [row["photo"] for row in read_rows(again)] == [row["photo"] for row in read_rows(result)]


def test_photos_without_a_face_are_counted(model, photos, tmp_path):
    found = InferenceResult(tmp_path)
    bulk_inferrer(model, found, photos=str(photos), upsample=0)
    assert found.properties == {"photos": 6, "faces": 0, "without_face": 5, "unreadable": 1}
    assert read_rows(found) == []
    schema = pq.read_schema(tmp_path / "predictions-00000-of-00001.parquet")
    assert len(schema) == 5 + 2 * len(ATTRIBUTES)


def test_real_faces_are_found(model, real_faces, tmp_path):
    import tarfile

    with tarfile.open(real_faces / "lfw" / "lfw-deepfunneled.tgz") as archive:
        members = [m for m in archive.getmembers() if m.name.endswith(".jpg")][:3]
        archive.extractall(tmp_path / "photos", members, filter="data")
    found = InferenceResult(tmp_path / "result")
    bulk_inferrer(model, found, photos=str(tmp_path / "photos"), upsample=0)
    assert found.properties["photos"] == 3 and found.properties["faces"] >= 3
    row = read_rows(found)[0]
    assert 0 < row["left"] < row["right"] <= 250 and 0 < row["top"] < row["bottom"] <= 250


def test_a_model_that_is_not_blessed_is_refused(model, photos, tmp_path):
    blessing = ModelBlessing(tmp_path / "blessing", {"blessed": False})
    with pytest.raises(DataError, match="expected a model that is blessed"):
        bulk_inferrer(model, InferenceResult(tmp_path / "a"), blessing, photos=str(photos))


def test_what_is_missing_is_named(model, photos, tmp_path):
    result = InferenceResult(tmp_path / "result")
    with pytest.raises(ConfigError, match="photos: expected pictures in the folder"):
        bulk_inferrer(model, result, photos=str(tmp_path))
    with pytest.raises(ConfigError, match="photos_per_file: expected 1 or more. Received: 0"):
        bulk_inferrer(model, result, photos=str(photos), photos_per_file=0)
    with pytest.raises(DataError, match="saved_model: expected one exported model"):
        bulk_inferrer(Model(tmp_path), result, photos=str(photos))


def test_other_photos_have_another_fingerprint(tmp_path):
    fingerprint = spec(bulk_inferrer).external
    parameters = {"photos": str(tmp_path)}
    empty = fingerprint(parameters)
    (tmp_path / "a.jpg").write_bytes(b"1")
    one = fingerprint(parameters)
    (tmp_path / "notes.txt").write_bytes(b"1")
    assert empty != one == fingerprint(parameters)
    (tmp_path / "a.jpg").write_bytes(b"12")
    assert fingerprint(parameters) != one
