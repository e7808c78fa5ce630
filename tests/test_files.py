import pytest

from tfac.files import whole_directory, whole_file


def test_file_appears_whole(tmp_path):
    path = tmp_path / "folder" / "report.json"
    with whole_file(path) as aside:
        aside.write_text("{}")
        assert not path.exists() and aside.suffix == ".json"
    assert path.read_text() == "{}"


def test_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "report.json"
    path.write_text("old")
    with pytest.raises(OSError, match="disk"), whole_file(path) as aside:
        aside.write_text("half")
        raise OSError("disk full")
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_failed_directory_leaves_nothing(tmp_path):
    with pytest.raises(OSError, match="disk"), whole_directory(tmp_path / "1") as aside:
        (aside / "half").write_text("x")
        raise OSError("disk full")
    assert list(tmp_path.iterdir()) == []


def test_existing_directory_is_not_overwritten(tmp_path):
    (tmp_path / "1").mkdir()
    with pytest.raises(FileExistsError), whole_directory(tmp_path / "1"):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["1"]
