import pytest

from tests.data.celeba_files import encoded_picture
from tfac.data.sources.problems import Problems
from tfac.data.sources.table import NameTable, Table, column_values
from tfac.errors import DataError
from tfac.photos.pictures import PictureFiles

ROWS = [
    {"picture": "a.jpg", "Smiling": "1", "Male": "0"},
    {"picture": "b.jpg", "Smiling": "", "Male": "1"},
]


@pytest.fixture
def table(tmp_path):
    """Opens a table given as text."""

    def table(text, **options):
        (tmp_path / "labels.csv").write_text(text)
        return Table(tmp_path / "labels.csv", **options)

    return table


def rows(table):
    return [row for _, row in table.rows(Problems())]


@pytest.mark.parametrize(
    ("text", "notes"),
    [
        ("picture,Smiling,Male\na.jpg,1,0\nb.jpg,,1\n", []),
        ("picture,Smiling,Male,\na.jpg,1,0,\nb.jpg,,1,\n", ["column 4"]),
        ("picture,Smiling,Male,,\na.jpg,1,0\nb.jpg,,1,,\n", ["column 4, 5"]),
        ("picture,Smiling,Male\na.jpg,1,0,\nb.jpg,,1,,\n", []),
        (",picture,Smiling,Male\n0,a.jpg,1,0\n1,b.jpg,,1\n", ["column 1"]),
        ("Unnamed: 0,picture,Smiling,Male\n7,a.jpg,1,0\n3,b.jpg,,1\n", ["column 1"]),
        (",Smiling,Male\na.jpg,1,0\nb.jpg,,1\n", ["first column"]),
        ("picture,Smiling,Male\na.jpg,1,0\nb.jpg,,1\ufeff\n", []),
    ],
    ids=[
        "plain",
        "empty column",
        "empty columns",
        "trailing commas",
        "index",
        "index saved twice",
        "pictures as index",
        "BOM at the end",
    ],
)
def test_columns_without_a_name_are_left_out_and_said(table, text, notes):
    opened = table(text)
    assert rows(opened) == ROWS and opened.columns == ("picture", "Smiling", "Male")
    assert len(opened.notes) == len(notes)
    assert all(said in note for said, note in zip(notes, opened.notes, strict=True))


def test_celeba_s_own_form_and_spaces_are_read(table):
    text = "2\nSmiling Male\na.jpg  1 -1 \nb.jpg -1  1\n"
    expected = [["a.jpg", "1", "-1"], ["b.jpg", "-1", "1"]]
    assert [list(row.values()) for row in rows(table(text))] == expected
    text = text.replace("2\nSmiling Male", "image_id Smiling Male")
    assert [list(row.values()) for row in rows(table(text))] == expected


@pytest.mark.parametrize("text", ["a.jpg,1,0\nb.jpg,0,1\n", "a,1,0\nb,0,1\n", "a.webp 1 0\n"])
def test_a_table_without_a_header_is_refused_with_what_is_expected(table, text):
    with pytest.raises(DataError, match="line 1: expected the names .*Received a row"):
        table(text)


@pytest.mark.parametrize("text", ["a.jpg 0\nb.jpg 2\n", "a.jpg,train\nb.jpg,test\n", "a,val\n"])
def test_a_list_without_a_header_is_read_where_its_columns_are_known(table, text):
    opened = table(text, headless=("picture", "split"))
    assert opened.columns == ("picture", "split")
    assert len(rows(opened)) == text.count("\n")
    opened = table(f"name,part\n{text}", headless=("picture", "split"))
    assert opened.columns == ("name", "part")


@pytest.mark.parametrize("struct", [True, False])
def test_pictures_inside_parquet_are_never_shown(tmp_path, struct):
    import pyarrow
    import pyarrow.parquet

    pictures = [encoded_picture(seed) for seed in range(3)]
    paths = ["x.png", None, "y"]
    column = [
        {"bytes": picture, "path": path} if struct else picture
        for picture, path in zip(pictures, paths, strict=True)
    ]
    path = tmp_path / "train-0.parquet"
    columns = {"Smiling": [True, False, True], "image": column, "more": [b"\xff"] * 3}
    pyarrow.parquet.write_table(pyarrow.table({**columns, "box": [[1, 2]] * 3}), path)
    opened = Table(path)
    assert opened.has_pictures and opened.columns == ("image", "Smiling")
    assert [note.split()[-1] for note in opened.notes] == ["more", "box"]
    names = [f"train-0/{i:06d}.{'png' if struct and i == 1 else 'jpg'}" for i in (1, 2, 3)]
    assert [row["image"] for row in rows(opened)] == names
    assert list(opened.pictures()) == list(zip(names, pictures, strict=True))


def test_parquet_may_hold_paths_in_place_of_pictures(tmp_path):
    import pyarrow
    import pyarrow.parquet

    column = [{"bytes": None, "path": path} for path in ("a.jpg", "b.jpg", None)]
    table = pyarrow.table({"Smiling": [1, 0, 1], "image": column})
    pyarrow.parquet.write_table(table, tmp_path / "a.parquet")
    opened = Table(tmp_path / "a.parquet")
    assert not opened.has_pictures and opened.columns == ("image", "Smiling")
    assert [row["image"] for row in rows(opened)] == ["a.jpg", "b.jpg", ""]


def test_parts_of_file_names_are_columns(tmp_path):
    (tmp_path / "p").mkdir()
    for name in ("26_0_2_2017.jpg", "9_1.jpg"):
        (tmp_path / "p" / name).write_bytes(b"")
    opened = NameTable(PictureFiles(tmp_path, nested=True), ("age", "gender", "race"))
    first, second = (row for _, row in opened.rows())
    assert first == {"picture": "p/26_0_2_2017.jpg", "age": "26", "gender": "0", "race": "2"}
    assert second["race"] == "(no such part)"


def test_column_values_are_those_of_all_tables(table, tmp_path):
    first = table("picture,split,gender\na.jpg,train,Male\n").path
    second = first.rename(tmp_path / "other.csv")
    first = table("picture,split,gender\nb.jpg,train,Female\n").path
    assert column_values([first, second], but=["split"]) == {"gender": {"Male", "Female"}}
    with pytest.raises(DataError, match="expected the columns age"):
        column_values([first], ["age"])


def test_text_of_windows_and_other_forms_of_tables(tmp_path):
    path = tmp_path / "labels.csv"
    path.write_text("picture,Smiling\nä.jpg,1\n", "utf-16")
    assert [row for _, row in Table(path).rows()] == [{"picture": "ä.jpg", "Smiling": "1"}]
    path.write_bytes("picture,Smiling\nä.jpg,1\n".encode("cp1252"))
    with pytest.raises(DataError, match="labels.csv: expected a table in UTF-8"):
        list(Table(path).rows())
    (tmp_path / "labels.json").write_text("{}")
    with pytest.raises(DataError, match="which pandas .* write. Received: .*labels.json"):
        Table(tmp_path / "labels.json")
