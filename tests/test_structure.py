"""The direction of imports, and what the repository must not hold."""

import ast
import importlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

# What each part may import of tfac; the part itself is always allowed, and cli imports everything.
FOUNDATION = {
    "attributes",
    "dlib_files",
    "errors",
    "files",
    "label_rules",
    "landmarks",
    "lazy",
    "networks",
    "notices",
    "pages",
    "progress",
}
ALLOWED = {
    "attributes": {"errors", "label_rules"},
    "label_rules": {"errors", "files"},
    "dlib_files": {"errors"},
    "landmarks": {"errors"},
    "lazy": set(),
    "networks": set(),
    "pages": set(),
    "files": {"errors"},
    "errors": set(),
    "notices": set(),
    "progress": set(),
    "photos": FOUNDATION,
    "layers": {"errors"},
    "losses": {"errors", "landmarks"},
    "models": {"layers", *FOUNDATION},
    "speed": set(),
    "data": {"photos", *FOUNDATION},
    "data_report": {"data", "photos", *FOUNDATION},
    "inference": {"losses", "models", "photos", "speed", *FOUNDATION},
    "evaluation": {"data", "inference", "losses", *FOUNDATION},
    "training": {
        "data",
        "evaluation",
        "inference",
        "losses",
        "models",
        "photos",
        "speed",
        *FOUNDATION,
    },
    "experiments": {"data", "evaluation", "inference", "models", "training", *FOUNDATION},
    "export": {"evaluation", "inference", "models", "photos", "speed", *FOUNDATION},
    "serving": {"inference", "photos", *FOUNDATION},
}


def test_every_part_has_its_rule():
    found = {path.stem for path in (ROOT / "tfac").iterdir() if not path.name.startswith("_")} - {
        "templates",
        "celeba_label_rules",
    }
    assert found == {*ALLOWED, "cli"}


def imported_parts(path: Path) -> set[str]:
    """The parts of tfac that a source file imports anywhere in it."""
    parts = set()
    for node in ast.walk(ast.parse(path.read_text())):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        parts |= {name.split(".")[1] for name in names if name.startswith("tfac.")}
    return parts


@pytest.mark.parametrize("part", ALLOWED)
def test_imports_point_one_way(part):
    folder = ROOT / "tfac" / part
    files = [folder.with_suffix(".py")] if not folder.is_dir() else sorted(folder.rglob("*.py"))
    assert files
    for path in files:
        wrong = imported_parts(path) - ALLOWED[part] - {part}
        assert not wrong, f"{path.relative_to(ROOT)} imports tfac.{', tfac.'.join(sorted(wrong))}"


@pytest.mark.parametrize("part", ["layers", "losses", "models"])
def test_networks_do_not_import_tensorflow(part):
    for path in sorted((ROOT / "tfac" / part).rglob("*.py")):
        tree = ast.parse(path.read_text())
        modules = [n.module or "" for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)]
        modules += [a.name for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names]
        assert not [name for name in modules if name.split(".")[0] == "tensorflow"], path


def test_benchmarks_import_what_is_there():
    for path in sorted((ROOT / "benchmarks").glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "tfac":
                module = importlib.import_module(node.module)
                for alias in node.names:
                    assert hasattr(module, alias.name), f"{path.name}: {node.module}.{alias.name}"


def test_new_names_are_given_by_what_has_the_disk_hold_them():
    """`tfac.files.put_in_place` alone renames what is whole."""
    renames = re.compile(r"os\.(replace|renames?)\(|shutil\.move")
    for part in ("tfac", "pipelines"):
        for path in sorted((ROOT / part).rglob("*.py")):
            if path != ROOT / "tfac" / "files.py":
                assert not renames.search(path.read_text()), path


def test_attribute_names_are_written_once():
    """CelebA's order is in `tfac/attributes.py` alone: no other source lists most of the names."""
    from tfac.attributes import ATTRIBUTES

    for path in sorted((ROOT / "tfac").rglob("*.py")):
        if path.name == "attributes.py":
            continue
        body = path.read_text()
        positions = [body.find(f'"{name}"') for name in ATTRIBUTES]
        if -1 not in positions:
            assert positions != sorted(positions), f"{path} repeats the list of attributes"
