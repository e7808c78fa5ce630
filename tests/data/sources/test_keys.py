import zipfile

import pytest

from tfac.data.sources.keys import PictureKeys
from tfac.photos.pictures import PictureFiles

NAMES = ("p/0.jpg", "p/1.jpg", "p/1.png", "q/r/2.JPG", "q/r/3.v2.jpg", "00007.png")


@pytest.fixture(params=["folder", "archive"])
def keys(request, tmp_path):
    folder = tmp_path / "data"
    for name in (*NAMES, "p/4.cr2"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"")
    if request.param == "folder":
        return PictureKeys(PictureFiles(folder, nested=True))
    with zipfile.ZipFile(tmp_path / "data.zip", "w") as archive:
        for name in (*NAMES, "p/4.cr2"):
            archive.write(folder / name, name)
    return PictureKeys(PictureFiles(tmp_path / "data.zip", nested=True))


@pytest.mark.parametrize(
    ("key", "names"),
    [
        ("p/0.jpg", ["p/0.jpg"]),
        ("./p/0.jpg", ["p/0.jpg"]),
        ("p\\0.jpg", ["p/0.jpg"]),
        (".\\p\\\\0.jpg", ["p/0.jpg"]),
        ("p/0", ["p/0.jpg"]),
        ("q/r/3.v2", ["q/r/3.v2.jpg"]),
        ("00007", ["00007.png"]),
        ("7", ["00007.png"]),
        ("007.png", ["00007.png"]),
        ("7.jpg", []),
        ("p/000.jpg", ["p/0.jpg"]),
        ("p", ["p/0.jpg", "p/1.jpg", "p/1.png"]),
        ("q/", ["q/r/2.JPG", "q/r/3.v2.jpg"]),
        ("p/1", []),  # two pictures
        ("../p/0.jpg", []),
        ("", []),
        (".", []),
    ],
)
def test_keys_mean_pictures_and_folders(keys, key, names):
    assert list(keys.find(key)) == names


def test_the_nearer_of_two_pictures_is_meant(tmp_path):
    for name in ("7.jpg", "0007.jpg"):
        (tmp_path / name).write_bytes(b"")
    keys = PictureKeys(PictureFiles(tmp_path))
    assert [list(keys.find(key)) for key in ("7", "0007", "07")] == [["7.jpg"], ["0007.jpg"], []]


def test_absolute_paths_below_the_folder_are_found(tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"")
    assert list(PictureKeys(PictureFiles(tmp_path)).find(f"{tmp_path}/a.jpg")) == ["a.jpg"]


@pytest.mark.parametrize(
    ("key", "hint"),
    [
        ("p/0.JPG", "p/0.jpg is there. Write it in the same case"),
        ("P/0.jpg", "p/0.jpg is there. Write it in the same case"),
        ("p/0.png", "p/0.jpg is there. Write .jpg, or leave the extension out"),
        ("p/1", "it means p/1.jpg or p/1.png; write it so, with the extension"),
        ("other/p/0.jpg", "p/0.jpg is there. Leave other/ out of the table"),
        ("7.jpg", "00007.png is there. Write it so in the table"),
        ("q/R", "q/r is there. Write it in the same case"),
        ("Q R/2.JPG", "q/r/2.JPG is there. Where that is the picture, write it so in the table"),
        ("p/4.cr2", "the file is there, and .cr2 is not read; JPEG, PNG, WebP, AVIF and TIFF are"),
    ],
)
def test_what_is_there_in_another_form_is_named(keys, key, hint):
    message = keys.missing(key)
    assert message.startswith(f"{key} is missing from {keys._pictures.path}")
    assert hint in message


def test_the_folder_to_take_is_named(tmp_path):
    keys = PictureKeys(PictureFiles(tmp_path, nested=True))
    (tmp_path / "p" / "x").mkdir(parents=True)
    (tmp_path / "p" / "x" / "0.jpg").write_bytes(b"")
    assert f"Take --source_dir={tmp_path / 'p'}" in keys.missing("x/0.jpg")
    keys = PictureKeys(PictureFiles(tmp_path / "p", nested=True))
    assert f"Take --source_dir={tmp_path}" in keys.missing("p/x/0.jpg")


@pytest.mark.parametrize("key", ["z.jpg", "other/1.jpg"])  # two pictures are called 1
def test_what_is_nowhere_has_no_hint(keys, key):
    assert keys.missing(key) == f"{key} is missing from {keys._pictures.path}"
