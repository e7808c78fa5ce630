import functools
import json
import shutil
import tarfile
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image
from pyarrow import csv

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
        (["--saved_model=m", "--format=parquet", "a.jpg"], "expected --output=FILE"),
        (["--saved_model=absent", "a.jpg"], "there is none at absent"),
        (["--saved_model=m", "--model=m", "a.jpg"], "--server and --model together"),
        (["--server=h:1", "a.jpg"], "--server and --model together"),
        (["--server=h", "--model=m", "a.jpg"], "expected HOST:PORT for gRPC"),
    ],
)
def test_unusable_arguments_are_refused_in_one_line(arguments, message, tmp_path):
    (tmp_path / "a.jpg").touch()
    done = predict(*arguments, cwd=tmp_path)
    assert done.returncode == 1 and message in done.stderr
    assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "argument, message",
    [
        (".", "expected photos (.jpg, "),
        ("https://example.com/a.jpg", "Received: a URL; nothing is loaded"),
        ("missing.jpg", "missing.jpg: the file is missing"),
        ("*.jpg", "*.jpg: expected photos. Received: no file of this form"),
    ],
)
def test_what_is_no_photo_is_named_with_its_reason(argument, message, tmp_path):
    done = predict("--saved_model=m", "--format=json", argument, cwd=tmp_path)
    assert done.returncode == 1
    said, summary = done.stderr.splitlines()
    assert said == f"error: {json.loads(done.stdout)['error']}" and message in said
    assert said.startswith(f"error: {argument}: ") and summary.startswith("1 photo, 0 faces")


@pytest.fixture
def album(tmp_path) -> Path:
    """A folder of four crops in two folders, and what is no photo of it."""
    album = tmp_path / "album"
    (album / "2024").mkdir(parents=True)
    for number, name in enumerate(("a.jpg", "b.avif", "2024/c.webp")):
        save_crop(album / name, number)
    save_crop(album / "2024" / "d.jfif", 3, format="JPEG")
    (album / "._a.jpg").write_bytes(bytes(24))
    (album / "notes.txt").touch()
    (album / "clip.mp4").touch()
    return album


def test_folders_and_patterns_are_gone_through_and_the_rest_is_counted(tiny_export, album):
    flags = [f"--saved_model={tiny_export}", "--aligned", "--format=json"]
    done = predict(*flags, "album", "alb*", "album/*.jpg", "album/gone.jpg", cwd=album.parent)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    below = ["album/a.jpg", "album/b.avif", "album/2024/c.webp", "album/2024/d.jfif"]
    expected = [*below, *below, "album/a.jpg", "album/gone.jpg"]
    assert [line["photo"] for line in lines] == expected
    assert "error: album/gone.jpg: the file is missing" in done.stderr
    assert done.stderr.count("album: passed over 1 .mp4, 1 .txt, 1 hidden\n") == 2
    assert done.returncode == 1 and "10 photos, 9 faces; 1 photo unreadable" in done.stderr


def test_tables_have_a_row_for_each_face(tiny_export, album):
    (album / "broken.jpg").write_bytes(b"no picture")
    tables = []
    for kind, read in (("csv", csv.read_csv), ("parquet", pq.read_table)):
        file = album.parent / f"faces.{kind}"
        flags = [f"--saved_model={tiny_export}", "--aligned", f"--format={kind}"]
        done = predict(*flags, f"--output={file}", album)
        assert done.returncode == 1 and not done.stdout and "broken.jpg" in done.stderr
        tables.append(read(file).to_pylist())
    done = predict(f"--saved_model={tiny_export}", "--aligned", "--format=json", album)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    lines = [line for line in lines if "error" not in line]
    for table in tables:
        assert [row["photo"] for row in table] == [line["photo"] for line in lines]
        for row, line in zip(table, lines, strict=True):
            (face,) = line["faces"]
            assert [row[side] for side in face["rectangle"]] == list(face["rectangle"].values())
            for name, said in face["attributes"].items():
                assert row[name] == said["shown"]
                assert row[f"{name}_probability"] == pytest.approx(said["probability"], abs=1e-4)


def test_lines_go_on_behind_those_that_a_file_has(tiny_export, album):
    file = album.parent / "faces.jsonl"
    flags = [f"--saved_model={tiny_export}", "--aligned", "--format=json", f"--output={file}"]
    assert predict(*flags, album).returncode == 0
    whole = file.read_text()
    first, second = whole.splitlines(keepends=True)[:2]
    file.write_text(first + second[:-9])
    done = predict(*flags, album)
    assert done.returncode == 0 and file.read_text() == whole
    assert "3 photos, 3 faces; 1 photo in" in done.stderr
    save_crop(album / "a.jpg", 0)
    broken = json.dumps({"photo": str(album / "a.jpg"), "error": "no picture"})
    elsewhere = json.dumps({"photo": "elsewhere.jpg", "error": "no picture"})
    others = "".join(whole.splitlines(keepends=True)[1:])
    file.write_text(f"{broken}\n{elsewhere}\n{others}")
    assert predict(*flags, album).returncode == 0
    assert file.read_text() == f"{elsewhere}\n{others}{first}"
    file.write_text("my notes")
    done = predict(*flags, album)
    assert done.returncode == 1 and "expected lines of --format=json" in done.stderr
    assert file.read_text() == "my notes"


def test_of_a_document_of_several_pages_the_first_is_taken_and_that_is_said(tiny_export, tmp_path):
    pages = [Image.new("RGB", (89, 109), colour) for colour in ("white", "black")]
    pages[0].save(tmp_path / "scan.tif", save_all=True, append_images=pages[1:])
    done = predict(f"--saved_model={tiny_export}", "--aligned", tmp_path / "scan.tif")
    assert done.returncode == 0 and "scan.tif: of its pages the first is taken" in done.stderr


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
