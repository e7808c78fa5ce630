import json
import zipfile

import numpy as np
import pytest

from tests.data.celeba_files import encoded_picture
from tfac.attributes import ATTRIBUTES
from tfac.data.preparing.preparation import prepare
from tfac.data.preparing.workers import Processes
from tfac.data.records.info import read_info
from tfac.data.sources import open_source
from tfac.data.sources.folder import FolderSource
from tfac.data.sources.problems import Problems
from tfac.errors import ConfigError, DataError

KEYS = ("ann/1.jpg", "ann/2.jpg", "bob/1.jpg", "bob/2.jpg", "übung 1.jpg")
TABLE = """picture,split,person,Smiling,Male
ann/1.jpg,train,ann,1,0
ann/2.jpg,train,ann,0,0
bob/1.jpg,validation,bob,,1
bob/2.jpg,validation,bob,1,1
übung 1.jpg,test,eve,0,
"""
SPLIT = {"split_column": "split", "group_column": "person"}


@pytest.fixture
def pictures(tmp_path):
    folder = tmp_path / "pictures"
    for seed, key in enumerate(KEYS):
        (folder / key).parent.mkdir(parents=True, exist_ok=True)
        (folder / key).write_bytes(encoded_picture(seed))
    return folder


@pytest.fixture
def read(pictures, tmp_path):
    """Reads the pictures with a table given as text; returns the source and its splits."""

    def read(text=TABLE, on_error="stop", **options):
        table = tmp_path / "labels.csv"
        table.write_bytes(text if isinstance(text, bytes) else text.encode())
        source = FolderSource(pictures, table, **{**SPLIT, **options})
        problems = Problems(on_error)
        splits = source.read_splits(problems)
        return source, splits, dict(problems.skipped)

    return read


def rows(splits):
    """Split to (picture, labels with None where unknown)."""
    return {
        name: [
            (key, [int(v) if m else None for v, m in zip(labels, mask, strict=True)])
            for key, labels, mask in zip(part.names, part.labels, part.label_mask, strict=True)
        ]
        for name, part in splits.items()
    }


EXPECTED = {  # Male comes before Smiling, as in CelebA
    "train": [("ann/1.jpg", [0, 1]), ("ann/2.jpg", [0, 0])],
    "validation": [("bob/1.jpg", [1, None]), ("bob/2.jpg", [1, 1])],
    "test": [("übung 1.jpg", [None, 0])],
}


def test_table_is_read_in_the_order_of_celeba(read):
    source, splits, _ = read()
    assert source.attributes == ("Male", "Smiling")
    assert rows(splits) == EXPECTED
    assert splits["train"].lines.tolist() == [2, 3]
    assert source.label_values == "0/1"


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace(",", ";"),
        lambda text: text.replace(",", "\t"),
        lambda text: text.replace("\n", "\r\n"),
        lambda text: "\ufeff" + text,
        lambda text: text + "\n\n",
        lambda text: text.replace("ann/1.jpg", '"ann/1.jpg"'),
    ],
    ids=["semicolons", "tabs", "CRLF", "BOM", "blank lines", "quotes"],
)
def test_table_may_be_written_in_other_ways(read, change):
    assert rows(read(change(TABLE))[1]) == EXPECTED


@pytest.mark.parametrize(
    ("no", "yes", "name"),
    [("-1", "1", "-1/1"), ("0.0", "1.0", "0/1"), ("False", "TRUE", "false/true")],
)
def test_labels_may_be_written_in_other_ways(read, no, yes, name):
    header, *lines = TABLE.splitlines()
    for i, line in enumerate(lines):
        *start, smiling, male = line.split(",")
        labels = [{"0": no, "1": yes}.get(value, "nan") for value in (smiling, male)]
        lines[i] = ",".join([*start, *labels])
    source, splits, _ = read("\n".join([header, *lines]))
    assert source.label_values == name and rows(splits) == EXPECTED


def test_parquet_is_read_too(pictures, tmp_path):
    import pyarrow
    import pyarrow.parquet

    columns = {
        "picture": list(KEYS),
        "split": ["train", "train", "validation", "validation", "test"],
        "Smiling": [True, False, None, True, False],
        "Male": [False, False, True, True, None],
    }
    path = tmp_path / "labels.parquet"
    pyarrow.parquet.write_table(pyarrow.table(columns), path)
    source = FolderSource(pictures, path, split_column="split")
    assert source.label_values == "false/true"
    assert rows(source.read_splits(Problems())) == EXPECTED


@pytest.mark.parametrize("values", [("1", "1"), ("0", "-1"), ("0", "false"), ("yes", "yes")])
def test_labels_that_can_be_read_in_two_ways_are_refused(read, values):
    text = TABLE.splitlines()[0] + f"\nann/1.jpg,train,ann,{values[0]},{values[1]}\n"
    with pytest.raises(ConfigError, match="labels.csv: expected labels of one kind.*--(label|cla)"):
        read(text)


def test_label_values_can_be_said(read):
    text = "picture,Smiling\nann/1.jpg,1\n"
    options = {"label_values": "-1/1", "split_column": None, "group_column": None}
    splits = read(text, "skip", split_shares=(1, 0, 0), **options)[1]
    assert rows(splits) == {"train": [("ann/1.jpg", [1])]}


def test_own_attributes_keep_the_table_s_order_and_have_their_own_groups(read, tmp_path):
    text = TABLE.replace("Smiling,Male", "Wears_Mask,Frown")
    source = read(text)[0]
    assert source.attributes == ("Wears_Mask", "Frown") and source.groups is None
    path = tmp_path / "groups.json"
    groups = {"part_groups": {"mouth": ["Wears_Mask"], "brow": ["Frown"]}}
    path.write_text(json.dumps({**groups, "subjective_attributes": ["Frown"]}))
    source = read(text, groups_file=path)[0]
    assert source.groups.part_groups == {"mouth": ("Wears_Mask",), "brow": ("Frown",)}
    path.write_text(json.dumps({**groups, "subjective_attributes": ["Smile"]}))
    with pytest.raises(DataError, match="groups.json: .*unknown attribute names.*Smile"):
        read(text, groups_file=path)


def test_columns_can_be_chosen(read):
    assert read(attributes=["Smiling"])[0].attributes == ("Smiling",)


def test_archive_is_read_as_the_folder_is(pictures, tmp_path, read):
    with zipfile.ZipFile(tmp_path / "pictures.zip", "w") as archive:
        for key in KEYS:
            archive.write(pictures / key, key)
    expected = read()[1]
    source = FolderSource(tmp_path / "pictures.zip", tmp_path / "labels.csv", **SPLIT)
    assert rows(source.read_splits(Problems())) == rows(expected)
    assert source.pictures.read("bob/2.jpg") == encoded_picture(3)


def test_splits_from_a_file(read, tmp_path):
    path = tmp_path / "splits.txt"
    path.write_text("name\tpart\n" + "".join(f"{key}\ttrain\n" for key in KEYS))
    options = {"split_column": None, "split_file": path, "attributes": ["Male"]}
    assert list(read(**options)[1]) == ["train"]
    path.write_text("name\tpart\n" + "".join(f"{key}\ttrain\n" for key in KEYS[1:]))
    with pytest.raises(DataError, match="line 2: expected a row for it in .*splits.txt"):
        read(**options)


def test_splits_have_many_names(read):
    words = ["Training", "0", "val", "1.0", "testing"]
    text = TABLE.splitlines()[0] + "".join(
        f"\n{key},{word},{i},1,0" for i, (key, word) in enumerate(zip(KEYS, words, strict=True))
    )
    splits = read(text)[1]
    assert [part.names for part in splits.values()] == [[*KEYS[:2]], [*KEYS[2:4]], [KEYS[4]]]


def test_split_file_needs_no_header_and_may_name_folders(read, tmp_path):
    path = tmp_path / "splits.txt"
    path.write_text("ann 0\nbob\\1 1\nbob/2.jpg 1\n")
    text = TABLE.replace("übung 1.jpg,test,eve,0,\n", "")
    splits = read(text, "skip", split_column=None, split_file=path, attributes=["Male"])[1]
    assert [part.names for part in splits.values()] == [[*KEYS[:2]], [*KEYS[2:4]]]


NO_COLUMNS = {"split_column": None, "group_column": None}


def test_columns_that_are_almost_celeba_s_are_celeba_s_and_that_is_said(read):
    text = TABLE.replace("Smiling,Male", "smiling,5 o'Clock-shadow ")
    source = read(text)[0]
    assert source.attributes == ("5_o_Clock_Shadow", "Smiling")
    (note,) = source.notes
    assert "'smiling' is Smiling" in note and "is 5_o_Clock_Shadow" in note
    assert read(text, attributes=["Smiling"])[0].attributes == ("Smiling",)
    with pytest.raises(DataError, match="expected the columns Frown"):
        read(TABLE.replace("Smiling", "Own"), attributes=["Frown"])
    with pytest.raises(DataError, match="each once. Received: 'smiling' and 'Smiling', both"):
        read(TABLE.replace("Smiling,Male", "smiling,Smiling"))


def test_a_row_of_a_folder_is_for_all_its_pictures_which_stay_in_one_split(read):
    text = "person,Male\nann,0\nbob/,1\nübung 1,0\n"
    for shares in ((0.4, 0.3, 0.3), (0.2, 0.2, 0.6), (0.7, 0.2, 0.1)):
        splits = read(text, split_shares=shares, **NO_COLUMNS)[1]
        split_of = {key: name for name, part in splits.items() for key in part.names}
        assert set(split_of) == set(KEYS)
        assert all(
            split_of[f"{name}/1.jpg"] == split_of[f"{name}/2.jpg"] for name in ("ann", "bob")
        )
        labels = {key: row for part in rows(splits).values() for key, (row,) in part}
        assert labels == dict(zip(KEYS, (0, 0, 1, 1, 0), strict=True))
    skipped = read(text.replace("ann,0", "ann,2"), "skip", **NO_COLUMNS)[2]
    assert skipped == {"malformed row": 1}
    with pytest.raises(DataError, match="expected each picture once. Received: ann/2.jpg again"):
        read(f"{text}ann/2.jpg,1\n", **NO_COLUMNS)


def test_a_missing_picture_s_message_has_a_way_out(read):
    with pytest.raises(DataError, match=r"line 2: ann/1.png is missing.*Write .jpg"):
        read(TABLE.replace("ann/1.jpg", "ann/1.png"))


@pytest.mark.parametrize("option", [{"label_values": "-1/0/1"}, {"label_cut": 0.5}])
def test_labels_are_read_as_said(read, option):
    values = ("0", "-1", "1") if "label_values" in option else ("", "0.49", "0.5")
    text = "picture,Smiling\n" + "".join(
        f"{key},{value}\n" for key, value in zip(KEYS, values, strict=False)
    )
    source, splits, _ = read(text, "skip", split_shares=(1, 0, 0), **NO_COLUMNS, **option)
    assert [row for _, (row,) in rows(splits)["train"]] == [None, 0, 1]
    assert ("shares, yes from 0.5" in source.label_values) == ("label_cut" in option)


def test_labels_cannot_be_cut_and_written_in_words(read):
    with pytest.raises(ConfigError, match="label_values and label_cut: expected one"):
        read(label_cut=0.5, label_values="0/1")
    with pytest.raises(ConfigError, match="label_cut: expected above 0, at most 1. Received: 2"):
        read(label_cut=2)


WORDS = {"ann/1.jpg": "3-9,Male", "ann/2.jpg": "20-29,Female", "bob/1.jpg": "3-9,"}


def test_classes_become_attributes(read, tmp_path):
    text = "file,age,gender\n" + "".join(f"{key},{words}\n" for key, words in WORDS.items())
    with pytest.raises(ConfigError, match="age '3-9', '20-29'; gender 'female'.*--propose_classes"):
        read(text, **NO_COLUMNS)
    path = tmp_path / "classes.json"
    path.write_text(
        json.dumps(
            {
                "attributes": {
                    "Child": {"column": "age", "yes": ["3-9"], "no": ["20-29"]},
                    "Male": {"column": "gender", "yes": ["Male"], "no": ["Female"]},
                }
            }
        )
    )
    options = {"classes": path, "split_shares": (1, 0, 0), **NO_COLUMNS}
    source, splits, _ = read(text, "skip", **options)
    assert source.attributes == ("Child", "Male") and source.settings["classes"]
    assert [row for _, row in rows(splits)["train"]] == [[1, 1], [0, 0], [1, None]]
    with pytest.raises(DataError, match="line 3: expected 20-29, 3-9 or blank for Child"):
        read(text.replace("20-29", "30-39"), **options)
    with pytest.raises(DataError, match="expected the columns age"):
        read(text.replace("age", "years"), **options)


def test_names_of_pictures_may_have_the_labels(tmp_path):
    folder = tmp_path / "UTKFace"
    folder.mkdir()
    for name in ("26_0_2_2017.jpg.chip.jpg", "9_1_0_2017.jpg", "61_1_2017.jpg"):
        (folder / name).write_bytes(b"")
    path = tmp_path / "utkface.json"
    entries = {
        "Male": {"column": "gender", "yes": ["0"], "no": ["1"]},
        "Asian": {"column": "race", "yes": ["2"], "no": ["0", "1", "3", "4"]},
        "Child": {"column": "age", "below": 13},
    }
    path.write_text(json.dumps({"file_name": ["age", "gender", "race"], "attributes": entries}))
    source = FolderSource(folder, classes=path, split_shares=(1, 0, 0))
    problems = Problems("skip")
    expected = [("26_0_2_2017.jpg.chip.jpg", [1, 1, 0]), ("9_1_0_2017.jpg", [0, 0, 1])]
    assert rows(source.read_splits(problems))["train"] == expected
    assert problems.skipped == {"malformed row": 1}
    with pytest.raises(ConfigError, match="labels: expected a table, or classes .*Received: both"):
        FolderSource(folder, path, classes=path)


def test_several_tables_whose_names_say_their_splits(pictures, tmp_path):
    header, *lines = TABLE.splitlines()
    tables = [tmp_path / "label_train.csv", tmp_path / "label_val.csv"]
    tables[0].write_text("\n".join([header, *lines[:2]]))
    tables[1].write_text("\n".join([header, *lines[2:]]))
    options = {"attributes": ["Smiling", "Male"]}
    source = FolderSource(pictures, tables, **options)
    splits = source.read_splits(Problems())
    assert [part.names for part in splits.values()] == [[*KEYS[:2]], [*KEYS[2:]]]
    assert list(splits) == ["train", "validation"]
    assert "label_val.csv is validation" in source.notes[0]
    assert source.annotation_files == tables
    by_share = FolderSource(pictures, tables, split_shares=(0, 0, 1), **options)
    assert list(by_share.read_splits(Problems())) == ["test"]
    tables[1].write_text("picture,Smiling\n")
    with pytest.raises(DataError, match="label_val.csv: expected the columns Male"):
        FolderSource(pictures, tables, **options)


def test_pictures_inside_parquet_are_prepared_and_nothing_else_is_left(tmp_path):
    import pyarrow
    import pyarrow.parquet

    tables = []
    for split, seeds in (("train", (0, 1, 2)), ("test", (3, 4))):
        images = [{"bytes": encoded_picture(seed), "path": "0.jpg"} for seed in seeds]
        columns = {"celeb_id": list(seeds), "image": images, "Smiling": [s % 2 > 0 for s in seeds]}
        tables.append(tmp_path / f"{split}-00000-of-00001.parquet")
        pyarrow.parquet.write_table(pyarrow.table(columns), tables[-1])
    data_dir = tmp_path / "data"
    source = open_source("folder", tmp_path, data_dir, labels=tables, group_column="celeb_id")
    prepared = prepare(source, data_dir, landmarks="none", workers=Processes(1))
    assert prepared.splits == {"train": 3, "test": 2}
    assert [path.name for path in data_dir.iterdir()] == ["faces"]
    assert source.attributes == ("Smiling",)


def test_shares_keep_groups_together_and_old_pictures_where_they_were(tmp_path):
    def split_of(people):
        folder = tmp_path / "many"
        lines = ["picture,person,Smiling"]
        for person in range(people):
            for i in range(3):
                (folder / f"{person}-{i}.jpg").parent.mkdir(exist_ok=True)
                (folder / f"{person}-{i}.jpg").write_bytes(b"")
                lines.append(f"{person}-{i}.jpg,p{person},{i % 2}")
        (tmp_path / "many.csv").write_text("\n".join(lines))
        source = FolderSource(
            folder, tmp_path / "many.csv", group_column="person", split_shares=(0.5, 0.3, 0.2)
        )
        splits = source.read_splits(Problems())
        return {key: name for name, part in splits.items() for key in part.names}

    many = split_of(400)
    for person in range(400):
        assert len({many[f"{person}-{i}.jpg"] for i in range(3)}) == 1
    shares = [np.mean([value == name for value in many.values()]) for name in ("train", "test")]
    np.testing.assert_allclose(shares, [0.5, 0.2], atol=0.08)
    assert many.items() <= split_of(410).items()


CASES = {
    "malformed row": [
        ("ann/2.jpg,train,ann,0,0", "ann/2.jpg,train,ann,2,0", "line 3: expected 0, 1 or blank"),
        ("ann/2.jpg,train,ann,0,0", "ann/2.jpg,train,ann,0", "line 3: expected 5 values.*4"),
        (
            "ann/2.jpg,train",
            "ann/2.jpg,x",
            "line 3: expected the split train, validation, test",
        ),
    ],
    "doubled row": [("ann/2.jpg", "ann/1.jpg", "line 3: expected each picture once.*line 2")],
    "row without a picture": [("ann/2.jpg", "../2.jpg", "line 3: ../2.jpg is missing from")],
    "picture without a row": [("ann/2.jpg,train,ann,0,0\n", "", "2.jpg: expected a row in")],
    "group in two splits": [
        ("bob/2.jpg,validation", "bob/2.jpg,test", "line 5: expected person 'bob' in validation")
    ],
}
CASES = [(kind, *case) for kind, cases in CASES.items() for case in cases]


@pytest.mark.parametrize(("kind", "old", "new", "message"), CASES)
def test_wrong_rows_stop_or_are_counted(read, kind, old, new, message, capsys):
    assert old in TABLE
    with pytest.raises(DataError, match=message):
        read(TABLE.replace(old, new, 1))
    splits, skipped = read(TABLE.replace(old, new, 1), "skip")[1:]
    assert kind in skipped and sum(map(len, (part.names for part in splits.values()))) == 4


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"key_column": "file"}, DataError, "expected the columns file. Received: picture, split"),
        ({"attributes": ["Bald"]}, DataError, "expected the columns Bald"),
        ({"split_shares": (1, 0, 0)}, ConfigError, "expected one of them"),
        ({"split_column": None, "split_shares": (1, 1, 0)}, ConfigError, "sum to 1"),
        ({"name": "My faces"}, ConfigError, "name: expected a Python name"),
        ({"label_values": "yes/no"}, ConfigError, "label_values: expected one of 0/1"),
    ],
)
def test_wrong_arguments_are_named(read, options, error, message):
    with pytest.raises(error, match=message):
        read(**options)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected a name for each column"),
        ("picture,picture,Smiling\n", "expected a name for each column, each once"),
        ("picture,split,person\n", "expected a column for each attribute"),
        (b"picture,split,person,Smiling\n\xff,train,a,0\n", "cannot be read|UTF-8"),
        ("picture,split,person,Smiling\nother.jpg,train,a,0\n", "found none"),
    ],
)
def test_files_that_are_no_table_are_refused(read, text, message):
    with pytest.raises(DataError, match=f"labels.csv: .*({message})"):
        read(text, "skip")


def test_damaged_parquet_is_refused(pictures, tmp_path):
    (tmp_path / "labels.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(DataError, match="labels.parquet: expected a Parquet file"):
        FolderSource(pictures, tmp_path / "labels.parquet")
    with pytest.raises(DataError, match="expected a table .*nothing.csv"):
        FolderSource(pictures, tmp_path / "nothing.csv")


def test_prepared_records_hold_attributes_groups_and_unknown_labels(pictures, tmp_path, read):
    import tensorflow_datasets as tfds

    path = tmp_path / "groups.json"
    groups = {"part_groups": {"mouth": ["Frown"], "face": ["Wears_Mask"]}}
    path.write_text(json.dumps({**groups, "subjective_attributes": ["Frown"]}))
    text = TABLE.replace("Smiling,Male", "Wears_Mask,Frown")
    source = read(text, groups_file=path, name="my_faces")[0]
    prepared = prepare(source, tmp_path / "data", faces="whole", workers=Processes(1))
    assert prepared.path == tmp_path / "data" / "my_faces" / "1.0.0"
    assert prepared.metadata["detected_share"] == 0  # the pictures are noise
    info = read_info(tmp_path / "data")
    assert info.attributes == ("Wears_Mask", "Frown") and info.groups == source.groups
    assert info.splits == {"train": 2, "validation": 2, "test": 1}
    records = list(tfds.load("my_faces", data_dir=tmp_path / "data", split="validation"))
    by_key = {record["key"].numpy().decode(): record for record in records}
    assert by_key["bob/1.jpg"]["label_mask"].numpy().tolist() == [False, True]
    assert by_key["bob/2.jpg"]["labels"].numpy().tolist() == [1, 1]
    assert not any(record["landmarks_valid"].numpy() for record in records)
    with pytest.raises(ConfigError, match="was prepared with .*'split_column': 'split'"):
        options = {"name": "my_faces", "attributes": ["Frown"]}
        source = FolderSource(pictures, tmp_path / "labels.csv", **options)
        prepare(source, tmp_path / "data", faces="whole", workers=Processes(1))


def test_every_attribute_of_celeba_may_be_there(read):
    header = "picture,split," + ",".join(reversed(ATTRIBUTES))
    text = f"{header}\nann/1.jpg,train,{','.join(['0'] * 40)}\n"
    source, splits, _ = read(text, "skip", group_column=None)
    assert source.attributes == ATTRIBUTES and splits["train"].labels.shape == (1, 40)
