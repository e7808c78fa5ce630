import subprocess
import sys

import pytest

PROGRAM = """
import sys
from pathlib import Path
from tfac.cli import demo
from tfac.errors import TfacError
there, absent = Path(sys.argv[1]), Path(sys.argv[1]) / "absent"
print("ran:", demo._step("a step", ["train", "--unknown"], there))
try:
    demo._step("another", ["train", "--unknown"], absent)
except TfacError as error:
    print("refused:", error)
"""


def test_step_whose_output_is_there_is_reused_and_a_failed_one_stops(tmp_path):
    answer = subprocess.run(
        [sys.executable, "-c", PROGRAM, tmp_path], capture_output=True, text=True
    )
    assert f"{tmp_path} is already there; reused\nran: False" in answer.stdout
    assert "refused: tfac-train ended with status 2" in answer.stdout
    assert "Unknown command line flag 'unknown'" in answer.stderr


@pytest.mark.slow
def test_unseen_faces_are_the_pictures_of_the_test_split(tiny_records, tmp_path):
    program = (
        "import sys; from pathlib import Path; from tfac.cli import demo;"
        "demo._write_unseen_faces(Path(sys.argv[1]), Path(sys.argv[2]))"
    )
    folder = tmp_path / "unseen"
    command = [sys.executable, "-c", program, tiny_records, folder]
    subprocess.run(command, check=True, capture_output=True)
    names = sorted(path.name for path in folder.iterdir())
    assert names == [f"unseen-{number:02d}.jpg" for number in range(8)]
