import io
import struct
import zipfile
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms

from tests.photos import profiles
from tfac.errors import DataError
from tfac.photos import pictures
from tfac.photos.pictures import RECORD_FORMATS, PictureFiles, as_record, open_photo, open_picture


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


def gradient(top) -> np.ndarray:
    """Float32 [16, 16] from 0 to `top`."""
    return np.linspace(0, top, 256, dtype=np.float32).reshape(16, 16)


EVEN = np.arange(256).reshape(16, 16)


@pytest.mark.parametrize("top", [255, 1023, 4095, 16383, 65535])
@pytest.mark.parametrize("dtype", [np.uint16, np.int32])
@pytest.mark.parametrize("format", ["PNG", "TIFF"])
def test_deep_grey_is_white_at_the_bits_that_its_values_reach(top, dtype, format):
    if (format, dtype) == ("PNG", np.int32):
        return
    encoded = encode(Image.fromarray(gradient(top).round().astype(dtype)), format)
    assert np.abs(open_picture(encoded)[..., 0].astype(int) - EVEN).max() <= 1


@pytest.mark.parametrize("top", [0.9, 1, 5.3, 240, 255, 60_000, 1e7])
def test_grey_of_floats_is_white_at_1_or_at_what_it_reaches(top):
    reach = {0.9: 1, 240: 255, 60_000: 65535}.get(top, top)
    grey = open_picture(encode(Image.fromarray(gradient(top)), "TIFF"))[..., 0]
    assert np.abs(grey - EVEN * (top / reach)).max() <= 1


def test_grey_below_0_is_clipped_where_little_and_black_where_much():
    little = Image.fromarray(gradient(65535).astype(np.int32) - 42)
    assert np.abs(open_picture(encode(little, "TIFF"))[..., 0].astype(int) - EVEN).max() <= 1
    much = Image.fromarray(gradient(65535).astype(np.int32) - 32768)
    assert np.abs(open_picture(encode(much, "TIFF"))[..., 0].astype(int) - EVEN).max() <= 1


def test_grey_is_scaled_by_the_range_that_the_file_states():
    dark = Image.fromarray(gradient(1000).astype(np.uint16))
    stated = encode(dark, "TIFF", tiffinfo={281: 4000})  # MaxSampleValue
    assert open_picture(stated).max() == 64
    untrue = encode(dark, "TIFF", tiffinfo={281: 1})
    assert open_picture(untrue).max() == 249


def test_unsigned_grey_of_32_bits_uses_all_of_them():
    grey = Image.fromarray(np.array([[0, -(2**31), -1]], np.int32))
    sample_format = struct.pack("<HHI", 339, 3, 1)
    unsigned = encode(grey, "TIFF").replace(sample_format + b"\2", sample_format + b"\1")
    assert open_picture(unsigned)[0, :, 0].tolist() == [0, 128, 255]


def test_floats_that_are_no_numbers_are_black_and_white():
    grey = np.array([[np.nan, -np.inf, 0.5, np.inf]], np.float32)
    encoded = encode(Image.fromarray(grey), "TIFF")
    assert open_picture(encoded)[0, :, 0].tolist() == [0, 0, 128, 255]


def png_of_16_bits(colours: np.ndarray) -> bytes:
    """A PNG of colours uint16 [H, W, 3], which Pillow does not write."""

    def chunk(name, data):
        crc = struct.pack(">I", zlib.crc32(name + data))
        return struct.pack(">I", len(data)) + name + data + crc

    height, width = colours.shape[:2]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in colours)
    header = struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*each) for each in chunks)


@pytest.mark.parametrize("top", [4095, 65535])
def test_colour_of_16_bits_is_white_at_the_bits_that_its_values_reach(noise, top):
    encoded = png_of_16_bits(np.round(noise * (top / 255.0)).astype(np.uint16))
    assert np.abs(open_picture(encoded).astype(int) - noise).max() <= 3
    given = open_picture(as_record(encoded, "a.png"), formats=["PNG"])
    np.testing.assert_array_equal(given, open_picture(encoded))


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
def test_display_p3_becomes_srgb(format):
    orange = Image.new("RGB", (16, 16), (250, 120, 60))
    options = {} if format in ("PNG", "TIFF") else {"quality": 95}
    encoded = encode(orange, format, icc_profile=profiles.display_p3(), **options)
    red, green, blue = open_picture(encoded)[8, 8].astype(int)
    assert red == 255 and abs(green - 113) < 6 and abs(blue - 29) < 12
    given = open_picture(as_record(encoded, "a"), formats=RECORD_FORMATS)
    np.testing.assert_array_equal(given[8, 8], (red, green, blue))


@pytest.mark.parametrize("format", ["JPEG", "PNG", "TIFF"])
def test_profile_of_grey_is_used_for_grey_alone(noise, format):
    values = np.tile(np.uint8([0, 64, 128, 255]), (4, 1))
    light = encode(Image.fromarray(values), format, icc_profile=profiles.grey(gamma=1))
    # The curve of sRGB for light of 0, 0.25, 0.5 and 1.
    assert np.abs(open_picture(light)[..., 0].astype(int) - (0, 137, 188, 255)).max() <= 1
    np.testing.assert_array_equal(open_picture(as_record(light, "light")), open_picture(light))
    colours = [
        encode(Image.fromarray(noise), format, icc_profile=profile)
        for profile in (profiles.grey(gamma=1), None)
    ]
    np.testing.assert_array_equal(*map(open_picture, colours))


@pytest.mark.parametrize("format", ["JPEG", "TIFF"])
def test_profile_of_four_inks_is_used(format):
    inks = np.zeros((16, 32, 4), np.uint8)
    inks[:, 16:, 0] = 255
    inks = Image.fromarray(inks, "CMYK")
    encoded = encode(inks, format, icc_profile=profiles.inks())
    # A quarter less of L*.
    assert np.abs(open_picture(encoded)[8, [4, 28]].astype(int) - [[255], [185]]).max() <= 2
    assert np.abs(open_picture(encode(inks, format))[8, 28].astype(int) - (0, 255, 255)).max() < 5


def test_broken_exif_turns_nothing(noise):
    encoded = encode(Image.fromarray(noise), exif=b"Exif\0\0no orientation in here")
    np.testing.assert_array_equal(open_picture(encoded), noise)
    assert as_record(encoded, "broken") == encoded


@pytest.mark.parametrize("profile", ["sRGB", "broken"])
def test_srgb_and_unusable_profiles_change_nothing(noise, profile):
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    encoded = encode(
        Image.fromarray(noise), icc_profile=srgb if profile == "sRGB" else b"no profile"
    )
    np.testing.assert_array_equal(open_picture(encoded), noise)
    assert as_record(encoded, "a.png") == encoded


def test_of_several_pages_the_first_is_taken(noise):
    pages = [Image.fromarray(noise), Image.new("RGB", (4, 4))]
    several = encode(pages[0], "TIFF", save_all=True, append_images=pages[1:])
    photo = open_photo(several)
    np.testing.assert_array_equal(photo.image, noise)
    assert photo.has_pages and not open_photo(encode(pages[0], "TIFF")).has_pages


@pytest.mark.parametrize("format", ["GIF", "PNG", "WEBP", "AVIF", "MPO"])
def test_of_an_animation_the_first_frame_is_taken(format):
    frames = [Image.new("RGB", (16, 16), colour) for colour in ("white", "black", "red")]
    encoded = encode(frames[0], format, save_all=True, append_images=frames[1:])
    assert open_picture(encoded).min() > 250


def test_very_large_jpeg_is_decoded_at_half_for_prediction_alone(noise, monkeypatch):
    exif = Image.Exif()
    exif[0x0112] = 6
    large = encode(Image.fromarray(noise).resize((60, 40)), "JPEG", exif=exif)
    monkeypatch.setattr(pictures, "MAX_PIXELS", 2000)
    photo = open_photo(large)
    assert photo.image.shape == (30, 20, 3) and photo.scale == 2
    with pytest.raises(DataError, match="at most 2000 pixels. Received: 60x40"):
        open_picture(large)
    with pytest.raises(DataError, match="at most 2000 pixels. Received: 60x40"):
        open_photo(encode(Image.new("RGB", (60, 40))))


def test_photo_of_108_megapixels_is_read():
    photo = open_photo(encode(Image.new("L", (12_000, 9_000), 200), "JPEG"))
    assert photo.image.shape == (4_500, 6_000, 3) and photo.scale == 2


def test_heic_is_read(noise):
    pillow_heif = pytest.importorskip("pillow_heif", reason="pillow-heif (tfac[heic])")
    pillow_heif.register_heif_opener()
    picture = Image.fromarray(noise).resize((96, 64))
    encoded = encode(picture, "HEIF", quality=-1)
    assert np.abs(open_picture(encoded).astype(int) - picture).mean() < 10
    given = open_picture(as_record(encoded, "a.heic"), formats=["PNG"])
    np.testing.assert_array_equal(given, open_picture(encoded))


def test_heic_without_its_library_names_the_extra(monkeypatch):
    monkeypatch.setattr(pictures, "_register_heif", lambda: False)
    heic = struct.pack(">I", 24) + b"ftypheic" + bytes(4) + b"mif1heic" + bytes(100)
    for door in (open_picture, as_record):
        with pytest.raises(DataError, match=r"me.heic: .* pip install 'tfac\[heic\]'"):
            door(heic, "me.heic")


@pytest.mark.parametrize(
    "start",
    [
        b"\0\0\0\x20ftypisom",
        b"\0\0\0\x14ftypqt  ",
        b"\x1aE\xdf\xa3",
        b"RIFF\0\0\0\0AVI LIST",
        b"\0\0\1\xba",
    ],
)
def test_video_is_refused_with_how_to_take_pictures_out_of_it(start):
    with pytest.raises(DataError, match="a.mp4: expected a picture .* a video: .* ffmpeg -i"):
        open_picture(start + bytes(1000), "a.mp4")


@pytest.mark.parametrize("name, reason", [("nothing.jpg", "is missing"), ("", "cannot be read")])
def test_file_that_cannot_be_read_says_why(tmp_path, name, reason):
    with pytest.raises(DataError, match=f"{name or tmp_path}: the file {reason}"):
        open_picture(tmp_path / name)


@pytest.mark.parametrize("kind", ["plain", "EXIF without a turn", "no picture", "truncated"])
def test_record_keeps_what_the_graph_decodes_byte_for_byte(noise, kind):
    options = {"exif": Image.Exif()} if kind == "EXIF without a turn" else {}
    encoded = encode(Image.fromarray(noise), "JPEG", **options)
    encoded = {"no picture": b"hello", "truncated": encoded[:-50]}.get(kind, encoded)
    assert as_record(encoded, "a.jpg") == encoded


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
