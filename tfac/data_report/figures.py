"""The report's pictures."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

_THUMBNAIL = 96  # pixels


def draw_frequencies(report: Mapping[str, Any]) -> Figure:
    """Draws how often each attribute is shown, a bar a split, the most frequent first."""
    attributes, splits = report["attributes"], list(report["splits"])
    names = sorted(attributes, key=lambda name: -_mean_frequency(attributes[name]["frequency"]))
    figure = Figure(figsize=(max(6, 1.5 + 0.4 * len(names)), 4.5), layout="constrained", dpi=100)
    axes = figure.add_subplot()
    width = 0.8 / len(splits)
    for i, split in enumerate(splits):
        values = [attributes[name]["frequency"][split] or 0 for name in names]
        axes.bar(np.arange(len(names)) + (i + 0.5) * width - 0.4, values, width, label=split)
    for position, name in enumerate(names):
        if name in report["drift"]:
            top = 2 + max(value or 0 for value in attributes[name]["frequency"].values())
            axes.text(position, top, "drift", ha="center", va="bottom", fontsize=7, color="#b00020")
    axes.set(ylabel="percent of the annotated", ylim=(0, 108), xlim=(-0.6, len(names) - 0.4))
    _label_names(axes, names)
    axes.legend(frameon=False, ncols=len(splits))
    return figure


def draw_correlations(report: Mapping[str, Any]) -> Figure:
    """Draws which attributes occur together (red) and which exclude each other (blue)."""
    names = list(report["attributes"])
    values = np.array(report["correlations"], np.float64)  # None becomes NaN
    side = 2.5 + 0.22 * len(names)
    figure = Figure(figsize=(side + 0.8, side), layout="constrained", dpi=100)
    axes = figure.add_subplot()
    heat = axes.imshow(values, cmap="RdBu_r", vmin=-1, vmax=1)
    _label_names(axes, names)
    axes.set_yticks(range(len(names)), [name.replace("_", " ") for name in names])
    figure.colorbar(heat, ax=axes, shrink=0.7, label="correlation (phi)")
    return figure


def draw_mean_landmarks(report: Mapping[str, Any]) -> Figure | None:
    """Draws the mean landmarks in the picture's frame; None where there are none."""
    points = np.array(report["mean_landmarks"], np.float64)
    if np.isnan(points).any():
        return None
    figure = Figure(figsize=(3.6, 3.6), layout="constrained", dpi=100)
    axes = figure.add_subplot()
    axes.scatter(*points.T, s=9, color="#1f5a92")
    axes.set(xlim=(0, 1), ylim=(1, 0), xlabel="share of the width", ylabel="share of the height")
    axes.set_aspect("equal")
    return figure


def draw_pairs(pairs: list[tuple[str, np.ndarray, np.ndarray]]) -> Figure:
    """Draws pairs of pictures, one above the other, with a line of text above.

    Args:
        pairs: text and two pictures uint8 [H, W, 3] of each.
    """
    columns = min(8, len(pairs))
    rows = -(-len(pairs) // columns)
    figure = Figure(figsize=(1.5 * columns, 3.3 * rows), layout="constrained", dpi=100)
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes in panels:
        axes.set_axis_off()
    for axes, (text, *pictures) in zip(panels, pairs, strict=False):
        size = (_THUMBNAIL, _THUMBNAIL)
        shown = [np.asarray(Image.fromarray(picture).resize(size)) for picture in pictures]
        axes.imshow(np.concatenate(shown))
        axes.set_title(text, fontsize=7)
    return figure


def _mean_frequency(by_split: Mapping[str, float | None]) -> float:
    known = [value for value in by_split.values() if value is not None]
    return float(np.mean(known)) if known else 0.0


def _label_names(axes, names: list[str]) -> None:
    labels = [name.replace("_", " ") for name in names]
    axes.set_xticks(range(len(names)), labels, rotation=60, ha="right", rotation_mode="anchor")
    axes.tick_params(labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)
