"""What all programs do alike."""

import re
import subprocess
import sys

import pytest

from tests.cli.programs import run

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


def test_a_server_without_its_extra_says_which():
    program = (
        "import sys; sys.modules['uvicorn'] = None\n"
        "from tfac.cli import serve; sys.argv[1:] = ['--saved_model=x']; serve.run()"
    )
    finished = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert finished.returncode == 1
    assert finished.stderr == "error: tfac-serve needs uvicorn: pip install 'tfac[serving]'\n"
