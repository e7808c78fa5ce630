"""Writes docs/api.md from docstrings and docs/options.md from the training options.

    python docs/generate.py

Sources are read and not imported, but for the options, which need no TensorFlow. The tests hold
both pages to what this gives.
"""

import ast
import copy
import dataclasses
import inspect
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tfac.errors import ConfigError  # noqa: E402
from tfac.experiments.protocols import PROTOCOLS  # noqa: E402
from tfac.experiments.registry import get_config  # noqa: E402
from tfac.networks import NETWORKS, networks_with  # noqa: E402
from tfac.training.config import TrainConfig, describe_range  # noqa: E402

PACKAGES = tuple(
    f"tfac.{name}" if name else "tfac"
    for name in ("", "models", "layers", "losses", "data", "training", "serving")
)
# Not in a package's `__all__`, but what its public names give back.
_ALSO = {
    "tfac": {
        "Prediction": "tfac.inference.prediction",
        "FoundFace": "tfac.inference.photo_prediction",
        "PhotoFaces": "tfac.inference.analysis",
        "PhotosFaces": "tfac.inference.analysis",
    }
}
# Packages whose classes are shown with their methods; those of the others are Keras's.
_WITH_METHODS = ("tfac", "tfac.serving")

_WRITTEN = "<!-- Written by `python docs/generate.py`; change the sources, not this page. -->\n"


def api() -> str:
    """Returns the page of the public names."""
    parts = [
        "# Python interface\n",
        _WRITTEN,
        "The public names and the first paragraph of their docstrings; `help(NAME)` has more.\n",
    ]
    for package in PACKAGES:
        tree = _parse(package)
        parts.append(f"## {package}\n\n{_first_paragraph(tree)}\n")
        names = {name: package for name in _public_names(tree)} | _ALSO.get(package, {})
        for name, module in names.items():
            parts.extend(_describe(module, name, with_methods=package in _WITH_METHODS))
    return "\n".join(parts)


def options() -> str:
    """Returns the page of the training options and of what each recipe sets."""
    rows = [
        "# Training options\n",
        _WRITTEN,
        "Every option of `tfac-train`, and of `tfac-experiment --option=NAME=VALUE`. A recipe "
        "(`--protocol`) sets some of\nthem; what it leaves alone has the default. `--NAME=VALUE` "
        "overrides both, and `--noNAME` turns an option off.\n`tfac-train` without options trains "
        "`two_crop_net` by the recipe `pretrained`.\n",
        "| option | default | range | meaning |\n|---|---|---|---|",
    ]
    for field in dataclasses.fields(TrainConfig):
        limits = field.metadata["choices"]
        limits = ", ".join(f"`{c}`" for c in limits) if limits else describe_range(field)
        alone = ", ".join(networks_with(field.name))
        meaning = field.metadata["help"].replace("|", "\\|") + (f"; {alone} alone" if alone else "")
        rows.append(f"| `{field.name}` | {_value(field.default)} | {limits} | {meaning} |")
    rows += [
        "\n## Recipes\n",
        "What each recipe sets to something else than the default, by network "
        "(`tfac-train --protocol=RECIPE --model=NETWORK`).",
    ]
    for protocol in PROTOCOLS:
        rows.append(f"\n### {protocol.name}\n\nIt is {protocol.about}.\n")
        rows.append("| network | sets |\n|---|---|")
        alike: dict[str, list[str]] = {}
        for name, text in _recipes(protocol.name):
            alike.setdefault(text, []).append(f"`{name}`")
        rows += [f"| {', '.join(names)} | {text} |" for text, names in alike.items()]
    return "\n".join(rows) + "\n"


def _recipes(protocol: str) -> Iterator[tuple[str, str]]:
    for name in NETWORKS:  # what a recipe sets is shown for the experiment of its name
        # A recipe that fine-tunes needs the folder of another run; any name will do here.
        for given in ({}, {"initial_workdir": "RUN"}):
            try:
                config = get_config(name, protocol, given)
            except ConfigError:
                continue
            changed = [
                f"`{field.name}={_text(getattr(config, field.name))}`"
                for field in dataclasses.fields(config)
                if field.name != "model" and getattr(config, field.name) != field.default
            ]
            yield name, ", ".join(changed) or "nothing"
            break


def _value(value: object) -> str:
    return "none" if value is None else f"`{_text(value)}`"


def _text(value: object) -> str:
    return "x".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _path(module: str) -> Path:
    path = ROOT.joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def _parse(module: str) -> ast.Module:
    return ast.parse(_path(module).read_text(encoding="utf-8"))


def _public_names(tree: ast.Module) -> list[str]:
    for node in tree.body:
        if _assigned(node) == "__all__":
            names = ast.literal_eval(node.value)
            return sorted(name for name in names if not name.startswith("__"))
    raise ValueError("expected a list __all__")


def _describe(module: str, name: str, *, with_methods: bool) -> Iterator[str]:
    """Yields a name's heading and text; nothing of a package that has a part of its own."""
    found = _find(module, name)
    if found is None:
        return
    tree, node = found
    if _assigned(node):
        yield f"### {name}\n\n{_constant(module, name, node.value)}\n"
        return
    signature = _class_arguments(tree, node) if isinstance(node, ast.ClassDef) else _arguments(node)
    yield f"### {name}\n\n```python\n{_wrapped(name, signature)}\n```\n\n{_first_paragraph(node)}\n"
    if isinstance(node, ast.ClassDef) and with_methods:
        methods = [line for member in node.body for line in _method(member)]
        if methods:
            yield "\n".join(methods) + "\n"


def _method(node: ast.stmt) -> Iterator[str]:
    if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) or not ast.get_docstring(node):
        return
    if node.name.startswith("_") and node.name != "__call__":
        return
    is_property = any(ast.unparse(each) == "property" for each in node.decorator_list)
    call = node.name if is_property else f"{node.name}({_arguments(node, method=True)})"
    asked = "await " if isinstance(node, ast.AsyncFunctionDef) else ""
    yield f"- `{asked}{call}`: {_first_paragraph(node)}"


def _find(module: str, name: str) -> tuple[ast.Module, ast.stmt] | None:
    """Returns where a name is defined, followed through imports; None for a package."""
    if ROOT.joinpath(*module.split("."), name).is_dir():
        return None
    tree = _parse(module)
    for node in tree.body:
        if getattr(node, "name", None) == name:
            return tree, node
        if _assigned(node) == name:
            return tree, node
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and name in [alias.name for alias in node.names]:
            if not _path(node.module).exists():
                continue
            found = _find(node.module, name)
            if found:
                return found
    raise ValueError(f"{module}: expected a definition of {name}, found none")


def _assigned(node: ast.stmt) -> str:
    """Returns the name that a statement gives a value to, or ""."""
    if isinstance(node, ast.Assign):
        return ast.unparse(node.targets[0])
    return ast.unparse(node.target) if isinstance(node, ast.AnnAssign) else ""


def _class_arguments(tree: ast.Module, node: ast.ClassDef) -> str:
    for member in node.body:
        if isinstance(member, ast.FunctionDef) and member.name == "__init__":
            return _arguments(member, method=True)
    if any("dataclass" in ast.unparse(each) for each in node.decorator_list):
        fields = [member for member in node.body if isinstance(member, ast.AnnAssign)]
        for field in fields:
            if isinstance(field.value, ast.Call) and ast.unparse(field.value.func) == "_option":
                field.value = field.value.args[0]  # its help is in docs/options.md
        return ", ".join(ast.unparse(field) for field in fields)
    for base in node.bases:
        for other in tree.body:
            if isinstance(other, ast.ClassDef) and other.name == ast.unparse(base):
                return _class_arguments(tree, other)
    return ""


def _arguments(node: ast.FunctionDef | ast.AsyncFunctionDef, method: bool = False) -> str:
    arguments = copy.deepcopy(node.args)
    if method:
        del arguments.args[0]
    return ast.unparse(arguments)


def _wrapped(name: str, arguments: str) -> str:
    """Returns a call on one line, or with an argument a line where it is long."""
    if len(name) + len(arguments) < 90:
        return f"{name}({arguments})"
    parts = [""]
    for letter in arguments:
        outside = parts[-1].count("[") == parts[-1].count("]")
        outside &= parts[-1].count("(") == parts[-1].count(")")
        if letter == "," and outside:
            parts.append("")
        else:
            parts[-1] += letter
    return f"{name}(\n" + "".join(f"    {part.strip()},\n" for part in parts) + ")"


def _constant(module: str, name: str, value: ast.expr) -> str:
    if isinstance(value, ast.Dict):
        return "By name: " + ", ".join(f"`{ast.literal_eval(key)}`" for key in value.keys) + "."
    return f"A constant; its value is `{module}.{name}`."


def _first_paragraph(node: ast.Module | ast.stmt) -> str:
    text = inspect.cleandoc(ast.get_docstring(node) or "").split("\n\n")[0]
    return " ".join(text.split()).removesuffix(":").rstrip(":") or "(no docstring)"


def main() -> None:
    """Writes both pages."""
    for name, text in (("api.md", api()), ("options.md", options())):
        (ROOT / "docs" / name).write_text(text, encoding="utf-8")
        print(f"wrote docs/{name}")


if __name__ == "__main__":
    main()
