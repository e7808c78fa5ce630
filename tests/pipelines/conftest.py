"""Fixtures of the pipeline's tests; with it, tests below find `toy_pipeline`."""

from pathlib import Path

import pytest


@pytest.fixture
def toy_root(tmp_path) -> Path:
    """The root of a toy pipeline that has not run yet, with its source beside it."""
    (tmp_path / "source.txt").write_text("1 2 3 4")
    return tmp_path / "root"
