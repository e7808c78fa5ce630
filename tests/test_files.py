import errno
import os
import subprocess
import sys

import pytest

from tfac.errors import DataError
from tfac.files import (
    put_in_place,
    read_json,
    version_folders,
    whole_directory,
    whole_file,
    write_json,
)


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


def test_what_a_killed_process_left_is_removed_and_what_another_writes_is_not(tmp_path):
    with whole_directory(tmp_path / "1") as aside:
        (tmp_path / ".2.killed.writing").mkdir()
        for folder in (aside, tmp_path / ".2.killed.writing"):
            os.utime(folder, (1e9, 1e9))
        with whole_directory(tmp_path / "3"):
            assert aside.is_dir() and not (tmp_path / ".2.killed.writing").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["1", "3"]


def test_files_that_a_killed_process_left_are_removed_and_those_being_written_are_not(tmp_path):
    left = (".a.killed.writing.json", ".b.killed.writing", ".1.killed.writing.lock")
    others = (".a.20261201.json", ".c.young.writing.json", "d.writing", ".writing.lock")
    for name in (*left, *others):
        (tmp_path / name).touch()
        if name != ".c.young.writing.json":
            os.utime(tmp_path / name, (1e9, 1e9))
    with whole_file(tmp_path / "a.json") as aside:
        os.utime(aside, (1e9, 1e9))
        program = "import sys; from tfac.files import write_json; write_json(sys.argv[1], {})"
        subprocess.run([sys.executable, "-c", program, tmp_path / "e.json"], check=True)
    there = {path.name for path in tmp_path.iterdir()}
    assert there == {"a.json", "e.json", *others}


def test_existing_directory_is_not_overwritten(tmp_path):
    (tmp_path / "1").mkdir()
    with pytest.raises(FileExistsError), whole_directory(tmp_path / "1"):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["1"]


def test_json_comes_back_as_it_was_written(tmp_path):
    write_json(tmp_path / "new" / "a.json", {"b": [1.5, None]})
    assert read_json(tmp_path / "new" / "a.json") == {"b": [1.5, None]}
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "new" / "a.json", {"b": float("nan")})
    assert read_json(tmp_path / "new" / "a.json") == {"b": [1.5, None]}


@pytest.mark.parametrize("content", [None, b"", b"[]", b"{", b"\xff", b"[" * 100_000])
def test_what_is_no_json_object_is_named(tmp_path, content):
    path = tmp_path / "a.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match="a.json: expected a report"):
        read_json(path, "a report")


def test_versions_are_folders_called_by_a_number(tmp_path):
    names = ("2", "10", "00000123", ".1", "v1", "9" * 40, "\N{ARABIC-INDIC DIGIT THREE}")
    for name in names:
        (tmp_path / name).mkdir()
    (tmp_path / "7").touch()
    found = version_folders(tmp_path)
    assert list(found) == [2, 10, 123] and found[123] == tmp_path / "00000123"
    assert version_folders(tmp_path / "absent") == {}


@pytest.fixture
def disk(monkeypatch):
    """What the disk is told to hold, by name, and renames by the name that they give."""
    told = []
    real_fsync, real_replace = os.fsync, os.replace

    def fsync(handle):
        told.append(os.path.basename(os.readlink(f"/proc/self/fd/{handle}")))
        real_fsync(handle)

    def replace(aside, path):
        told.append(f"-> {os.path.basename(path)}")
        real_replace(aside, path)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "replace", replace)
    return told


def test_contents_are_on_the_disk_before_they_have_their_name_and_then_the_name_is(tmp_path, disk):
    write_json(tmp_path / "a.json", {})
    assert disk[0].startswith(".a.") and disk[1:] == ["-> a.json", tmp_path.name]
    del disk[:]
    with whole_directory(tmp_path / "1") as aside:
        (aside / "b").mkdir()
        (aside / "b" / "c").write_text("d")
        (aside / "nowhere").symlink_to("absent")
    assert {"b", "c", aside.name} == set(disk[:3])
    assert disk[3:] == ["-> 1", tmp_path.name]


def test_a_folder_that_the_disk_cannot_flush_is_no_error_and_a_file_is(tmp_path, monkeypatch):
    def refuse(handle):
        raise OSError(errno.EINVAL, "Invalid argument")

    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    monkeypatch.setattr(os, "fsync", refuse)
    put_in_place(tmp_path / "folder", tmp_path / "put")
    assert (tmp_path / "put").is_dir()
    with pytest.raises(OSError, match="Invalid argument"):
        put_in_place(tmp_path / "file", tmp_path / "other")
    assert (tmp_path / "file").exists() and not (tmp_path / "other").exists()
