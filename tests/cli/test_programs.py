"""What all programs do alike."""

import errno
import os
import re
import shlex
import subprocess
import sys

import pytest
import tensorflow as tf

from tests.cli import programs
from tests.cli.programs import run
from tfac.cli import _lacking

# Program to flags that it needs before it looks at what stands behind them.
FLAGS_ALONE = {
    "data_report": ["--data_dir=x"],
    "demo": [],
    "evaluate": ["--data_dir=x", "--workdir=a"],
    "experiment": ["--experiment=all"],
    "export": ["--workdir=absent"],
    "prepare": ["--dataset=celeba"],
    "serve": ["--saved_model=nowhere"],
    "train": ["--data_dir=d", "--workdir=w"],
}


@pytest.mark.parametrize("program", FLAGS_ALONE)
def test_what_is_no_flag_is_refused(program):
    finished = run(program, *FLAGS_ALONE[program], "stray")
    assert finished.returncode == 1
    assert finished.stderr == "error: expected flags alone. Received: stray\n"


@pytest.mark.parametrize("program", [*FLAGS_ALONE, "predict"])
def test_help_shows_every_default_without_starting_tensorflow(program):
    text = run(program, "--help").stdout
    assert "flags:" in text and f"{program}.py:" in text
    for flag in re.split(r"\n  --", text.split("Try --helpfull")[0])[1:]:
        assert "default" in flag or "(required)" in flag, flag
    imports = f"import sys, tfac.cli.{program}; assert 'tensorflow' not in sys.modules"
    subprocess.run([sys.executable, "-c", imports], check=True)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "a/b.json"), "No space left.*: a/b.json"),
        (OSError(errno.EROFS, os.strerror(errno.EROFS), "a"), "Read-only file system: a. Outputs"),
        (tf.errors.ResourceExhaustedError(None, None, "a; No space left on device"), "a; No space"),
        (tf.errors.PermissionDeniedError(None, None, "b; Permission denied"), "b; Permission"),
        (tf.errors.ResourceExhaustedError(None, None, "OOM when allocating"), "--batch_size.*OOM"),
        (MemoryError(), "the memory does not suffice.*--image_size"),
        (FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), "a"), None),
        (tf.errors.InvalidArgumentError(None, None, "shapes"), None),
        (ValueError("Permission denied"), None),
    ],
)
def test_what_the_machine_lacks_is_said_in_one_line(error, reason):
    said = _lacking(error)
    assert said is None if reason is None else re.search(reason, said) and "\n" not in said


def test_a_reader_that_has_seen_enough_is_no_error():
    listing = shlex.join(programs.command("experiment", "--experiment=list"))
    done = subprocess.run(f"{listing} | head -n 1", shell=True, capture_output=True, text=True)
    assert len(done.stdout.splitlines()) == 1 and done.stderr == ""


def test_a_server_without_its_extra_says_which():
    program = (
        "import sys; sys.modules['uvicorn'] = None\n"
        "from tfac.cli import serve; sys.argv[1:] = ['--saved_model=x']; serve.run()"
    )
    finished = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert finished.returncode == 1
    assert finished.stderr == "error: tfac-serve needs uvicorn: pip install 'tfac[serving]'\n"
