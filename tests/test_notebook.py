"""The notebook of the first steps runs, on a small export in place of `make demo`'s."""

import json
from pathlib import Path

import pytest

NOTEBOOK = Path(__file__).resolve().parents[1] / "docs" / "first_steps.ipynb"


@pytest.fixture(scope="module")
def cells():
    return json.loads(NOTEBOOK.read_text("utf-8"))["cells"]


def test_it_holds_no_outputs(cells):
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert code and not any(cell["outputs"] or cell["execution_count"] for cell in code)


def test_its_cells_run_in_order(cells, tiny_export, tmp_path, monkeypatch, capsys):
    (tmp_path / "saved_models").mkdir()
    (tmp_path / "saved_models" / "demo").symlink_to(tiny_export.parent)
    monkeypatch.chdir(tmp_path)
    names = {}
    for cell in cells:
        if cell["cell_type"] == "code":
            exec("".join(cell["source"]), names)
    assert [one is None for one in names["predictions"]] == [False] * 4 + [True]
    assert [len(faces) for faces in names["faces"]] == [1] * 4
    assert "picture 4: expected a whole JPEG or PNG" in capsys.readouterr().out
