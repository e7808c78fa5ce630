import numpy as np
import pytest

from tests.data.celeba_files import (
    NAMES,
    PARTITION,
    edit_lines,
    encoded_picture,
    label,
    write_celeba,
)
from tfac.attributes import ATTRIBUTES
from tfac.data.sources.celeba import LANDMARK_COLUMNS, CelebASource
from tfac.data.sources.problems import Problems
from tfac.errors import DataError

LABELS, SPLIT_FILE = "list_attr_celeba.txt", "list_eval_partition.txt"
LANDMARKS = "list_landmarks_align_celeba.txt"


@pytest.mark.parametrize("archive", [True, False])
@pytest.mark.parametrize("nested", [True, False])
def test_official_layouts_are_read_alike(tmp_path, archive, nested):
    source = CelebASource(write_celeba(tmp_path, archive=archive, nested=nested))
    splits = source.read_splits(Problems())
    assert list(splits) == ["train", "validation", "test"]
    for number, split in enumerate(splits.values()):
        pictures = [i for i, part in enumerate(PARTITION) if part == number]
        assert split.names == [NAMES[i] for i in pictures]
        assert split.lines.tolist() == [i + 3 for i in pictures]
        expected = [[label(i, j) for j in range(len(ATTRIBUTES))] for i in pictures]
        np.testing.assert_array_equal(split.labels, expected)
        assert split.labels.dtype == np.uint8 and split.landmarks is None
    assert source.pictures.read(NAMES[0]) == encoded_picture(0)


def test_archive_goes_before_extracted_folder(tmp_path):
    write_celeba(tmp_path, archive=True)
    write_celeba(tmp_path, archive=False)
    assert CelebASource(tmp_path).pictures.path.name == "img_align_celeba.zip"


def test_empty_split_is_left_out(tmp_path):
    write_celeba(tmp_path, names=NAMES[:2], partition=(1, 0))
    assert list(CelebASource(tmp_path).read_splits(Problems())) == ["train", "validation"]


def test_landmarks_are_fractions_of_the_official_size(tmp_path):
    source = CelebASource(write_celeba(tmp_path, landmarks=True, nested=True))
    landmarks = source.read_splits(Problems(), with_landmarks=True)["validation"].landmarks
    assert landmarks.shape == (2, 5, 2) and landmarks.dtype == np.float32
    np.testing.assert_allclose(landmarks[0, 0], [69 / 178, 111 / 218], rtol=1e-6)
    np.testing.assert_allclose(landmarks[:, 2, 1], [134 / 218, 135 / 218], rtol=1e-6)


@pytest.mark.parametrize("missing", [LABELS, SPLIT_FILE, "img_align_celeba.zip"])
def test_missing_file_is_named(tmp_path, missing):
    (write_celeba(tmp_path) / missing).unlink()
    with pytest.raises(DataError, match=f"expected {missing}.* found none. There: .*list_"):
        CelebASource(tmp_path)


def test_missing_folder_is_named(tmp_path):
    with pytest.raises(DataError, match="nowhere"):
        CelebASource(tmp_path / "nowhere")


def change(path, line, old, new):
    """Replaces text in one line, counted from 1."""

    def edit(lines):
        assert old in lines[line - 1]
        lines[line - 1] = lines[line - 1].replace(old, new, 1)
        return lines

    edit_lines(path, edit)


def drop(path, line):
    edit_lines(path, lambda lines: lines[: line - 1] + lines[line:])


def repeat(path, line):
    edit_lines(path, lambda lines: [*lines, lines[line - 1]])


# What is broken, how, the message's place, the kind, and the pictures left out.
CASES = {
    "value neither -1 nor 1": (
        lambda d: change(d / LABELS, 4, " -1", " 0"),
        f"{LABELS} line 4: expected -1 or 1 for Arched_Eyebrows. Received: '0'",
        "malformed row",
        {NAMES[1]},
    ),
    "too few labels": (
        lambda d: change(d / LABELS, 3, " -1", ""),
        f"{LABELS} line 3: expected 40 labels after the name. Received: 39",
        "malformed row",
        {NAMES[0]},
    ),
    "label row doubled": (
        lambda d: (repeat(d / LABELS, 5), change(d / LABELS, 1, "8", "9")),
        f"{LABELS} line 11: expected each picture once. Received: {NAMES[2]} again",
        "doubled row",
        set(),
    ),
    "label row missing": (
        lambda d: (drop(d / LABELS, 5), change(d / LABELS, 1, "8", "7")),
        f"{NAMES[2]}: expected a row in .*{LABELS}, found none",
        "picture without a row",
        {NAMES[2]},
    ),
    "wrong number of rows": (
        lambda d: change(d / LABELS, 1, "8", "9"),
        f"{LABELS} line 1: expected the number of rows that follow, 8. Received: 9",
        "wrong number of rows",
        set(),
    ),
    "unknown partition": (
        lambda d: change(d / SPLIT_FILE, 2, " 0", " 3"),
        f"{SPLIT_FILE} line 2: expected partition 0, 1 or 2. Received: '3'",
        "malformed row",
        {NAMES[1]},
    ),
    "partition row without number": (
        lambda d: change(d / SPLIT_FILE, 2, " 0", ""),
        f"{SPLIT_FILE} line 2: expected 1 partition number after the name. Received: 0",
        "malformed row",
        {NAMES[1]},
    ),
    "partition row doubled": (
        lambda d: repeat(d / SPLIT_FILE, 1),
        f"{SPLIT_FILE} line 9: expected each picture once",
        "doubled row",
        set(),
    ),
    "partition row missing": (
        lambda d: drop(d / SPLIT_FILE, 3),
        f"{LABELS} line 5: {NAMES[2]} is missing from .*{SPLIT_FILE}",
        "row in one file alone",
        {NAMES[2]},
    ),
    "picture missing": (
        lambda d: (d / "img_align_celeba" / NAMES[3]).unlink(),
        f"{LABELS} line 6: {NAMES[3]} is missing from .*img_align_celeba",
        "row without a picture",
        {NAMES[3]},
    ),
    "partition row alone": (
        lambda d: edit_lines(d / SPLIT_FILE, lambda lines: [*lines, "000099.jpg 0"]),
        f"{SPLIT_FILE} line 9: 000099.jpg is missing from .*{LABELS}",
        "row in one file alone",
        set(),
    ),
    "picture without a row": (
        lambda d: (d / "img_align_celeba" / "000099.jpg").write_bytes(encoded_picture(99)),
        f"000099.jpg: expected a row in .*{LABELS}, found none",
        "picture without a row",
        set(),
    ),
}


def break_one_thing(folder, case):
    CASES[case][0](write_celeba(folder, archive=False))
    return CelebASource(folder)


@pytest.mark.parametrize("case", CASES)
def test_stop_names_file_and_line(tmp_path, case):
    with pytest.raises(DataError, match=CASES[case][1]):
        break_one_thing(tmp_path, case).read_splits(Problems("stop"))


@pytest.mark.parametrize("case", CASES)
def test_skip_counts_names_and_goes_on(tmp_path, capsys, case):
    _, message, kind, left_out = CASES[case]
    problems = Problems("skip")
    splits = break_one_thing(tmp_path, case).read_splits(problems)
    assert {name for split in splits.values() for name in split.names} == set(NAMES) - left_out
    assert problems.skipped[kind] == 1
    captured = capsys.readouterr().err
    assert "skipped: " in captured
    assert message.split(":")[-1].split(".*")[0].strip() in captured


@pytest.mark.parametrize("case", CASES)
def test_one_fault_is_counted_once(tmp_path, case):
    problems = Problems("skip")
    break_one_thing(tmp_path, case).read_splits(problems)
    assert problems.skipped.total() == 1


@pytest.mark.parametrize("on_error", ["stop", "skip"])
@pytest.mark.parametrize(
    ("line", "old", "new", "message"),
    [
        (1, "8", "eight", "line 1: expected the number of rows. Received: 'eight'"),
        (2, "Bald", "Balding", "line 2: .* 'Balding' in the place of 'Bald'"),
        (2, " Young", "", "line 2: .* Received: 39 names"),
    ],
)
def test_foreign_header_is_refused_always(tmp_path, on_error, line, old, new, message):
    change(write_celeba(tmp_path) / LABELS, line, old, new)
    with pytest.raises(DataError, match=message):
        CelebASource(tmp_path).read_splits(Problems(on_error))


def test_binary_annotation_file_is_refused(tmp_path):
    (write_celeba(tmp_path) / LABELS).write_bytes(bytes(range(256)) * 50)
    with pytest.raises(DataError, match=f"{LABELS} line 1: expected the number of rows"):
        CelebASource(tmp_path).read_splits(Problems())


def test_broken_landmark_row_leaves_the_picture_without_landmarks(tmp_path):
    write_celeba(tmp_path, landmarks=True)
    change(tmp_path / LANDMARKS, 3, " 69", " 690")
    drop(tmp_path / LANDMARKS, 4)
    source = CelebASource(tmp_path)
    with pytest.raises(DataError, match="line 3: expected coordinates inside a picture of 178x218"):
        source.read_splits(Problems(), with_landmarks=True)
    problems = Problems("skip")
    train = source.read_splits(problems, with_landmarks=True)["train"]
    assert np.isnan(train.landmarks).all(axis=(1, 2)).tolist() == [True, True, False, False]
    assert problems.skipped == {
        "malformed row": 1,
        "wrong number of rows": 1,
        "picture without a landmarks row": 1,
    }


def test_nothing_left_is_an_error(tmp_path):
    write_celeba(tmp_path)
    (tmp_path / SPLIT_FILE).write_text("")
    with pytest.raises(DataError, match="expected pictures with labels, found none"):
        CelebASource(tmp_path).read_splits(Problems("skip"))


def as_csv(folder):
    """Rewrites the annotation files as Kaggle has them."""
    for name, columns in (
        (LABELS, ATTRIBUTES),
        (SPLIT_FILE, ("partition",)),
        (LANDMARKS, LANDMARK_COLUMNS),
    ):
        lines = (folder / name).read_text().splitlines()[0 if name == SPLIT_FILE else 2 :]
        table = [",".join(("image_id", *columns)), *(",".join(line.split()) for line in lines)]
        (folder / name).with_suffix(".csv").write_text("\r\n".join(table))
        (folder / name).unlink()


def read(folder):
    return CelebASource(folder).read_splits(Problems(), with_landmarks=True)


def test_tables_of_kaggle_are_read_alike(tmp_path):
    expected = read(write_celeba(tmp_path, landmarks=True))
    as_csv(tmp_path)
    splits = read(tmp_path)
    for name, split in expected.items():
        assert splits[name].names == split.names
        assert (splits[name].lines == split.lines - 1).all()
        np.testing.assert_array_equal(splits[name].labels, split.labels)
        np.testing.assert_array_equal(splits[name].landmarks, split.landmarks)
    change(tmp_path / "list_attr_celeba.csv", 1, "Bald", "Balding")
    with pytest.raises(DataError, match="celeba.csv line 1: .* 'Balding' in the place of 'Bald'"):
        read(tmp_path)


@pytest.mark.parametrize("delimiter", [",", ";"])
def test_an_index_without_a_name_is_left_out(tmp_path, delimiter):
    expected = read(write_celeba(tmp_path, landmarks=True))
    as_csv(tmp_path)
    for path in tmp_path.glob("*.csv"):
        first, *lines = path.read_text().replace(",", delimiter).splitlines()
        lines = [f"{i}{delimiter}{line}" for i, line in enumerate(lines)]
        path.write_text("\n".join([delimiter + first, *lines]))
    splits = read(tmp_path)
    assert {name: split.names for name, split in splits.items()} == {
        name: split.names for name, split in expected.items()
    }


@pytest.mark.parametrize("place", ["img_align_celeba", "img_align_celeba_png/more"])
def test_pictures_may_be_in_a_folder_inside_their_folder(tmp_path, place):
    write_celeba(tmp_path, archive=False)
    pictures = tmp_path / "img_align_celeba"
    pictures.rename(tmp_path / "pictures")
    (pictures / place).parent.mkdir(parents=True)
    (tmp_path / "pictures").rename(pictures / place)
    (pictures / ".DS_Store").write_bytes(b"")
    source = CelebASource(tmp_path)
    assert source.pictures.path == pictures / place
    assert sum(len(split.names) for split in source.read_splits(Problems()).values()) == len(NAMES)


def test_files_may_be_in_folders_of_any_name(tmp_path):
    write_celeba(tmp_path / "celeba" / "files", archive=True, nested=False)
    assert list(CelebASource(tmp_path).read_splits(Problems())) == ["train", "validation", "test"]


@pytest.mark.parametrize("name", ["img_align_celeba", "img_align_celeba_png"])
def test_png_edition_is_read_with_the_tables_of_jpg(tmp_path, name):
    write_celeba(tmp_path, archive=False)
    pictures = (tmp_path / "img_align_celeba").rename(tmp_path / name)
    for path in list(pictures.iterdir()):
        path.rename(path.with_suffix(".png"))
    names = [
        name
        for split in CelebASource(tmp_path).read_splits(Problems()).values()
        for name in split.names
    ]
    assert names == [name.replace(".jpg", ".png") for name in NAMES]


def test_names_of_columns_may_be_spelled_otherwise(tmp_path):
    write_celeba(tmp_path)
    change(tmp_path / LABELS, 2, "5_o_Clock_Shadow", "5_O_clock_shadow")
    assert CelebASource(tmp_path).read_splits(Problems())
