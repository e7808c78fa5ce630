"""What the methods add to the plain network: training steps and inference, side by side.

python benchmarks/step_cost.py [--image_sizes=64,128,224] [--precisions=float32] [--repeats=5]

Each network beside the plain one (`baseline`: backbone, mean, 40 outputs) on the same backbone: the
whole training step of `tfac-train` (losses, gradients, AdamW, batch norms' statistics) and
inference as in its validation, on one batch of noise in memory. In a turn the plain network and the
methods run one after another; a ratio is a method's time over the plain one's of the same turn.
Prints milliseconds a step and ratios, median and range over the turns, and writes them as Markdown,
JSON and a plot with --output.
"""

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from absl import app, flags
from matplotlib.figure import Figure
from networks import create_batch, create_steps
from reporting import about, spread

from tfac.training.config import TrainConfig

_IMAGE_SIZES = flags.DEFINE_list("image_sizes", ["64", "128", "224"], "Sides, pixels.")
_PRECISIONS = flags.DEFINE_list("precisions", ["float32"], "Arithmetic of the networks.")
_NETWORKS = flags.DEFINE_list(
    "networks",
    ["mgg_net:resnet18", "dmm_cnn:resnet18", "dmm_cnn:resnet50"],
    "NETWORK:BACKBONE, each beside the plain network on its backbone.",
)
_PIXELS = flags.DEFINE_integer(
    "pixels", 32 * 64 * 64, "Pixels a batch: pictures of 64 are 32, but never fewer than 16.", 1
)
_REPEATS = flags.DEFINE_integer("repeats", 5, "Turns.", 1)
_OUTPUT = flags.DEFINE_string("output", None, "Where to write, without suffix; by default nowhere.")

_KINDS = ("training", "inference")


def main(argv: Sequence[str]) -> None:
    """Measures, prints and writes."""
    if len(argv) > 1:
        raise app.UsageError(f"expected flags only. Received: {' '.join(argv[1:])}")
    rows = []
    for size in map(int, _IMAGE_SIZES.value):
        for precision in _PRECISIONS.value:
            for backbone, methods in _methods().items():
                rows += _measure(backbone, methods, size, precision)
                print(_table(rows[-len(methods) :]), flush=True)
    versions = about(["tensorflow", "keras", "keras-hub"])
    print(" · ".join(f"{name} {value}" for name, value in versions.items()))
    if _OUTPUT.value:
        Path(f"{_OUTPUT.value}.json").write_text(json.dumps({**versions, "rows": rows}, indent=1))
        Path(f"{_OUTPUT.value}.md").write_text(_table(rows) + "\n")
        _plot(rows).savefig(f"{_OUTPUT.value}.png", dpi=150)


def _methods() -> dict[str, list[str]]:
    """Returns the networks by backbone."""
    methods: dict[str, list[str]] = {}
    for pair in _NETWORKS.value:
        network, backbone = pair.split(":")
        methods.setdefault(backbone, []).append(network)
    return methods


def _measure(backbone: str, methods: Sequence[str], size: int, precision: str) -> list[dict]:
    batch_size = max(16, _PIXELS.value // size**2)
    calls = {
        name: _calls(name, backbone, size, batch_size, precision) for name in ("baseline", *methods)
    }
    times = {name: {kind: [] for kind in _KINDS} for name in calls}
    for turn in range(_REPEATS.value + 1):
        for kind in _KINDS:
            for name, by_kind in calls.items():
                start = time.perf_counter()
                by_kind[kind]()
                if turn:  # the first warms up
                    times[name][kind].append(1e3 * (time.perf_counter() - start))
    keras.backend.clear_session()
    return [
        {
            "network": name,
            "backbone": backbone,
            "image_size": size,
            "batch_size": batch_size,
            "precision": precision,
            "plain_ms": times["baseline"],
            "milliseconds": times[name],
            "ratios": {
                kind: np.divide(times[name][kind], times["baseline"][kind]).tolist()
                for kind in _KINDS
            },
        }
        for name in methods
    ]


def _calls(name, backbone, size, batch_size, precision) -> dict[str, Callable[[], object]]:
    config = TrainConfig(
        model=name,
        backbone=backbone,
        image_size=(size, size),
        batch_size=batch_size,
        precision=precision,
    )
    _, train_step, predict_step = create_steps(config)
    batch = {key: tf.constant(value) for key, value in create_batch(size, batch_size).items()}
    calls = {
        "training": lambda: train_step(batch)["total"].numpy(),
        "inference": lambda: predict_step(batch["images"])["scores"].numpy(),
    }
    for call in calls.values():
        call()  # traces
    return calls


def _table(rows: Sequence[dict]) -> str:
    heads = ["network", "backbone", "px", "batch", "precision"]
    for kind in _KINDS:
        heads += [f"{kind}: plain, ms", "this, ms", "this / plain"]
    lines = [f"| {' | '.join(heads)} |", "|" + "---|" * len(heads)]
    for row in rows:
        cells = [row[key] for key in ("network", "backbone", "image_size", "batch_size")]
        cells.append(row["precision"])
        for kind in _KINDS:
            cells += [f"{np.median(row[key][kind]):,.0f}" for key in ("plain_ms", "milliseconds")]
            cells.append(spread(row["ratios"][kind]))
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines)


def _plot(rows: Sequence[dict]) -> Figure:
    figure = Figure(figsize=(9, 4), layout="constrained")
    for kind, axes in zip(_KINDS, figure.subplots(1, 2), strict=True):
        series: dict[tuple, list[dict]] = {}
        for row in rows:
            key = (row["network"], row["backbone"], row["precision"])
            series.setdefault(key, []).append(row)
        for key, of_series in series.items():
            ratios = np.array([row["ratios"][kind] for row in of_series])  # [sizes, turns]
            middle = np.median(ratios, axis=1)
            errors = np.abs(np.stack([ratios.min(axis=1), ratios.max(axis=1)]) - middle)
            sizes = [row["image_size"] for row in of_series]
            axes.errorbar(sizes, middle, errors, label=", ".join(key), marker="o", capsize=3)
        axes.axhline(1, color="grey", linewidth=1)
        axes.set(title=kind, xlabel="side of the pictures, pixels")
    figure.axes[0].set_ylabel("time / the plain network's")
    figure.axes[0].legend(fontsize="small")
    return figure


if __name__ == "__main__":
    app.run(main)
