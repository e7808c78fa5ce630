import io
import zipfile

import numpy as np
import pytest
from PIL import Image

from tfac.errors import DataError
from tfac.photos import pictures
from tfac.photos.pictures import RECORD_FORMATS, PictureFiles, open_picture


def encode(picture: Image.Image, format: str = "PNG", **options) -> bytes:
    file = io.BytesIO()
    picture.save(file, format, **options)
    return file.getvalue()


@pytest.fixture
def noise() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (9, 7, 3), np.uint8)


def test_path_and_bytes_give_the_same_pixels(noise, tmp_path):
    encoded = encode(Image.fromarray(noise))
    (tmp_path / "a.png").write_bytes(encoded)
    np.testing.assert_array_equal(open_picture(encoded), noise)
    np.testing.assert_array_equal(open_picture(tmp_path / "a.png"), noise)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA"])
def test_every_mode_becomes_rgb(noise, mode):
    picture = open_picture(encode(Image.fromarray(noise).convert(mode)))
    assert picture.shape == (9, 7, 3) and picture.dtype == np.uint8


@pytest.mark.parametrize("format", ["JPEG", "WEBP", "TIFF", "GIF", "BMP"])
def test_every_photo_format_is_read(noise, format):
    assert open_picture(encode(Image.fromarray(noise), format)).shape == (9, 7, 3)


def test_jpeg_of_four_inks_becomes_rgb():
    red = Image.new("CMYK", (8, 8), (0, 255, 255, 0))
    assert np.abs(open_picture(encode(red, "JPEG"))[4, 4].astype(int) - (255, 0, 0)).max() < 5


def test_sixteen_bit_grey_is_scaled_not_clipped():
    grey = Image.fromarray(np.array([[0, 128 * 256, 65535]], np.uint16))
    assert open_picture(encode(grey))[0, :, 0].tolist() == [0, 128, 255]


def test_exif_orientation_is_applied_unless_told_not_to(noise):
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees
    encoded = encode(Image.fromarray(noise), "JPEG", exif=exif)
    assert open_picture(encoded).shape == (7, 9, 3)
    assert open_picture(encoded, upright=False).shape == (9, 7, 3)


@pytest.mark.parametrize("cut", [1, 2, 10, 100, 200])
def test_truncated_jpeg_is_refused(noise, cut):
    encoded = encode(Image.fromarray(noise), "JPEG")
    with pytest.raises(DataError, match="me.jpg: the picture cannot be decoded: .*[Tt]runcated"):
        open_picture(encoded[:-cut], "me.jpg")


@pytest.mark.parametrize("encoded", [b"", b"hello", b"%!PS-Adobe-3.0 EPSF-3.0\n"])
def test_what_is_no_picture_is_refused(encoded):
    with pytest.raises(DataError, match="me.jpg: expected a picture"):
        open_picture(encoded, "me.jpg")


def test_formats_other_than_those_asked_for_are_refused(noise):
    with pytest.raises(DataError, match=r"expected a picture \(JPEG, PNG\)"):
        open_picture(encode(Image.fromarray(noise), "BMP"), formats=RECORD_FORMATS)


def test_too_many_pixels_are_refused_before_they_are_decoded(monkeypatch):
    bomb = encode(Image.new("1", (40_000, 40_000)))
    with pytest.raises(DataError, match="bomb.png: expected at most"):
        open_picture(bomb, "bomb.png")
    monkeypatch.setattr(pictures, "MAX_PIXELS", 10)
    with pytest.raises(DataError, match="expected at most 10 pixels. Received: 4x3"):
        open_picture(encode(Image.new("L", (4, 3))))


def test_missing_file_is_named(tmp_path):
    with pytest.raises(DataError, match="nothing.jpg"):
        open_picture(tmp_path / "nothing.jpg")


@pytest.fixture(params=["folder", "archive"])
def picture_files(request, tmp_path) -> PictureFiles:
    contents = {"a.jpg": b"first", "b.png": b"second", "notes.txt": b"no picture"}
    if request.param == "folder":
        for name, content in contents.items():
            (tmp_path / name).write_bytes(content)
        return PictureFiles(tmp_path)
    with zipfile.ZipFile(tmp_path / "pictures.zip", "w") as archive:
        for name, content in contents.items():
            archive.writestr(f"inside/{name}", content)
    return PictureFiles(tmp_path / "pictures.zip")


def test_folder_and_archive_hold_their_pictures_by_name(picture_files):
    assert set(picture_files.names) == {"a.jpg", "b.png"}
    assert picture_files.read("b.png") == b"second"
    assert "b.png" in picture_files.describe("b.png")


def test_missing_picture_is_named(picture_files):
    with pytest.raises(DataError, match="c.jpg: no such picture"):
        picture_files.read("c.jpg")


def test_damaged_archive_entry_is_named(tmp_path):
    path = tmp_path / "pictures.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.jpg", b"content to be damaged")
    path.write_bytes(path.read_bytes().replace(b"content", b"CONTENT"))
    with pytest.raises(DataError, match="a.jpg: the file cannot be read: Bad CRC"):
        PictureFiles(path).read("a.jpg")


def test_archive_with_a_picture_twice_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "pictures.zip", "w") as archive:
        archive.writestr("one/a.jpg", b"1")
        archive.writestr("two/a.jpg", b"2")
    with pytest.raises(DataError, match="Received twice: one/a.jpg, two/a.jpg"):
        PictureFiles(tmp_path / "pictures.zip").names  # noqa: B018


def test_other_files_are_no_picture_files(tmp_path):
    (tmp_path / "pictures.zip").write_bytes(b"cut off")
    with pytest.raises(DataError, match="expected a folder of pictures or a zip archive"):
        PictureFiles(tmp_path / "pictures.zip")


def test_fingerprint_changes_when_a_picture_is_replaced(tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"1")
    before = PictureFiles(tmp_path).fingerprint()
    assert before == PictureFiles(tmp_path).fingerprint()
    (tmp_path / "a.jpg").write_bytes(b"22")
    assert before != PictureFiles(tmp_path).fingerprint()


@pytest.mark.parametrize("format", ["WEBP", "AVIF"])
@pytest.mark.parametrize("suffix", ["own", "jpg"])
def test_webp_and_avif_are_given_as_png_of_the_same_pixels(tmp_path, noise, format, suffix):
    name = f"a.{format.lower() if suffix == 'own' else suffix}"
    Image.fromarray(noise).save(tmp_path / name, format)
    encoded = (tmp_path / name).read_bytes()
    pictures = PictureFiles(tmp_path)
    assert list(pictures.names) == [name]
    given = open_picture(pictures.read(name), formats=["PNG"])
    np.testing.assert_array_equal(given, open_picture(encoded, formats=[format]))
    (tmp_path / name).write_bytes(encoded[:-50])
    with pytest.raises(DataError, match=f"{name}: "):
        pictures.read(name)


def test_files_that_are_no_pictures_are_there_all_the_same(picture_files):
    assert picture_files.has_file("a.jpg") and not picture_files.has_file("c.jpg")
