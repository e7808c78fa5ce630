"""Broken input of every kind."""

import io
import struct
import subprocess
import sys
import zipfile
import zlib

import numpy as np
import pytest
from PIL import Image

from tests.data.celeba_files import encoded_picture, write_celeba
from tfac.data.preparing.preparation import prepare
from tfac.data.preparing.workers import Processes
from tfac.data.records.info import find_damage, read_info
from tfac.data.sources.celeba import CelebASource
from tfac.data.sources.folder import FolderSource
from tfac.data.sources.problems import Problems
from tfac.errors import DataError
from tfac.photos.pictures import PictureFiles


def encode(array, mode=None, kind="PNG", **options):
    file = io.BytesIO()
    Image.fromarray(array, mode).save(file, kind, **options)
    return file.getvalue()


def noise(*shape, dtype=np.uint8):
    return np.random.default_rng(0).integers(0, np.iinfo(dtype).max, shape, dtype)


def animation(kind):
    frames = [Image.fromarray(noise(20, 20, 3)) for _ in range(2)]
    file = io.BytesIO()
    frames[0].save(file, kind, save_all=True, append_images=frames[1:])
    return file.getvalue()


def huge_png(side=20_000):
    """A PNG that says it is huge and holds next to nothing."""

    def chunk(name, data):
        return (
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        )

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    data = zlib.compress(b"\0" * 1000)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")
    )


# What a picture named .jpg may hold: its bytes, and part of the error, or None if it can be used.
PICTURES = {
    "truncated JPEG": (encoded_picture(0)[:-30], "cannot be decoded"),
    "PNG named .jpg": (encode(noise(20, 20, 3)), None),
    "CMYK": (encode(noise(20, 20, 4), "CMYK", "JPEG"), None),
    "grey": (encode(noise(20, 20), "L", "JPEG"), None),
    "16 bits": (encode(noise(20, 20, dtype=np.uint16)), None),
    "transparent": (encode(noise(20, 20, 4), "RGBA"), None),
    "palette": (encode(noise(20, 20), "P"), None),
    "animated PNG": (animation("PNG"), None),
    "animated GIF": (animation("GIF"), None),
    "0 bytes": (b"", "expected a picture"),
    "text": (b"<html>not found</html>", "expected a picture"),
    "1x1": (encode(noise(1, 1, 3), kind="JPEG"), None),
    "20,000 x 20,000": (huge_png(), "at most .* pixels"),
}


def test_a_broken_picture_whose_name_has_braces_is_named(tmp_path):
    source = own_folder(tmp_path / "source", encoded_picture(0))
    table = tmp_path / "source" / "labels.csv"
    table.write_text(table.read_text().replace("1.jpg", "{1}.jpg"))
    (source.pictures.path / "1.jpg").unlink()
    (source.pictures.path / "{1}.jpg").write_bytes(b"")
    source = FolderSource(source.pictures.path, table, split_column="split")
    with pytest.raises(DataError, match=r"\{1\}\.jpg: expected a picture.*labels.csv line 3"):
        prepare(source, tmp_path / "data", landmarks="none", workers=Processes(1))


def own_folder(folder, contents):
    lines = ["picture,split,Smiling"]
    (folder / "pictures").mkdir(parents=True)
    for i, split in enumerate(("train", "train", "train", "test")):
        (folder / "pictures" / f"{i}.jpg").write_bytes(contents if i == 1 else encoded_picture(i))
        lines.append(f"{i}.jpg,{split},{i % 2}")
    (folder / "labels.csv").write_text("\n".join(lines))
    return FolderSource(folder / "pictures", folder / "labels.csv", split_column="split")


@pytest.mark.parametrize("kind", PICTURES)
def test_picture_is_used_refused_or_counted(tmp_path, kind):
    contents, message = PICTURES[kind]
    source = own_folder(tmp_path / "source", contents)
    options = {"landmarks": "none", "workers": Processes(1)}
    if message:
        with pytest.raises(DataError, match=rf"\.jpg: .*{message}.*line"):
            prepare(source, tmp_path / "data", **options)
        assert not list((tmp_path / "data").rglob("dataset_info.json"))
    prepared = prepare(source, tmp_path / "data", on_error="skip", **options)
    expected = {"picture that cannot be decoded": 1} if message else {}
    assert prepared.metadata["skipped"] == expected
    info = read_info(tmp_path / "data")
    for split in info.splits:
        find_damage(info, split)  # TensorFlow decodes every picture that was taken


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace("\n", "\r\n"),
        lambda text: "\ufeff" + text,
        lambda text: text.replace(" ", "\t"),
        lambda text: text.replace(" ", "   "),
    ],
    ids=["CRLF", "BOM", "tabs", "columns"],
)
def test_celeba_s_files_may_be_written_in_other_ways(tmp_path, change):
    expected = CelebASource(write_celeba(tmp_path)).read_splits(Problems())
    for name in ("list_attr_celeba.txt", "list_eval_partition.txt"):
        path = tmp_path / name
        path.write_bytes(change(path.read_text()).encode())
    splits = CelebASource(tmp_path).read_splits(Problems())
    for name, split in expected.items():
        assert splits[name].names == split.names
        np.testing.assert_array_equal(splits[name].labels, split.labels)


@pytest.mark.parametrize("nested", [False, True])
def test_archive_whose_paths_climb_out_is_read_inside_itself_alone(tmp_path, nested):
    (tmp_path / "secret.jpg").write_bytes(b"secret")
    folder = tmp_path / "source"
    folder.mkdir()
    with zipfile.ZipFile(folder / "pictures.zip", "w") as archive:
        archive.writestr("../secret.jpg", encoded_picture(0))
        archive.writestr("/etc/absolute.jpg", encoded_picture(1))
    before = sorted(tmp_path.rglob("*"))
    pictures = PictureFiles(folder / "pictures.zip", nested=nested)
    contents = [pictures.read(name) for name in sorted(pictures.names)]
    assert sorted(contents) == sorted([encoded_picture(0), encoded_picture(1)])
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("nested", [False, True])
def test_links_that_lead_out_of_the_folder_are_refused(tmp_path, nested):
    (tmp_path / "secret.jpg").write_bytes(encoded_picture(0))
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "link.jpg").symlink_to(tmp_path / "secret.jpg")
    with pytest.raises(DataError, match="link.jpg: expected a picture in .*source.*secret.jpg"):
        PictureFiles(tmp_path / "source", nested=nested).read("link.jpg")
    (tmp_path / "source" / "inside.jpg").write_bytes(encoded_picture(1))
    (tmp_path / "source" / "link.jpg").unlink()
    (tmp_path / "source" / "link.jpg").symlink_to("inside.jpg")
    assert PictureFiles(tmp_path / "source", nested=nested).read("link.jpg") == encoded_picture(1)


FULL_DISK = """
import resource, sys
from tests.data.sources.test_broken_sources import own_folder
from tests.data.celeba_files import encoded_picture
from pathlib import Path
from tfac.data.preparing.preparation import prepare
from tfac.data.preparing.workers import Processes
from tfac.errors import DataError
folder = Path(sys.argv[1])
source = own_folder(folder / "source", encoded_picture(9, 300, 300))
limit = int(sys.argv[2])
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
try:
    prepare(source, folder / "data", landmarks="none", workers=Processes(1))
except DataError as error:
    sys.exit(f"DataError: {error}")
"""


@pytest.mark.slow
def test_full_disk_is_an_error_and_leaves_nothing_that_looks_whole(tmp_path):
    command = [sys.executable, "-c", FULL_DISK, str(tmp_path), "40000"]
    finished = subprocess.run(command, capture_output=True, text=True)
    assert finished.returncode == 1, finished.stderr
    assert "DataError: " in finished.stderr and "cannot be written" in finished.stderr
    assert not list((tmp_path / "data").glob("faces/1.0.0"))
    source = FolderSource(
        tmp_path / "source/pictures", tmp_path / "source/labels.csv", split_column="split"
    )
    assert (
        prepare(source, tmp_path / "data", workers=Processes(1), landmarks="none").splits["train"]
        == 3
    )
