"""The papers' figures, drawn from runs: bars by attribute, and curves over training steps."""

import os
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tfac.attributes import OBJECTIVE_ATTRIBUTES, SUBJECTIVE_ATTRIBUTES
from tfac.files import whole_file
from tfac.training.curves import FOLLOWED, Series, moved_most

# Told apart in any kind of colour vision (Okabe and Ito).
_COLOURS = ("#999999", "#e69f00", "#56b4e9", "#009e73", "#f0e442", "#0072b2", "#d55e00", "#cc79a7")


def draw_attribute_bars(
    values: Mapping[str, Mapping[str, float]], title: str, path: str | os.PathLike
) -> None:
    """Draws a figure of each attribute for several systems, after figures 3 and 4 of DMM-CNN.

    Objective attributes are above, subjective ones below.

    Args:
        values: system to attribute to percent.
        title: what the bars are.
        path: the picture to write, whole or not at all.
    """
    figure = Figure(figsize=(14, 9), layout="constrained")
    panels = figure.subplots(2)
    groups = {"objective": OBJECTIVE_ATTRIBUTES, "subjective": SUBJECTIVE_ATTRIBUTES}
    width = 0.84 / len(values)
    for axes, (kind, members) in zip(panels, groups.items(), strict=True):
        names = [name for name in members if all(name in system for system in values.values())]
        for i, (label, system) in enumerate(values.items()):
            positions = np.arange(len(names)) + (i - (len(values) - 1) / 2) * width
            heights = [system[name] for name in names]
            colour = _COLOURS[i % len(_COLOURS)]
            hatch = "///" if i >= len(_COLOURS) else None
            axes.bar(positions, heights, width, label=label, color=colour, hatch=hatch)
        axes.set_xticks(
            range(len(names)),
            [name.replace("_", " ") for name in names],
            rotation=40,
            ha="right",
            rotation_mode="anchor",
        )
        axes.set(ylim=(0, 100), xlim=(-0.6, len(OBJECTIVE_ATTRIBUTES) - 0.4), ylabel="percent")
        axes.set_title(f"{title}: {kind} attributes", loc="left")
        axes.grid(axis="y", alpha=0.3)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
    shown = panels[0].get_legend_handles_labels()
    figure.legend(*shown, loc="outside upper right", ncols=min(len(values), 7), frameon=False)
    _save(figure, path)


def draw_validation_losses(
    by_scheme: Mapping[str, Series], title: str, path: str | os.PathLike
) -> None:
    """Draws validation losses of weighting schemes over steps, after figure 5 of DMM-CNN.

    Args:
        by_scheme: such as "FIX" and "DW", to what `tfac.training.curves.read_series` gives.
        title: what the curves are.
        path: the picture to write, whole or not at all.
    """
    figure, axes = _curves(title, "validation loss of an attribute")
    tags = {"Mean": "validation/mean_loss"} | {n: f"validation/loss/{n}" for n in FOLLOWED}
    for style, (scheme, series) in zip(("--", "-", ":", "-."), by_scheme.items(), strict=False):
        for colour, (name, tag) in zip(_COLOURS[5:], tags.items(), strict=True):
            _plot(axes, series, tag, f"{name}, {scheme}", style, colour)
    axes.set_ylim(0, None)
    axes.legend(fontsize="small")
    _save(figure, path)


def draw_attribute_weights(series: Series, title: str, path: str | os.PathLike) -> None:
    """Draws two attributes' weights over steps, the others' in grey, after figure 6 of DMM-CNN."""
    figure, axes = _curves(title, "weight")
    for tag in _tags(series, "attribute_weights"):
        _plot(axes, series, tag, None, "-", "0.88")
    for colour, name in zip(_COLOURS[5:], FOLLOWED, strict=False):
        _plot(axes, series, f"attribute_weights/{name}", name, "-", colour)
    axes.set_ylim(0, None)
    axes.legend(fontsize="small")
    _save(figure, path)


def draw_thresholds(series: Series, title: str, path: str | os.PathLike) -> None:
    """Draws ten attributes' thresholds over steps, after figure 7 of DMM-CNN.

    The paper draws ten at random; here they are those that moved most.
    """
    figure, axes = _curves(title, "threshold (probability)")
    for i, tag in enumerate(moved_most(series, _tags(series, "threshold_probabilities"))):
        style = "-" if i < len(_COLOURS) else "--"
        _plot(axes, series, tag, tag.partition("/")[2], style, _COLOURS[i % len(_COLOURS)])
    axes.legend(fontsize="small", loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
    _save(figure, path)


def _curves(title: str, what: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(9, 5), layout="constrained")
    axes = figure.subplots()
    axes.set(xlabel="step", ylabel=what)
    axes.set_title(title, loc="left", fontsize=11)
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.grid(alpha=0.3)
    return figure, axes


def _plot(axes: Axes, series: Series, tag: str, label: str | None, style: str, colour: str) -> None:
    if tag in series:
        axes.plot(*series[tag], style, label=label, color=colour, marker=".", markersize=4)


def _tags(series: Series, group: str) -> Sequence[str]:
    return [tag for tag in series if tag.startswith(f"{group}/")]


def _save(figure: Figure, path: str | os.PathLike) -> None:
    with whole_file(path) as aside:
        figure.savefig(aside, dpi=90)
