import io
import subprocess
import sys

import numpy as np
import pytest
from PIL import ExifTags, Image

import tfac
from tests.fixed_detector import FixedDetector
from tfac.errors import ConfigError, DataError, PicturesError
from tfac.inference.photo_prediction import FoundFace
from tfac.inference.predictor import Predictor


@pytest.fixture(scope="module")
def predictor(tiny_export):
    return Predictor(tiny_export)


@pytest.fixture(autouse=True)
def detector(monkeypatch):
    monkeypatch.setattr(
        "tfac.inference.analysis.detector_for", lambda _, upsample, *_args: FixedDetector(upsample)
    )


@pytest.fixture(scope="module")
def photo():
    return np.random.default_rng(0).integers(0, 256, (240, 320, 3), np.uint8)


def png(array, **options):
    file = io.BytesIO()
    Image.fromarray(array).save(file, "png", **options)
    return file.getvalue()


def test_one_photo_has_its_faces_and_several_have_theirs(predictor, tiny_export, photo):
    faces = tfac.analyze(photo, tiny_export.parent)
    assert len(faces) == 1 and isinstance(faces[0], FoundFace)
    assert faces[0].rectangle == (80, 60, 240, 180) and faces[0].landmarks.shape == (72, 2)
    dark = np.zeros_like(photo)
    several = tfac.analyze([photo, dark, png(photo), Image.fromarray(photo)], predictor)
    assert [len(one) for one in several] == [1, 0, 1, 1]
    for i in (0, 2, 3):
        assert several[i][0].prediction.scores == pytest.approx(
            faces[0].prediction.scores, abs=1e-5
        )


def test_files_are_read_upright_and_opencv_order_is_turned(predictor, photo, tmp_path):
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    (tmp_path / "turned.png").write_bytes(png(np.rot90(photo), exif=exif))
    expected = tfac.analyze(photo, predictor)[0].prediction.scores
    for given, order in ((tmp_path / "turned.png", "rgb"), (photo[..., ::-1], "bgr")):
        (face,) = tfac.analyze(given, predictor, color_order=order)
        assert face.prediction.scores == pytest.approx(expected, abs=1e-5)


def test_crops_are_taken_as_they_are(predictor, photo):
    (face,) = tfac.analyze(photo, predictor, aligned=True)
    assert face.rectangle == (0, 0, 320, 240)
    assert face.prediction.scores == predictor(photo).scores


def test_broken_photo_loses_no_other(predictor, photo):
    given = [photo, b"no picture", photo, "absent.jpg"]
    with pytest.raises(PicturesError, match="2 of 4 pictures: picture 1: expected a pic.*absent"):
        tfac.analyze(given, predictor)
    with pytest.warns(UserWarning, match="absent.jpg"):
        faces = tfac.analyze(given, predictor, on_error="skip")
    assert [one and len(one) for one in faces] == [1, None, 1, None]
    assert len(faces.to_dataframe()) == 2
    with pytest.raises(DataError, match="there is none at"):
        tfac.analyze(photo, "absent")


def test_table_has_a_row_for_each_face(predictor, photo, tmp_path):
    (tmp_path / "a.png").write_bytes(png(photo))
    table = tfac.analyze(
        [tmp_path / "a.png", photo, np.zeros_like(photo)], predictor
    ).to_dataframe()
    assert table["photo"].tolist() == [str(tmp_path / "a.png"), "picture 1"]
    assert table[["left", "top", "right", "bottom"]].values.tolist() == [[80, 60, 240, 180]] * 2
    assert table["Smiling"].dtype == bool and table["Smiling_probability"].between(0, 1).all()
    assert len(table.columns) == 6 + 2 * 40
    empty = tfac.analyze(np.zeros_like(photo), predictor).to_dataframe()
    assert len(empty) == 0 and "photo" in empty


def test_missing_pandas_is_named(predictor, photo, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ConfigError, match="pip install pandas"):
        tfac.analyze(photo, predictor).to_dataframe()


def test_drawing_is_wider_by_its_panel(predictor, photo):
    faces = tfac.analyze(png(photo), predictor)
    drawn = faces.draw()
    assert isinstance(drawn, Image.Image) and drawn.width > 640 and drawn.height >= 480


def test_repr_is_a_line_a_face(predictor, photo):
    text = repr(tfac.analyze(photo, predictor))
    assert text.startswith("picture 0: 1 face\n  FoundFace(160x120 at 80, 60: Prediction(")
    assert len(text) < 200


def test_it_is_offered_without_importing_tensorflow():
    program = (
        "import sys, tfac; assert 'analyze' in dir(tfac); sys.exit('tensorflow' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0
