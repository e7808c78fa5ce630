"""Packages that import what they offer when it is first asked for: TensorFlow takes seconds."""

import importlib
from collections.abc import Callable, Mapping
from typing import Any


def lazily(
    package: str, offered: Mapping[str, str | None]
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Returns a package's ``__getattr__`` and ``__dir__``.

    Args:
        package: its name.
        offered: each name to the module that has it; None where it is a module of the package.
    """

    def find(name: str) -> Any:
        if name not in offered:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        where = offered[name]
        if where is None:
            return importlib.import_module(f"{package}.{name}")
        return getattr(importlib.import_module(where), name)

    return find, lambda: sorted(offered)
