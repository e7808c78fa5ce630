"""The pictures of an evaluation: bars after figure 3 of Mao et al. (DMM-CNN), reliability."""

import os
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tfac.attributes import ATTRIBUTES, OBJECTIVE_ATTRIBUTES, SUBJECTIVE_ATTRIBUTES
from tfac.evaluation.attribute_metrics import reliability
from tfac.evaluation.report import Report
from tfac.evaluation.split_scores import SplitScores
from tfac.files import whole_file

# A pair that is told apart in any kind of colour vision, and in grey.
_BARS = {"accuracy": ("accuracy", "#1f5a92"), "balanced_accuracy": ("balanced accuracy", "#f2a541")}
_MAJORITY_COLOUR = "#c0392b"
_BAR_WIDTH = 0.4


def draw_bars(report: Report, path: str | os.PathLike) -> None:
    """Draws accuracy and balanced accuracy of each attribute, and writes the picture whole.

    A line across the bar of the accuracy is that of always giving the commoner answer.

    CelebA's objective attributes are above, its subjective ones below, as in the paper, and others
    at the end; a group without attributes has no panel. A missing second bar is an attribute with
    one class only.

    Args:
        report: see `tfac.evaluation.report`.
        path: the picture's path; its suffix decides the format.
    """
    names = list(report["attributes"])
    groups = {
        "Objective attributes": [name for name in names if name in OBJECTIVE_ATTRIBUTES],
        "Subjective attributes": [name for name in names if name in SUBJECTIVE_ATTRIBUTES],
        "Other attributes": [name for name in names if name not in ATTRIBUTES],
    }
    groups = {title: members for title, members in groups.items() if members}
    widest = max(map(len, groups.values()))
    figure = Figure(figsize=(max(6, 1.5 + 0.5 * widest), 4.2 * len(groups)), layout="constrained")
    panels = figure.subplots(len(groups), squeeze=False)[:, 0]
    for axes, (title, members) in zip(panels, groups.items(), strict=True):
        _draw_panel(axes, title, members, report)
        axes.set_xlim(-0.6, widest - 0.4)  # bars as wide in both panels
    shown = panels[0].get_legend_handles_labels()
    figure.legend(*shown, loc="outside upper right", ncols=3, frameon=False)
    with whole_file(path) as aside:
        figure.savefig(aside, dpi=120)


def draw_reliability(split_scores: SplitScores, path: str | os.PathLike) -> None:
    """Draws how often attributes are shown where a probability is given, and writes it whole.

    All attributes are taken together, in 15 bins of probability; on the diagonal a probability is
    right. A second line is without the network's calibration, where it has one.

    Args:
        split_scores: with probabilities.
        path: the picture's path; its suffix decides the format.
    """
    figure = Figure(figsize=(5, 5), layout="constrained")
    axes = figure.subplots()
    axes.plot((0, 100), (0, 100), color="grey", linewidth=1)
    lines = {"not calibrated": split_scores.uncalibrated, "as given": split_scores.probabilities}
    for (label, probabilities), (_, colour) in zip(lines.items(), _BARS.values(), strict=True):
        if probabilities is not None:
            bins = reliability(split_scores.labels, probabilities, split_scores.label_mask)
            axes.plot(*(100 * each for each in bins), "o-", label=label, color=colour)
    axes.set(xlabel="Probability (%)", ylabel="Labels that are true (%)", aspect="equal")
    axes.legend(frameon=False)
    with whole_file(path) as aside:
        figure.savefig(aside, dpi=120)


def _draw_panel(axes: Axes, title: str, names: Sequence[str], report: Report) -> None:
    positions = np.arange(len(names))
    for offset, (metric, (label, colour)) in zip((-0.5, 0.5), _BARS.items(), strict=True):
        values = [report["attributes"][name][metric] for name in names]
        axes.bar(positions + offset * _BAR_WIDTH, values, _BAR_WIDTH, label=label, color=colour)
        if metric == "accuracy":
            majority = [report["attributes"][name]["majority_accuracy"] for name in names]
            middle = positions + offset * _BAR_WIDTH
            ends = middle - _BAR_WIDTH / 2, middle + _BAR_WIDTH / 2
            text = "always the commoner answer"
            axes.hlines(majority, *ends, colors=_MAJORITY_COLOUR, linewidths=2, label=text)
        for position, value in zip(positions + offset * _BAR_WIDTH, values, strict=True):
            if not np.isnan(value):
                axes.text(position, value + 1, f"{value:.0f}", ha="center", va="bottom", fontsize=7)
    axes.axhline(50, color="grey", linewidth=0.8, linestyle=":")  # chance, in balanced accuracy
    axes.set_title(title, loc="left", fontsize=11)
    axes.set_ylabel("percent")
    axes.set_ylim(0, 108)
    axes.set_yticks(range(0, 101, 20))
    axes.set_xticks(
        positions,
        [name.replace("_", " ") for name in names],
        rotation=45,
        ha="right",
        rotation_mode="anchor",
    )
    axes.spines[["top", "right"]].set_visible(False)
