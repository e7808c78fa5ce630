import functools
import json
import shutil
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.cli import programs
from tests.serving.server.broken_pictures import broken_picture
from tests.serving.server.serve_program import serve_program

pytestmark = pytest.mark.slow  # each runs a program


predict = functools.partial(programs.run, "predict")


def save_crop(path: Path, seed: int, mode: str = "RGB", **options) -> Path:
    picture = np.random.default_rng(seed).integers(0, 256, (109, 89, 3), np.uint8)
    Image.fromarray(picture).convert(mode).save(path, **options)
    return path


@pytest.fixture(scope="module")
def photos(tmp_path_factory) -> Path:
    """A folder of crops in several modes and formats, one of them broken."""
    folder = tmp_path_factory.mktemp("photos")
    save_crop(folder / "a.png", 1)
    save_crop(folder / "b.jpg", 2, "CMYK")
    save_crop(folder / "c.png", 3, "RGBA")
    save_crop(folder / "d.png", 4, "L")
    save_crop(folder / "e.gif", 5, "P")
    turned = Image.Exif()
    turned[0x0112] = 6  # a quarter turn
    save_crop(folder / "a.jpg", 6, exif=turned)
    (folder / "z.png").write_bytes((folder / "a.png").read_bytes()[:2000])
    (folder / "notes.txt").write_text("not a picture")
    return folder


@pytest.fixture(scope="module")
def answered(tiny_export, photos, tmp_path_factory):
    drawn = tmp_path_factory.mktemp("drawn")
    flags = ["--aligned", "--format=json", f"--draw_dir={drawn}", "--batch_size=4"]
    done = predict(f"--saved_model={tiny_export.parent}", *flags, photos)
    return done, [json.loads(line) for line in done.stdout.splitlines()], drawn


def test_every_picture_of_a_folder_is_answered_in_order(answered, photos):
    _, lines, _ = answered
    names = [Path(line["photo"]).name for line in lines]
    assert names == ["a.jpg", "a.png", "b.jpg", "c.png", "d.png", "e.gif", "z.png"]
    for line in lines[:-1]:
        (face,) = line["faces"]
        assert len(face["attributes"]) == 40 and len(face["landmarks"]) == 72
        assert set(face["attributes"]["Smiling"]) == {"shown", "probability", "score"}


def test_broken_picture_is_named_and_the_others_go_on(answered):
    done, lines, _ = answered
    assert done.returncode == 1
    assert "z.png" in done.stderr and "Traceback" not in done.stderr
    assert "z.png" in lines[-1]["error"] and "faces" not in lines[-1]
    assert "7 photos, 6 faces; 1 photo unreadable or without a face" in done.stderr


def test_photo_is_turned_as_its_exif_says(answered):
    _, lines, _ = answered
    assert (lines[0]["width"], lines[0]["height"]) == (109, 89)
    assert (lines[1]["width"], lines[1]["height"]) == (89, 109)


def test_each_readable_photo_is_drawn_under_a_name_of_its_own(answered):
    _, _, drawn = answered
    names = ["a-2.jpg", "a.jpg", "b.jpg", "c.jpg", "d.jpg", "e.jpg"]
    assert sorted(path.name for path in drawn.iterdir()) == names
    with Image.open(drawn / "b.jpg") as picture:
        assert picture.width > 600


def test_table_lists_the_attributes_shown(tiny_export, photos, answered):
    done = predict(f"--saved_model={tiny_export}", "--aligned", photos / "a.png")
    assert done.returncode == 0, done.stderr
    listed = {line.split()[0] for line in done.stdout.splitlines() if line.startswith("    ")}
    _, lines, _ = answered
    attributes = lines[1]["faces"][0]["attributes"]
    assert listed == {"attribute"} | {name for name, one in attributes.items() if one["shown"]}


def test_photo_without_a_face_is_named(tiny_export, photos):
    done = predict(f"--saved_model={tiny_export}", photos / "a.png")
    assert done.returncode == 1 and "a.png: no face found" in done.stderr


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--saved_model=m"], "expected photos or folders"),
        (["--saved_model=m", "."], "expected pictures"),
        (["--saved_model=absent", "a.jpg"], "there is none at absent"),
        (["--saved_model=m", "--model=m", "a.jpg"], "--server and --model together"),
        (["--server=h:1", "a.jpg"], "--server and --model together"),
        (["--server=h", "--model=m", "a.jpg"], "expected HOST:PORT for gRPC"),
    ],
)
def test_unusable_arguments_are_refused_in_one_line(arguments, message, tmp_path):
    done = predict(*arguments, cwd=tmp_path)
    assert done.returncode == 1 and message in done.stderr
    assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1


def test_portraits_show_their_faces(tiny_export, real_faces, tmp_path):
    with tarfile.open(real_faces / "lfw" / "lfw-deepfunneled.tgz") as archive:
        member = next(member for member in archive if member.name.endswith(".jpg"))
        with (tmp_path / "portrait.jpg").open("wb") as file:
            shutil.copyfileobj(archive.extractfile(member), file)
    done = predict(
        f"--saved_model={tiny_export}",
        "--format=json",
        f"--draw_dir={tmp_path / 'drawn'}",
        tmp_path / "portrait.jpg",
    )
    assert done.returncode == 0, done.stderr
    rectangle = json.loads(done.stdout)["faces"][0]["rectangle"]
    assert 30 < rectangle["left"] < 125 < rectangle["right"] < 220
    assert (tmp_path / "drawn" / "portrait.jpg").is_file()


@pytest.fixture(scope="module")
def addresses(tiny_export):
    with serve_program(tiny_export.parent) as program:
        yield program.addresses


@pytest.mark.parametrize("wire", ["grpc", "rest"])
def test_server_answers_as_the_saved_model_does(addresses, photos, answered, wire):
    server = addresses[wire]
    flags = ["--aligned", "--format=json", "--batch_size=4"]
    done = predict(f"--server={server}", "--model=tiny", *flags, photos)
    assert done.returncode == 1 and "z.png" in done.stderr, done.stderr
    assert done.stdout == answered[0].stdout


def test_table_of_a_server_is_that_of_the_saved_model(addresses, tiny_export, photos):
    flags = ["--aligned", photos / "a.png"]
    here = predict(f"--saved_model={tiny_export}", *flags)
    there = predict(f"--server={addresses['rest']}", "--model=tiny", *flags)
    assert there.returncode == 0, there.stderr
    assert there.stdout == here.stdout


def test_programs_end_with_what_the_server_says(addresses, photos):
    done = predict(f"--server={addresses['rest']}", "--model=absent", photos / "a.png")
    assert done.returncode == 1 and done.stderr.count("\n") == 1
    assert done.stderr.startswith(f"error: {addresses['rest']}, model absent: ")


def test_mutated_photos_are_named_or_answered_and_end_nothing(tiny_export, tmp_path):
    random = np.random.default_rng(1)
    for number in range(150):
        (tmp_path / f"{number:03d}.jpg").write_bytes(broken_picture(random).encoded)
    done = predict(f"--saved_model={tiny_export}", "--aligned", "--format=json", tmp_path)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert len(lines) == 150
    for line in lines:
        if "error" in line:
            assert line["photo"] in line["error"] and line["error"] in done.stderr
        else:
            assert line["faces"]
