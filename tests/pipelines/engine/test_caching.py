import os
import shutil

import pytest

pytest.importorskip("sqlalchemy")

from pipelines.engine import caching
from pipelines.engine.caching import Work, code_version, is_as_recorded, read_contents
from pipelines.engine.store import ArtifactRecord


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "folder" / "b").mkdir(parents=True)
    (tmp_path / "folder" / "a.txt").write_text("a")
    (tmp_path / "folder" / "b" / "c.txt").write_text("c")
    return tmp_path / "folder"


def artifact(fingerprint="f") -> ArtifactRecord:
    return ArtifactRecord(
        type="Examples", uri="", fingerprint=fingerprint, num_files=1, num_bytes=1, properties={}
    )


def work(**changes) -> Work:
    values = {
        "component": "Trainer",
        "code_version": "1",
        "parameters": {"epochs": 2, "workers": 4},
        "neutral": ("workers",),
        "external": None,
        "inputs": {"examples": artifact()},
    }
    return Work(**{**values, **changes})


def test_fingerprint_is_of_names_and_contents(folder, tmp_path):
    contents = read_contents(folder, {"a": 1})
    assert (contents.num_files, contents.num_bytes) == (2, 2)
    shutil.copytree(folder, tmp_path / "copy")
    os.utime(tmp_path / "copy" / "a.txt", (0, 0))
    assert read_contents(tmp_path / "copy", {"a": 1}) == contents
    assert read_contents(folder, {"a": 2}).fingerprint != contents.fingerprint


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: (folder / "a.txt").write_text("b"),
        lambda folder: (folder / "a.txt").rename(folder / "b" / "a.txt"),
        lambda folder: (folder / "e").touch(),
    ],
    ids=["content", "place", "empty file"],
)
def test_fingerprint_changes_with(folder, change):
    before = read_contents(folder, {}).fingerprint
    change(folder)
    assert read_contents(folder, {}).fingerprint != before


def test_folder_is_as_recorded_to_the_last_bit(folder):
    recorded = read_contents(folder, {"a": 1}).fingerprint
    assert is_as_recorded(folder, {"a": 1}, recorded)
    assert not is_as_recorded(
        folder / "missing", {}, read_contents(folder / "missing", {}).fingerprint
    )
    file = max(path for path in folder.rglob("*") if path.is_file())
    file.write_bytes(bytes(byte ^ 1 for byte in file.read_bytes()))
    assert not is_as_recorded(folder, {"a": 1}, recorded)


@pytest.mark.parametrize(
    ("changes", "same"),
    [
        ({}, True),
        ({"parameters": {"workers": 8, "epochs": 2}}, True),
        ({"parameters": {"epochs": 3, "workers": 4}}, False),
        ({"code_version": "2"}, False),
        ({"external": "source"}, False),
        ({"inputs": {"examples": artifact("g")}}, False),
        ({"inputs": {"data": artifact()}}, False),
        ({"inputs": {}}, False),
        ({"component": "Tuner"}, False),
    ],
)
def test_key_follows_from_all_but_neutral_parameters(changes, same):
    assert (work(**changes).cache_key == work().cache_key) == same


def test_code_version_follows_from_source_and_libraries(monkeypatch, tmp_path):
    import pipelines

    before = code_version()
    assert code_version.__wrapped__() == before
    shutil.copytree(os.path.dirname(pipelines.__file__), tmp_path / "pipelines")
    monkeypatch.setattr(pipelines, "__file__", str(tmp_path / "pipelines" / "__init__.py"))
    assert code_version.__wrapped__() == before  # wherever it lies
    with (tmp_path / "pipelines" / "engine" / "graph.py").open("a") as file:
        file.write("# changed\n")
    assert code_version.__wrapped__() != before
    monkeypatch.setattr(caching, "_LIBRARIES", ())
    assert code_version.__wrapped__() != before
