"""What Algorithm 1's validations cost: the whole validation split every quarter of an epoch.

python benchmarks/validation.py [--networks=mgg_net:resnet18,dmm_cnn:resnet50] [--image_sizes=64]

`run_training` itself, by turns a few training steps and a validation, on drawn faces of CelebA's
height. From what a step and a picture validated take follows what four validations of 19,867
pictures cost beside the 162,770 training pictures of an epoch of CelebA. Beside it bare inference:
the same compiled function on one batch in memory, which is the limit of any validation that runs
this network in this arithmetic.

Pictures of 224 pixels take long: --image_sizes=224 --batch_size=16 --steps=2 --validated=32. Prints
medians and ranges over the turns, and writes them as Markdown and JSON with --output.
"""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from absl import app, flags
from reporting import about, spread
from training_parts import (
    CELEBA_TRAIN,
    CELEBA_VALIDATION,
    STEP_PARTS,
    drawn_faces,
    measure,
    seconds_on_celeba,
)

from tfac.training.config import TrainConfig

_NETWORKS = flags.DEFINE_list(
    "networks", ["mgg_net:resnet18", "dmm_cnn:resnet50"], "Networks, each model:backbone."
)
_IMAGE_SIZES = flags.DEFINE_list("image_sizes", ["64"], "Sides of the pictures, pixels.")
_PRECISIONS = flags.DEFINE_list("precisions", ["float32", "mixed_bfloat16"], "Arithmetic.")
_BATCH_SIZE = flags.DEFINE_integer("batch_size", 64, "Pictures a step.", 1)
_STEPS = flags.DEFINE_integer("steps", 6, "Training steps a turn.", 1)
_VALIDATED = flags.DEFINE_integer("validated", 512, "Pictures validated a turn.", 4)
_REPEATS = flags.DEFINE_integer("repeats", 3, "Turns measured; one more warms up.", 1)
_OUTPUT = flags.DEFINE_string("output", None, "Where to write, without suffix; by default nowhere.")


def main(argv: Sequence[str]) -> None:
    """Measures, prints and writes."""
    if len(argv) > 1:
        raise app.UsageError(f"expected flags only. Received: {' '.join(argv[1:])}")
    rows = []
    with drawn_faces(_STEPS.value * _BATCH_SIZE.value, _VALIDATED.value) as data_dir:
        for network in _NETWORKS.value:
            for size in map(int, _IMAGE_SIZES.value):
                for precision in _PRECISIONS.value:
                    windows = measure(_config(network, size, precision), data_dir)
                    row = {"network": network, "image_size": size, "precision": precision}
                    rows.append({**row, "windows": windows})
                    print(_text(rows[-1:]), flush=True)
    described = {
        **about(["tensorflow", "keras", "keras-hub"]),
        "batch_size": _BATCH_SIZE.value,
        "validated": _VALIDATED.value,
    }
    print(" · ".join(f"{name} {value}" for name, value in described.items()))
    if _OUTPUT.value:
        Path(f"{_OUTPUT.value}.json").write_text(json.dumps({**described, "rows": rows}, indent=1))
        Path(f"{_OUTPUT.value}.md").write_text(_text(rows) + "\n")


def _config(network: str, size: int, precision: str) -> TrainConfig:
    model, backbone = network.split(":")
    return TrainConfig(
        model=model,
        backbone=backbone,
        image_size=(size, size),
        precision=precision,
        batch_size=_BATCH_SIZE.value,
        epochs=_REPEATS.value + 1,
        updates_per_epoch=1,
    )


def _text(rows: Sequence[dict]) -> str:
    lines = [
        "| network | px | precision | training, images/s | validation | of bare inference "
        "| share of training's time | bare inference's |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        windows = row["windows"]
        cells = [row["network"], row["image_size"], row["precision"]]
        for rate in (_training_rate, _validation_rate):
            cells.append(f"{np.median([rate(window) for window in windows]):,.1f}")
        cells.append(spread(_validation_rate(w) * w["bare_inference_seconds"] for w in windows))
        cells.append(_percent(100 * _share(window) for window in windows))
        cells.append(_percent(100 * _share_of_inference(window) for window in windows))
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines)


def _training_rate(window: dict) -> float:
    seconds = sum(window["seconds"][part] for part in STEP_PARTS)
    return window["steps"] * _BATCH_SIZE.value / seconds


def _validation_rate(window: dict) -> float:
    return window["validations"] * _VALIDATED.value / window["seconds"]["validation"]


def _share(window: dict) -> float:
    """Validations, reports of them and checkpoints in an epoch of CelebA over its training."""
    parts = seconds_on_celeba(window, _BATCH_SIZE.value, _VALIDATED.value)
    training = sum(parts.pop(part) for part in STEP_PARTS)
    return sum(parts.values()) / training


def _share_of_inference(window: dict) -> float:
    training = CELEBA_TRAIN / _training_rate(window)
    return 4 * CELEBA_VALIDATION * window["bare_inference_seconds"] / training


def _percent(values: Iterable[float]) -> str:
    return spread(values, 1) + " %"


if __name__ == "__main__":
    app.run(main)
