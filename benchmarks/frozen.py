"""From prepared records to an exported model: a frozen network beside the plain one from scratch.

    python benchmarks/frozen.py --data_dir=DATA [--rounds=3]

Each round runs `tfac-train` and `tfac-export` as whole processes, in turn: the two-crop network
with dlib's weights and `--freeze`, and the plain ResNet18 by the protocol `small`, 4 epochs. Start,
features, validations and pictures are included. Writes frozen.json and .md to --output_dir.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from absl import app, flags
from reporting import about, spread

_DATA_DIR = flags.DEFINE_string("data_dir", None, "Prepared data set.", required=True)
_ROUNDS = flags.DEFINE_integer("rounds", 3, "Runs of each.", 1)
_OUTPUT_DIR = flags.DEFINE_string("output_dir", "benchmarks/results", "Where to write.")

_RUNS = {
    "frozen": ["--experiment=two_crop_frozen", "--protocol=small_pretrained"],
    "scratch": ["--experiment=baseline", "--protocol=small"],
}


def main(argv: Sequence[str]) -> None:
    """Measures and writes."""
    del argv
    seconds = {name: [] for name in _RUNS}
    for _ in range(_ROUNDS.value):
        for name, options in _RUNS.items():
            seconds[name].append(_measure(options))
            print(f"{name}: {seconds[name][-1]:.1f} s", flush=True)
    ratios = [a / b for a, b in zip(seconds["frozen"], seconds["scratch"], strict=True)]
    text = (
        "| | seconds, whole processes |\n|---|---|\n"
        f"| two-crop network, frozen | {spread(seconds['frozen'], 1)} |\n"
        f"| plain ResNet18 from scratch, 4 epochs | {spread(seconds['scratch'], 1)} |\n"
        f"| ratio | {spread(ratios)} |\n"
    )
    print(text)
    output = Path(_OUTPUT_DIR.value)
    record = {**about(("tensorflow", "keras", "tfac")), "seconds": seconds, "ratios": ratios}
    (output / "frozen.json").write_text(json.dumps(record, indent=2) + "\n")
    (output / "frozen.md").write_text(text)


def _measure(options: Sequence[str]) -> float:
    with tempfile.TemporaryDirectory() as folder:
        workdir = f"--workdir={folder}/run"
        started = time.perf_counter()
        for program, arguments in (
            ("train", [f"--data_dir={_DATA_DIR.value}", *options]),
            ("export", [f"--saved_models_dir={folder}/saved_models", "--name=model"]),
        ):
            command = [sys.executable, "-m", f"tfac.cli.{program}", workdir, *arguments]
            subprocess.run(command, check=True, capture_output=True)
        return time.perf_counter() - started


if __name__ == "__main__":
    app.run(main)
