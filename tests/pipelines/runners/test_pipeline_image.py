import re
import shlex
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
TEXT = re.sub(r"\\\n\s*", "", (ROOT / "pipelines" / "Dockerfile").read_text())
STEPS = [line.split(maxsplit=1) for line in TEXT.splitlines() if line and line[0] not in "#"]


def steps(word: str) -> list[str]:
    return [rest for each, rest in STEPS if each == word]


def test_image_is_slim_python_and_not_root():
    assert steps("FROM") == ["python:${PYTHON_VERSION}-slim"]
    assert "PYTHON_VERSION=3.11" in steps("ARG")
    assert steps("USER") == ["65532:65532"]


def test_no_registry_is_named():
    assert not re.search(r"https?://|index-url|trusted-host", TEXT)


def test_only_what_is_copied_is_sent_and_it_is_there():
    sources = [part.rstrip("/") for step in steps("COPY") for part in shlex.split(step)[:-1]]
    ignored = (ROOT / "pipelines" / "Dockerfile.dockerignore").read_text().splitlines()
    assert ignored[0] == "*"
    assert sorted(sources) == sorted(line[1:] for line in ignored if line.startswith("!"))
    assert all((ROOT / source).exists() for source in sources)
