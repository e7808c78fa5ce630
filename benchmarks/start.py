"""Seconds from command to first step and to first answer, and what of it is whose.

python benchmarks/start.py [--repeats=3] [--output=PATH]

Each is a process of its own, by turns, ended as soon as it is where it should be:

- python, import tensorflow: nothing of tfac, the limit of whoever starts TensorFlow from Python.
- NAME --help: of every program; none imports TensorFlow for it.
- tfac-train: to its first training step, which Algorithm 1 lets a validation come before (here of
  64 drawn faces), from random weights.
- tfac-predict, tfac.Predictor: to the first answer; tfac-serve: until it listens, warmed up.

Then, from `python -X importtime`, which packages the seconds of an import belong to, each module
counted without those that it imports. Prints medians and ranges, and writes Markdown and JSON with
--output. Files are read once before, so they come from memory.
"""

import collections
import json
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from absl import app, flags
from reporting import about, spread
from training_parts import drawn_faces

from tfac.data.synthetic.faces import SyntheticFacesConfig, make_example

_MODEL = flags.DEFINE_string("model", "mgg_net", "Network to train and to predict with.")
_BACKBONE = flags.DEFINE_string("backbone", "resnet18", "Its backbone.")
_REPEATS = flags.DEFINE_integer("repeats", 3, "How often each is started; one more warms up.", 1)
_OUTPUT = flags.DEFINE_string("output", None, "Where to write, without suffix; by default nowhere.")

_PROGRAMS = ("train", "predict", "serve", "evaluate", "export", "prepare")
_IMPORTS = (
    "tensorflow",
    "tfac.training.run",
    "tfac.inference.predictor",
    "tfac.serving.server.core",
)
_FACES = 64

# Runs a program's module and ends the process at the end of the first training step.
_TRAIN_ONE_STEP = """
import os
from tfac.cli import run_program, train
def end(monitor, step, losses):
    losses["total"].numpy()  # until the step is done
    os._exit(0)
def main(argv):
    from tfac.training.monitor import Monitor
    Monitor.record_step = end
    return train.main(argv)
run_program(main)
"""
_PREDICT = """
import sys, tfac
tfac.Predictor(sys.argv[1])([sys.argv[2]])
"""


def main(argv: Sequence[str]) -> None:
    """Measures, prints and writes."""
    if len(argv) > 1:
        raise app.UsageError(f"expected flags only. Received: {' '.join(argv[1:])}")
    with tempfile.TemporaryDirectory() as folder, drawn_faces(_FACES, _FACES) as data_dir:
        starts = _starts(Path(folder), data_dir)
        rows = {name: [] for name in starts}
        for repeat in range(_REPEATS.value + 1):
            for name, start in starts.items():
                seconds = start()
                if repeat:  # the first reads the files
                    rows[name].append(seconds)
    imports = {name: _import_seconds(name) for name in _IMPORTS}
    text = _text(rows, imports)
    described = {
        "network": f"{_MODEL.value}, {_BACKBONE.value}, 64 px",
        **about(["tensorflow", "keras", "keras-hub"]),
    }
    print(" · ".join(f"{name} {value}" for name, value in described.items()))
    print(text)
    if _OUTPUT.value:
        output = {**described, "seconds": rows, "imports": imports}
        Path(f"{_OUTPUT.value}.json").write_text(json.dumps(output, indent=1))
        Path(f"{_OUTPUT.value}.md").write_text(text + "\n")


def _starts(folder: Path, data_dir: Path) -> dict[str, Callable[[], float]]:
    """Returns for each way of starting a function that does it and returns the seconds."""
    saved_model = _export(folder, data_dir)
    face = folder / "face.jpg"
    face.write_bytes(make_example(SyntheticFacesConfig(image_size=218), "test", 0)["image"])
    modules = {name: [sys.executable, "-m", f"tfac.cli.{name}"] for name in _PROGRAMS}
    python = [sys.executable, "-c"]
    commands = {
        "python": [*python, "pass"],
        "import tensorflow": [*python, "import tensorflow"],
        **{f"tfac-{name} --help": [*command, "--help"] for name, command in modules.items()},
        "tfac-predict, one aligned face": [
            *modules["predict"],
            *(f"--saved_model={saved_model}", "--aligned", str(face)),
        ],
        "tfac.Predictor, the same": [*python, _PREDICT, str(saved_model), str(face)],
    }
    starts = {name: _runs(command) for name, command in commands.items()}
    train = [*python, _TRAIN_ONE_STEP, *_train_options(data_dir)]
    starts["tfac-train, first step"] = lambda: _first_step(train)
    serve = [*modules["serve"], f"--saved_model={saved_model}", "--port=0", "--rest_api_port=0"]
    starts["tfac-serve, listening"] = lambda: _first_line(serve)
    return starts


def _train_options(data_dir: Path) -> list[str]:
    return [
        *("--protocol=from_scratch", f"--model={_MODEL.value}", f"--backbone={_BACKBONE.value}"),
        "--image_size=64",
        *(f"--data_dir={data_dir}", "--batch_size=16", "--epochs=1"),
    ]


def _export(folder: Path, data_dir: Path) -> Path:
    """Trains for an epoch and exports; returns the model's folder."""
    train = [sys.executable, "-m", "tfac.cli.train", *_train_options(data_dir)]
    _run([*train, f"--workdir={folder / 'run'}"])
    export = [sys.executable, "-m", "tfac.cli.export", f"--workdir={folder / 'run'}"]
    _run([*export, f"--saved_models_dir={folder}", "--name=exported"])
    return folder / "exported"


def _run(command: Sequence[str], wanted: Sequence[int] = (0,)) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode not in wanted:
        sys.exit(f"{' '.join(command)}\n{done.stderr}")


def _runs(command: Sequence[str]) -> Callable[[], float]:
    def seconds() -> float:
        start = time.perf_counter()
        _run(command, wanted=(0, 1) if "--help" in command else (0,))  # absl's --help ends with 1
        return time.perf_counter() - start

    return seconds


def _first_step(command: Sequence[str]) -> float:
    with tempfile.TemporaryDirectory() as workdir:
        return _runs([*command, f"--workdir={workdir}"])()


def _first_line(command: Sequence[str]) -> float:
    """Returns the seconds until a program says something, and ends it."""
    start = time.perf_counter()
    program = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    line = program.stdout.readline()
    seconds = time.perf_counter() - start
    program.send_signal(signal.SIGTERM)
    program.communicate()
    if not line:
        sys.exit(f"{' '.join(command)} ended with {program.returncode}")
    return seconds


def _import_seconds(module: str) -> dict[str, float]:
    """Returns seconds by top-level package, the largest first."""
    command = [sys.executable, "-X", "importtime", "-c", f"import {module}"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    seconds = collections.Counter()
    for line in done.stderr.splitlines():
        if line.startswith("import time:") and line.count("|") == 2:
            own, _, name = line.removeprefix("import time:").split("|")
            if own.strip().isdecimal():  # not the heading
                seconds[name.strip().split(".")[0]] += int(own) / 1e6
    return dict(seconds.most_common())


def _text(rows: dict[str, Sequence[float]], imports: dict[str, dict[str, float]]) -> str:
    lines = ["| | seconds |", "|---|---|"]
    lines += [f"| {name} | {spread(seconds)} |" for name, seconds in rows.items()]
    lines += ["", "| import | seconds | tfac's own | others |", "|---|---|---|---|"]
    for name, packages in imports.items():
        others = [f"{package} {s:.2f}" for package, s in packages.items() if package != "tfac"]
        total = f"{sum(packages.values()):.2f}"
        own = f"{packages.get('tfac', 0):.2f}"
        lines.append(f"| {name} | {total} | {own} | {', '.join(others[:10])} |")
    return "\n".join(lines)


if __name__ == "__main__":
    app.run(main)
