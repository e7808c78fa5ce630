"""From own photos to answers: the network is asked about the pictures it was trained on."""

import json

import numpy as np
import pytest
from PIL import Image

from tests.cli import programs
from tfac.data.preparing.landmark_annotation import boxed_name
from tfac.data.preparing.preparation import prepare
from tfac.data.preparing.workers import Processes
from tfac.data.records.info import read_info
from tfac.data.records.pipeline import evaluation_dataset
from tfac.data.sources.folder import FolderSource
from tfac.data.synthetic.drawing import draw_face
from tfac.data.synthetic.sampling import sample_face
from tfac.errors import ConfigError, DataError
from tfac.photos.face_crops import crop_faces, takes_whole, whole_crop
from tfac.photos.face_detection import FaceDetector
from tfac.photos.pictures import open_picture

NAMES = [f"{number}.jpg" for number in range(6)]


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """A folder of photos, 300x400, of one face each, the first of two; and ``labels.csv``.

    The second is stored lying on its side, as telephones do.
    """
    folder = tmp_path_factory.mktemp("photos")
    for number, name in enumerate(NAMES):
        photo = np.full((300, 400, 3), 90 + 20 * number, np.uint8)
        face, _ = draw_face(sample_face(0, "train", number + 3, 0), 200)
        photo[60:260, 10 * number : 10 * number + 200] = face
        if number == 0:
            photo[100:250, 230:380] = draw_face(sample_face(0, "train", 4, 0), 150)[0]
        picture, exif = Image.fromarray(photo), Image.Exif()
        if number == 1:
            picture, exif[0x0112] = picture.transpose(Image.Transpose.ROTATE_90), 6
        picture.save(folder / name, quality=92, exif=exif)
    table = [f"{name},{number % 2},{number // 3}" for number, name in enumerate(NAMES)]
    (folder / "labels.csv").write_text("file,Scarf,Smiling\n" + "\n".join(table) + "\n")
    return folder


def prepared(photos, data_dir, shares=(0.5, 0.5, 0), **options):
    source = FolderSource(photos, photos / "labels.csv", split_shares=shares)
    return prepare(source, data_dir, workers=Processes(1), **options)


def pictures_in(path, size):
    """Key to picture, as evaluation and training see them."""
    info = read_info(path)
    return {
        key.decode(): picture
        for split, count in info.splits.items()
        for batch in evaluation_dataset(info, split, image_size=size, batch_size=count)
        for key, picture in zip(batch["key"].numpy(), batch["images"].numpy(), strict=True)
    }


def test_records_hold_the_crops_that_prediction_makes(photos, tmp_path):
    prepared(photos, tmp_path / "crops", faces="aligned")  # whose faces are looked for otherwise
    result = prepared(photos, tmp_path / "data")
    assert result.metadata["faces"] == "aligned" and result.metadata["several_faces"] == 1
    assert result.metadata["detected_share"] == 1
    assert result.metadata["face_detector"] == {"name": "mtcnn", "align_by": "dlib"}
    assert read_info(result.path).face_detector == result.metadata["face_detector"]
    seen = pictures_in(tmp_path / "data", (218, 178))
    detector = FaceDetector()
    for name in NAMES:
        crops = crop_faces(open_picture(photos / name), detector)
        np.testing.assert_array_equal(seen[name], crops[0].image)


def test_photos_are_aligned_without_landmarks_by_the_points_of_the_detector(photos, tmp_path):
    with pytest.raises(ConfigError, match="landmarks=none"):
        prepared(photos, tmp_path / "data", align_by="points")
    options = {"align_by": "points", "landmarks": "none", "faces": "largest"}
    prepared(photos, tmp_path / "data", **options)
    seen = pictures_in(tmp_path / "data", (218, 178))
    for name in NAMES:
        crops = crop_faces(open_picture(photos / name), FaceDetector(align_by="points"))
        np.testing.assert_array_equal(seen[name], crops[0].image)
    with pytest.raises(ConfigError, match="was prepared with"):
        prepared(photos, tmp_path / "data", **{**options, "align_by": "dlib"})


def test_pictures_are_taken_whole_where_it_is_said_or_no_face_can_be_found(photos, tmp_path):
    for number, options in enumerate(({"faces": "whole"}, {"landmarks": "none"})):
        result = prepared(photos, tmp_path / str(number), **options)
        assert result.metadata["faces"] == "whole"
        seen = pictures_in(tmp_path / str(number), (300, 400))
        for name in NAMES:
            np.testing.assert_array_equal(seen[name], open_picture(photos / name))


# How far crops may be from those of the whole photo: found in a part of it, in another grid.
@pytest.mark.parametrize(("name", "most"), [("dlib", 4), ("mtcnn", 6)])
def test_each_face_of_a_photo_may_have_its_row(photos, tmp_path, name, most):
    first, second = (NAMES[0], 40, 90, 170, 230), (NAMES[0], 250, 130, 350, 230)
    boxes = [first, second, (NAMES[2], 50, 80, 180, 230)]
    rows = [",".join(map(str, (*box, number % 2))) for number, box in enumerate(boxes)]
    table = tmp_path / "faces.csv"
    table.write_text("file,left,top,right,bottom,Scarf\n" + "\n".join(rows) + "\n")
    options = {"box_columns": ("left", "top", "right", "bottom"), "split_shares": (1, 0, 0)}
    source = FolderSource(photos, table, **options)
    options = {"workers": Processes(1), "on_error": "skip", "detector": name}
    result = prepare(source, tmp_path / "data", **options)
    assert result.splits == {"train": 3} and result.metadata["faces"] == "aligned"
    seen, detector = pictures_in(tmp_path / "data", (218, 178)), FaceDetector(name=name)
    crops = [c for n in (0, 2) for c in crop_faces(open_picture(photos / NAMES[n]), detector)]
    for (photo, *box), crop in zip(boxes, crops, strict=True):
        difference = seen[boxed_name(photo, box)].astype(int) - crop.image
        assert np.abs(difference).mean() < most
    with pytest.raises(ConfigError, match="faces=whole: expected no boxes"):
        prepare(source, tmp_path / "other", faces="whole")
    with pytest.raises(ConfigError, match="the four columns"):
        FolderSource(photos, table, box_columns=("left", "top"))


def test_a_photo_without_a_face_stops_or_is_left_out(photos, tmp_path, capsys):
    photos_there = tmp_path / "photos"
    photos_there.mkdir()
    for name in ("labels.csv", *NAMES):
        (photos_there / name).write_bytes((photos / name).read_bytes())
    Image.new("RGB", (300, 200), "gray").save(photos_there / NAMES[3])
    with pytest.raises(DataError, match=r"3.jpg: expected a photo with a face.* faces=whole"):
        prepared(photos_there, tmp_path / "data")
    result = prepared(photos_there, tmp_path / "data", on_error="skip")
    assert result.metadata["skipped"] == {"photo without a face": 1}
    assert sum(result.splits.values()) == 5


def test_another_choice_of_faces_is_another_data_set(photos, tmp_path):
    prepared(photos, tmp_path, faces="whole")
    with pytest.raises(ConfigError, match="prepared with faces=whole. Received: faces=largest"):
        prepared(photos, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("faces", ["largest", "whole"])
def test_the_network_is_asked_about_the_pictures_it_was_trained_on(photos, tmp_path, faces):
    data, workdir = f"--data_dir={tmp_path / 'data'}", f"--workdir={tmp_path / 'run'}"
    small = ["--image_size=32", "--batch_size=2", "--epochs=1", "--updates_per_epoch=1"]
    own = ["--dataset=folder", f"--source_dir={photos}", f"--labels={photos / 'labels.csv'}"]
    for program, *arguments in (
        ("prepare", data, *own, f"--faces={faces}", "--split_shares=0.5,0.5,0", "--workers=1"),
        ("train", data, workdir, "--model=baseline", "--protocol=small", *small),
        ("export", workdir, "--name=own", f"--saved_models_dir={tmp_path / 'saved_models'}"),
    ):
        finished = programs.run(program, *arguments)
        assert finished.returncode == 0, finished.stderr
    export = tmp_path / "saved_models" / "own"
    asked = programs.run(
        "predict", f"--saved_model={export}", "--format=json", *(str(photos / n) for n in NAMES)
    )
    assert asked.returncode == 0, asked.stderr
    assert ("trained on whole pictures" in asked.stderr) == (faces == "whole")

    from tfac import Predictor

    predictor, detector = Predictor(export), FaceDetector()
    assert takes_whole(predictor.metadata, None) == (faces == "whole")
    seen = pictures_in(tmp_path / "data", (32, 32))
    answers = predictor([seen[name] for name in NAMES])
    for name, answer, line in zip(NAMES, answers, asked.stdout.splitlines(), strict=True):
        photo = open_picture(photos / name)
        crops = [whole_crop(photo)] if faces == "whole" else crop_faces(photo, detector)
        told = json.loads(line)["faces"]
        assert len(told) == len(crops)
        for attribute, score in answer.scores.items():
            assert told[0]["attributes"][attribute]["score"] == pytest.approx(score, abs=1e-4)
