"""Fixtures of the pipeline's tests; with it, tests below find `toy_pipeline`."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

_PROGRAMS = "/usr/lib/postgresql"  # where Debian has those that are not for everybody's path


@pytest.fixture
def toy_root(tmp_path) -> Path:
    """The root of a toy pipeline that has not run yet, with its source beside it."""
    (tmp_path / "source.txt").write_text("1 2 3 4")
    return tmp_path / "root"


@pytest.fixture(scope="session")
def postgresql_url() -> Iterator[str]:
    """An empty database of a PostgreSQL server that listens on a socket of its own."""
    pytest.importorskip("psycopg")
    found = [str(path) for path in Path(_PROGRAMS).glob("*/bin")]
    initdb = shutil.which("initdb", path=os.pathsep.join([os.environ["PATH"], *found]))
    if initdb is None:
        pytest.skip("PostgreSQL's server is not installed")
    # It refuses to run as root.
    user = {"user": "postgres"} if os.geteuid() == 0 else {}
    programs = Path(initdb).resolve().parent
    with tempfile.TemporaryDirectory() as folder:  # a socket's path has 107 characters at most
        data, log = Path(folder, "data"), Path(folder, "log")
        if user:
            shutil.chown(folder, "postgres")
        control = [programs / "pg_ctl", "-D", data, "-l", log, "-w"]
        options = f"-c listen_addresses= -c fsync=off -k {folder}"
        subprocess.run(
            [initdb, "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8"],
            check=True,
            capture_output=True,
            cwd=folder,
            **user,
        )
        subprocess.run([*control, "-o", options, "start"], check=True, cwd=folder, **user)
        try:
            yield f"postgresql+psycopg://postgres@/postgres?host={folder}"
        finally:
            subprocess.run([*control, "-m", "immediate", "stop"], check=True, cwd=folder, **user)
