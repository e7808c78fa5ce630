"""Training and inference of the networks beside the same networks in PyTorch, on this CPU.

python benchmarks/pytorch.py [--torch_python=PYTHON] [--repeats=5]

--torch_python is the interpreter of an environment with PyTorch (and, to compile, a C++ compiler);
by default this one. PyTorch runs in a process of its own, and the two take turns: while one works
the other waits. Both start from the same weights and work on the same batch of noise in memory. In
float32 their first scores and losses must agree, or the benchmark ends with an error.

- tfac: the training step of `tfac-train` with its defaults; inference as in its validation.
- the engines of `tfac-serve` for inference: the folded SavedModel and OpenVINO in the row's
  precision, and ONNX Runtime in float32; a call gives probabilities and predictions too.
- PyTorch: channels-last, autocast in bfloat16 rows, fused AdamW; eager and with `torch.compile`.

Prints pictures a second, median and range, and the best way's rate over that of the best of
PyTorch's ways in the same turn; writes Markdown and JSON after each row with --output. All ways of
a network are in memory at once: measure DMM-CNN by itself, and where 24 GB are not enough without
ONNX, --rows=dmm_cnn:resnet50:float32:32 --engines=tensorflow,openvino.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from absl import app, flags
from networks import create_batch, create_steps, create_trained
from reporting import about, spread

import tfac
from tfac.export.saved_model import ExportOptions, export_saved_model
from tfac.inference.engines import load_engine
from tfac.training.config import TrainConfig

_TORCH_PYTHON = flags.DEFINE_string("torch_python", sys.executable, "Python that has PyTorch.")
_ROWS = flags.DEFINE_list(
    "rows",
    [
        "baseline:resnet18:float32:64",
        "baseline:resnet18:mixed_bfloat16:64",
        "baseline:resnet50:float32:32",
        "mgg_net:resnet18:float32:64",
        "mgg_net:resnet18:mixed_bfloat16:64",
    ],
    "What to measure, NETWORK:BACKBONE:PRECISION:BATCH each.",
)
_IMAGE_SIZE = flags.DEFINE_integer("image_size", 64, "Side of the pictures, pixels.", 16)
_ENGINES = flags.DEFINE_list("engines", ["tensorflow", "onnxruntime", "openvino"], "To compare.")
_TORCH_WAYS = flags.DEFINE_list("torch_ways", ["eager", "compiled"], "Ways of PyTorch.")
_REPEATS = flags.DEFINE_integer("repeats", 5, "Turns.", 1)
_OUTPUT = flags.DEFINE_string("output", None, "Where to write, without suffix; by default nowhere.")

_KINDS = ("training", "inference")
_CALLS = {"training": 2, "inference": 4}  # in a turn
_TOLERANCE = 1e-4  # relative difference of first answers in float32

Ways = dict[str, Callable[[], float]]  # each runs a few batches and returns seconds a batch


class _Torch:
    """PyTorch in a process of its own."""

    def __init__(self, python: str):
        worker = str(Path(__file__).with_name("torch_networks.py"))
        self._process = subprocess.Popen(
            [python, worker],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(Path(tfac.__file__).parents[1])},
        )

    def ask(self, **request) -> dict:
        """Returns the worker's answer."""
        print(json.dumps(request), file=self._process.stdin, flush=True)
        answer = self._process.stdout.readline()
        if not answer:
            raise SystemExit("the process with PyTorch ended")
        return json.loads(answer)

    def close(self) -> None:
        """Ends the process."""
        self._process.stdin.close()
        self._process.wait()


def main(argv: Sequence[str]) -> None:
    """Measures, prints and writes."""
    if len(argv) > 1:
        raise app.UsageError(f"expected flags only. Received: {' '.join(argv[1:])}")
    check = subprocess.run([_TORCH_PYTHON.value, "-c", "import torch"], capture_output=True)
    if check.returncode:
        print(f"skipped: {_TORCH_PYTHON.value} has no PyTorch; name one with --torch_python")
        return
    rows = []
    for row in _ROWS.value:
        network, backbone, precision, batch_size = row.split(":")
        config = TrainConfig(
            model=network,
            backbone=backbone,
            image_size=(_IMAGE_SIZE.value, _IMAGE_SIZE.value),
            batch_size=int(batch_size),
            precision=precision,
        )
        torch = _Torch(_TORCH_PYTHON.value)
        rows += _measure(torch, config)
        versions = {**about(["tensorflow", "keras", "onnxruntime", "openvino"]), **torch.ask()}
        torch.close()
        print(_table(rows[-2:]), flush=True)
        if _OUTPUT.value:
            content = json.dumps({**versions, "rows": rows}, indent=1)
            Path(f"{_OUTPUT.value}.json").write_text(content)
            Path(f"{_OUTPUT.value}.md").write_text(_table(rows) + "\n")
    print(" · ".join(f"{name} {value}" for name, value in versions.items()))


def _measure(torch: _Torch, config: TrainConfig) -> list[dict]:
    """Returns a row for training and one for inference."""
    steps = create_steps(config)
    batch = create_batch(config.image_size[0], config.batch_size)
    with tempfile.TemporaryDirectory() as folder:
        differences = _compare(torch, config, steps, batch, Path(folder))
        ways = _tfac_ways(config, steps, batch, Path(folder))
    for kind in _KINDS:
        for way in _TORCH_WAYS.value:
            ways[kind][f"PyTorch, {way}"] = _torch_way(torch, way, kind)
    rates = {kind: {way: [] for way in ways[kind]} for kind in _KINDS}
    for turn in range(_REPEATS.value + 1):
        for kind in _KINDS:
            for way, seconds in ways[kind].items():
                rate = config.batch_size / seconds()
                if turn:  # the first warms up
                    rates[kind][way].append(rate)
    keras.backend.clear_session()
    return [
        {
            "network": config.model,
            "backbone": config.backbone,
            "precision": config.precision,
            "batch_size": config.batch_size,
            "kind": kind,
            "pictures_a_second": rates[kind],
            "ratios": _ratios(rates[kind]),
            "first_answers_differ_by": differences,
        }
        for kind in _KINDS
    ]


def _compare(torch: _Torch, config: TrainConfig, steps, batch: dict, folder: Path) -> dict:
    """Has PyTorch create the network with the same weights; returns how far its answers are.

    That is the largest relative difference of the first scores and of the first loss, way by way.
    """
    state, train_step, predict_step = steps
    np.savez(folder / "batch.npz", **batch)
    np.savez(folder / "weights.npz", *_weights(state.model))
    theirs = torch.ask(
        create={
            "network": config.model,
            "backbone": config.backbone,
            "half": config.precision == "mixed_bfloat16",
            "ways": _TORCH_WAYS.value,
            "batch": str(folder / "batch.npz"),
            "weights": str(folder / "weights.npz"),
        }
    )["first"]
    scores = predict_step(tf.constant(batch["images"]))["scores"].numpy()
    loss = float(train_step({name: tf.constant(batch[name]) for name in batch})["total"])
    differences = {}
    for way, answer in theirs.items():
        distance = np.abs(np.array(answer["scores"]) - scores).max()
        differences[f"{way} scores"] = float(distance / np.abs(scores).max())
        differences[f"{way} loss"] = abs(answer["loss"] - loss) / loss
    said = ", ".join(f"{name} {value:.1e}" for name, value in differences.items())
    print(f"{config.model}, {config.backbone}, {config.precision}: first answers differ by {said}")
    if config.precision == "float32" and max(differences.values()) > _TOLERANCE:
        raise SystemExit(f"PyTorch's network is another: differences beyond {_TOLERANCE}")
    return differences


def _weights(model: keras.Model) -> list[np.ndarray]:
    """Returns a model's weights in the order of `torch_networks`.

    That is the order of Keras but for the backbone's layers, which Keras sorts by depth. By name, a
    block's shortcut comes before the rest of the block, and a convolution before its norm.
    """
    layers = sorted(model.backbone.layers, key=lambda layer: layer.name.replace("_bn", "_norm"))
    backbone = [weight for layer in layers for weight in layer.weights]
    known = {id(weight) for weight in backbone}
    others = [weight for weight in model.weights if id(weight) not in known]
    return [weight.numpy() for weight in backbone + others]


def _tfac_ways(config: TrainConfig, steps, arrays: dict, folder: Path) -> dict[str, Ways]:
    state, train_step, predict_step = steps
    batch = {name: tf.constant(value) for name, value in arrays.items()}
    ways: dict[str, Ways] = {
        "training": {"tfac": _timed("training", lambda: train_step(batch)["total"].numpy())},
        "inference": {
            "tfac": _timed("inference", lambda: predict_step(batch["images"])["scores"].numpy())
        },
    }
    formats = {"onnxruntime": "onnx", "openvino": "openvino"}
    options = ExportOptions(
        warmup_batch_sizes=(),
        formats=tuple(formats[name] for name in _ENGINES.value if name in formats),
    )
    version = export_saved_model(create_trained(config, state.model), folder / "model", options)
    for name in _ENGINES.value:
        engine = load_engine(version, name)
        ways["inference"][f"tfac, {name}"] = _timed("inference", _engine_call(engine, arrays))
    return ways


def _engine_call(engine, arrays) -> Callable[[], object]:
    return lambda: engine.run("images", {"images": arrays["images"]})


def _timed(kind: str, call: Callable[[], object]) -> Callable[[], float]:
    def seconds() -> float:
        start = time.perf_counter()
        for _ in range(_CALLS[kind]):
            call()
        return (time.perf_counter() - start) / _CALLS[kind]

    return seconds


def _torch_way(torch: _Torch, way: str, kind: str) -> Callable[[], float]:
    return lambda: torch.ask(run=[way, kind, _CALLS[kind]])["seconds"]


def _ratios(rates: dict[str, list[float]]) -> list[float]:
    """Returns the best way of tfac over the best of PyTorch, turn by turn.

    Best is what has the highest median, not the luckiest of each turn.
    """
    best = {}
    for theirs in (False, True):
        names = [way for way in rates if way.startswith("PyTorch") == theirs]
        best[theirs] = max(names, key=lambda way: np.median(rates[way]))
    return np.divide(rates[best[False]], rates[best[True]]).tolist()


def _table(rows: Sequence[dict]) -> str:
    head = ["network", "backbone", "precision", "batch", "", "way", "pictures/s"]
    head += ["best tfac / best PyTorch"]
    lines = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    for row in rows:
        for i, (way, rates) in enumerate(row["pictures_a_second"].items()):
            keys = ("network", "backbone", "precision", "batch_size", "kind")
            cells = [row[key] for key in keys]
            cells += [way, spread(rates, 0), "" if i else spread(row["ratios"])]
            lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines)


if __name__ == "__main__":
    app.run(main)
