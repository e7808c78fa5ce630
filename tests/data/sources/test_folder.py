import json
import zipfile

import numpy as np
import pytest

from tests.data.celeba_files import encoded_picture
from tfac.attributes import ATTRIBUTES
from tfac.data.preparing.preparation import prepare
from tfac.data.preparing.workers import Processes
from tfac.data.records.info import read_info
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
    prepared = prepare(source, tmp_path / "data", landmarks="dlib_72", workers=Processes(1))
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
        prepare(source, tmp_path / "data", workers=Processes(1))


def test_every_attribute_of_celeba_may_be_there(read):
    header = "picture,split," + ",".join(reversed(ATTRIBUTES))
    text = f"{header}\nann/1.jpg,train,{','.join(['0'] * 40)}\n"
    source, splits, _ = read(text, "skip", group_column=None)
    assert source.attributes == ATTRIBUTES and splits["train"].labels.shape == (1, 40)
