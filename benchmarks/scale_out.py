"""What sharing a batch out costs: two logical devices, and two worker processes, on one machine.

python benchmarks/scale_out.py [--models=baseline,dmm_cnn] [--image_size=64] [--repeats=9]

Three runs of `tfac-train`'s own loop with the same batches, input included, take turns of a few
steps on the same cores:

- one device, on all cores;
- --strategy=mirrored with two logical devices on all cores;
- --strategy=multi_worker with two processes, each on half of the cores, over the loopback.

The cores are the same, so nothing can get faster: a ratio is the time over that of one device in
the same turn, and what is above 1 is the cost of splitting, adding up gradients and waiting for
one another. The networks have ResNet18.
"""

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
from absl import app, flags
from reporting import about, spread

_MODELS = flags.DEFINE_list("models", ["baseline", "dmm_cnn"], "Networks to train.")
_IMAGE_SIZE = flags.DEFINE_integer("image_size", 64, "Side of the pictures, pixels.", 16)
_BATCH_SIZE = flags.DEFINE_integer("batch_size", 64, "Pictures a step, over all devices.", 2)
_REPEATS = flags.DEFINE_integer("repeats", 9, "Turns of each way, after one to warm up.", 1)
_STEPS = flags.DEFINE_integer("steps", 5, "Steps a turn.", 1)
_OUTPUT = flags.DEFINE_string("output", None, "Where to write, without suffix; by default nowhere.")
_RUN = flags.DEFINE_string("run", None, "A run as JSON: what each process is started with.")

_CORES = sorted(os.sched_getaffinity(0))
_WAYS = ("one_device", "mirrored", "multi_worker")
_GO = "go\n"


def main(argv: Sequence[str]) -> None:
    """Measures, prints and writes."""
    if len(argv) > 1:
        raise app.UsageError(f"expected flags only. Received: {' '.join(argv[1:])}")
    if _RUN.value:
        _train(json.loads(_RUN.value))
        return
    with tempfile.TemporaryDirectory() as folder:
        data = _draw(folder)
        rows = [_measure(model, data, Path(folder)) for model in _MODELS.value]
    described = about(["tensorflow", "keras"])
    table = _table(rows)
    print(" · ".join(f"{name} {value}" for name, value in described.items()))
    print(table)
    if _OUTPUT.value:
        Path(f"{_OUTPUT.value}.json").write_text(json.dumps({**described, "rows": rows}, indent=1))
        Path(f"{_OUTPUT.value}.md").write_text(table + "\n")


def _draw(folder: str) -> Path:
    from tfac.data.preparing.workers import Processes
    from tfac.data.synthetic.faces import SyntheticFacesConfig, prepare_synthetic_faces

    config = SyntheticFacesConfig(
        image_size=_IMAGE_SIZE.value,
        train_count=8 * _BATCH_SIZE.value,
        validation_count=_BATCH_SIZE.value,
        test_count=1,
    )
    return prepare_synthetic_faces(config, Path(folder) / "data", Processes())[0]


def _measure(model: str, data: Path, folder: Path) -> dict:
    runs = {way: _start(way, model, data, folder) for way in _WAYS}
    seconds: dict[str, list[float]] = {way: [] for way in _WAYS}
    try:
        for processes in runs.values():
            _wait(processes)  # for the first step, which traces
        for turn in range(_REPEATS.value + 1):
            for way, processes in runs.items():
                for process in processes:
                    process.stdin.write(_GO)
                    process.stdin.flush()
                took = _wait(processes)
                if turn:  # the first warms up
                    seconds[way].append(took / _STEPS.value)
    finally:
        for process in (process for processes in runs.values() for process in processes):
            process.kill()
            process.wait()
    return {
        "model": model,
        "image_size": _IMAGE_SIZE.value,
        "batch_size": _BATCH_SIZE.value,
        "seconds_a_step": seconds,
    }


def _start(way: str, model: str, data: Path, folder: Path) -> list[subprocess.Popen]:
    """Starts the processes of a run: one, or two workers with half of the cores each."""
    run = {"way": way, "model": model, "data": str(data), "workdir": str(folder / model / way)}
    if way != "multi_worker":
        return [_start_process(run, _CORES, None)]
    cluster = {"worker": _free_addresses(2)}
    half = max(len(_CORES) // 2, 1)
    return [
        _start_process(run, cores, {"cluster": cluster, "task": {"type": "worker", "index": index}})
        for index, cores in enumerate((_CORES[:half], _CORES[-half:]))
    ]


def _start_process(run: dict, cores: Sequence[int], tf_config: dict | None) -> subprocess.Popen:
    flags_here = [f"--{flag.name}={flag.value}" for flag in (_IMAGE_SIZE, _BATCH_SIZE, _STEPS)]
    environment = dict(os.environ)
    if tf_config:
        environment["TF_CONFIG"] = json.dumps(tf_config)
    return subprocess.Popen(
        [sys.executable, __file__, *flags_here, f"--run={json.dumps({**run, 'cores': cores})}"],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def _free_addresses(count: int) -> list[str]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    addresses = [f"127.0.0.1:{s.getsockname()[1]}" for s in sockets]
    for s in sockets:
        s.close()
    return addresses


def _wait(processes: Sequence[subprocess.Popen]) -> float:
    """Returns the seconds of the slowest."""
    return max(float(process.stdout.readline()) for process in processes)


def _train(run: dict) -> None:
    """Trains, a few steps at each line on standard input; prints how many seconds they took."""
    os.sched_setaffinity(0, run["cores"])  # before TensorFlow counts them

    import keras

    from tfac.training.config import TrainConfig
    from tfac.training.run import run_training

    class Turns(keras.callbacks.Callback):
        """Takes the time of a turn, and waits for the next."""

        def on_train_begin(self, logs=None):
            """The first turn is one step."""
            self.left, self.start = 1, time.perf_counter()

        def on_train_batch_end(self, batch, logs=None):
            """Ends a turn after its last step."""
            self.left -= 1
            if self.left:
                return
            print(time.perf_counter() - self.start, flush=True)
            sys.stdin.readline()
            self.left, self.start = _STEPS.value, time.perf_counter()

    config = TrainConfig(
        model=run["model"],
        backbone="resnet18",
        image_size=_IMAGE_SIZE.value,
        batch_size=_BATCH_SIZE.value,
        epochs=1000,
        update_interval=8000,  # the end, which is never reached
        strategy=run["way"],
        num_devices=2 if run["way"] == "mirrored" else 0,
    )
    run_training(config, run["data"], run["workdir"], [Turns()], show_progress=False)


def _table(rows: Sequence[dict]) -> str:
    lines = [
        "| network | px | batch | one device, ms a step | two devices | two workers |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        seconds = row["seconds_a_step"]
        cells = [row["model"], row["image_size"], row["batch_size"]]
        cells.append(f"{1e3 * np.median(seconds['one_device']):.0f}")
        for way in _WAYS[1:]:
            ratios = np.divide(seconds[way], seconds["one_device"])
            cells.append(spread(ratios))
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines)


if __name__ == "__main__":
    app.run(main)
