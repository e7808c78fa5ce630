"""How much of the bare training step's speed the whole of `tfac-train` keeps.

python benchmarks/training.py [--model=mgg_net] [--image_size=64] [--precision=mixed_bfloat16]

- whole: `run_training` itself on records of drawn faces of CelebA's height: input, steps, logging,
  validations, reports, checkpoints.
- bare: the same compiled step on one batch in memory, in the same process, as many steps at the end
  of each epoch.

Once for each of --caches. The epochs are short; what an epoch of CelebA (162,770 pictures, four
validations of 19,867) takes is put together from what each part takes a step, a picture validated
and a validation. Prints a table of ratios, median and range over the epochs, and writes it as
Markdown, JSON and a plot of the shares with --output.
"""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from absl import app, flags
from matplotlib.figure import Figure
from reporting import about, spread
from training_parts import (
    CELEBA_TRAIN,
    PARTS,
    STEP_PARTS,
    drawn_faces,
    measure,
    seconds_on_celeba,
)

from tfac.training.config import TrainConfig

_MODEL = flags.DEFINE_string("model", "mgg_net", "Network to train.")
_BACKBONE = flags.DEFINE_string("backbone", "resnet18", "Its backbone.")
_IMAGE_SIZE = flags.DEFINE_integer("image_size", 64, "Side of the pictures, pixels.", 16)
_PRECISION = flags.DEFINE_string("precision", "mixed_bfloat16", "Arithmetic of the network.")
_BATCH_SIZE = flags.DEFINE_integer("batch_size", 64, "Pictures a step.", 1)
_CACHES = flags.DEFINE_list("caches", ["none", "memory"], "tfac-train's --cache, each in turn.")
_STEPS = flags.DEFINE_integer("steps", 24, "Steps an epoch.", 4)
_REPEATS = flags.DEFINE_integer("repeats", 3, "Epochs measured; one more warms up.", 1)
_OUTPUT = flags.DEFINE_string("output", None, "Where to write, without suffix; by default nowhere.")

_VALIDATED_SHARE = 0.122  # CelebA's, of the training pictures


def main(argv: Sequence[str]) -> None:
    """Measures, prints and writes."""
    if len(argv) > 1:
        raise app.UsageError(f"expected flags only. Received: {' '.join(argv[1:])}")
    pictures = _STEPS.value * _BATCH_SIZE.value
    validated = round(pictures * _VALIDATED_SHARE)
    rows = []
    with drawn_faces(pictures, validated) as data_dir:
        for cache in _CACHES.value:
            windows = measure(_config(cache), data_dir)
            rows.append({"cache": cache, "validated": validated, "windows": windows})
    text = _text(rows)
    described = {
        "network": f"{_MODEL.value}, {_BACKBONE.value}, {_IMAGE_SIZE.value} px, "
        f"{_PRECISION.value}, batch {_BATCH_SIZE.value}",
        **about(["tensorflow", "keras", "keras-hub"]),
    }
    print(" · ".join(f"{name} {value}" for name, value in described.items()))
    print(text)
    if _OUTPUT.value:
        Path(f"{_OUTPUT.value}.json").write_text(json.dumps({**described, "rows": rows}, indent=1))
        Path(f"{_OUTPUT.value}.md").write_text(text + "\n")
        _plot(rows).savefig(f"{_OUTPUT.value}.png", dpi=100)


def _config(cache: str) -> TrainConfig:
    size = _IMAGE_SIZE.value
    return TrainConfig(
        model=_MODEL.value,
        backbone=_BACKBONE.value,
        image_size=(size, size),
        precision=_PRECISION.value,
        batch_size=_BATCH_SIZE.value,
        epochs=_REPEATS.value + 1,
        cache=cache,
    )


def _text(rows: Sequence[dict]) -> str:
    lines = [
        "| `--cache` | bare, images/s | CelebA's epoch, images/s | whole / bare | without "
        "validation | of these short epochs | input's share |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        windows = row["windows"]
        epochs = [_on_celeba(row, window) for window in windows]
        ratios = zip(*(_ratios(row, window) for window in windows), strict=True)
        cells = [
            row["cache"],
            f"{np.median([_BATCH_SIZE.value / w['bare_step_seconds'] for w in windows]):,.0f}",
            f"{np.median([CELEBA_TRAIN / sum(epoch.values()) for epoch in epochs]):,.0f}",
            *map(spread, ratios),
            spread(100 * epoch["input"] / sum(epoch.values()) for epoch in epochs) + " %",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _on_celeba(row: dict, window: dict) -> dict[str, float]:
    return seconds_on_celeba(window, _BATCH_SIZE.value, row["validated"])


def _ratios(row: dict, window: dict) -> tuple[float, float, float]:
    """Returns bare over whole time: of CelebA's epoch, that without validations, and as it was."""
    parts = _on_celeba(row, window)
    bare = CELEBA_TRAIN // _BATCH_SIZE.value * window["bare_step_seconds"]
    as_it_was = window["steps"] * window["bare_step_seconds"] / sum(window["seconds"].values())
    of_steps = sum(parts[part] for part in STEP_PARTS)
    return bare / sum(parts.values()), bare / of_steps, as_it_was


def _plot(rows: Sequence[dict]) -> Figure:
    figure = Figure(figsize=(9, 1.6 + 0.8 * len(rows)), layout="constrained")
    axes = figure.subplots()
    names = []
    for position, row in enumerate(rows):
        epochs = [_on_celeba(row, window) for window in row["windows"]]
        left = 0.0
        for color, part in enumerate(PARTS):
            share = 100 * np.median([epoch[part] / sum(epoch.values()) for epoch in epochs])
            label = part if position == 0 else None
            axes.barh(position, share, left=left, color=f"C{color}", label=label)
            if share >= 1:
                axes.text(left + share / 2, position, f"{share:.1f}", ha="center", va="center")
            left += share
        names.append(f"--cache={row['cache']}")
    axes.set(xlabel="share of the time of an epoch of CelebA, %", xlim=(0, 100))
    axes.set_yticks(range(len(rows)), names)
    axes.invert_yaxis()
    figure.legend(loc="outside upper center", ncols=4, fontsize=8)
    return figure


if __name__ == "__main__":
    app.run(main)
