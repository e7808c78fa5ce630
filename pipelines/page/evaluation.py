"""What a run's page shows of an evaluation: rates by slice and attribute, with their intervals."""

import json
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from pipelines.page.parts import as_table, inline_svg

_CANDIDATE, _BASELINE, _CHANGE = "candidate", "baseline", "change"
_ALL, _MEAN = "", ""
_RATE = "balanced_accuracy"
_SHOWN = ("accuracy", "balanced_accuracy", "true_positive_rate", "true_negative_rate")
_NOTHING = "&ndash;"

Slices = Mapping[str, Mapping[str, Any]]


def show_evaluation(path: Path) -> str:
    """Returns the evaluation in a folder as HTML."""
    content = json.loads((path / "validation.json").read_text(encoding="utf-8"))
    slices = dict(sorted(content["slices"].items(), key=_order))
    return (
        '<p class="note">Percent, means over the attributes; in brackets 95 % intervals.</p>'
        + f'<div class="scroll">{_by_slice(slices)}</div>'
        + _gaps(content.get("gaps", []))
        + f'<div class="scroll">{inline_svg(_draw_attributes(slices[_ALL]))}</div>'
        + "<details><summary>Balanced accuracy of each attribute in each slice</summary>"
        + f'<div class="scroll">{_by_attribute(slices)}</div></details>'
    )


def _order(item: tuple[str, Any]) -> tuple[bool, int, str]:
    """All pictures first, then slices by one attribute, then by two."""
    name, _ = item
    return name != _ALL, name.count("*"), name


def _by_slice(slices: Slices) -> str:
    compared = any(_BASELINE in models for models in slices.values())
    headings = ["", *(rate.replace("_", " ") for rate in _SHOWN)]
    headings += [f"model in service: {_RATE.replace('_', ' ')}", "change"] if compared else []
    rows = []
    for name, models in slices.items():
        means = models[_CANDIDATE][_MEAN]
        row = [_slice_name(name), *(_estimate(means.get(rate)) for rate in _SHOWN)]
        if compared:
            for model in (_BASELINE, _CHANGE):
                row.append(_estimate(models.get(model, {}).get(_MEAN, {}).get(_RATE)))
        rows.append(row)
    return as_table(headings, rows)


def _gaps(gaps: Sequence[Mapping[str, Any]]) -> str:
    rows = [
        [" and ".join(map(_slice_name, gap["slices"])), _estimate(gap.get(_RATE))] for gap in gaps
    ]
    if not rows:
        return ""
    headings = ["slices", "apart in balanced accuracy, points"]
    return f'<div class="scroll">{as_table(headings, rows)}</div>'


def _by_attribute(slices: Slices) -> str:
    attributes = [name for name in slices[_ALL][_CANDIDATE] if name != _MEAN]
    rows = [
        [
            escape(attribute.replace("_", " ")),
            *(
                _value(models[_CANDIDATE].get(attribute, {}).get(_RATE))
                for models in slices.values()
            ),
        ]
        for attribute in attributes
    ]
    return as_table(["", *map(_slice_name, slices)], rows)


def _draw_attributes(models: Mapping[str, Any]) -> Figure:
    """Draws each attribute's balanced accuracy with its interval, the highest first."""
    estimates = {
        name: rates[_RATE]
        for name, rates in models[_CANDIDATE].items()
        if name != _MEAN and rates[_RATE]["value"] is not None
    }
    names = sorted(estimates, key=lambda name: -estimates[name]["value"])
    figure = Figure(figsize=(max(6, 1.5 + 0.33 * len(names)), 3.6), layout="constrained")
    axes = figure.add_subplot()
    for position, name in enumerate(names):
        each = estimates[name]
        axes.bar(position, each["value"], 0.7, color="#4a7fb5")
        if each["low"] is not None:
            axes.plot([position] * 2, [each["low"], each["high"]], color="#1c1f24", linewidth=1)
    before = models.get(_BASELINE, {})
    known = [(i, before[n][_RATE]["value"]) for i, n in enumerate(names) if n in before]
    points = np.array([(i, v) for i, v in known if v is not None]).reshape(-1, 2)
    if len(points):
        axes.plot(*points.T, "o", color="#d1495b", markersize=4, label="model in service")
        axes.legend(frameon=False, fontsize=8)
    axes.axhline(50, color="#999999", linewidth=0.8, linestyle="--")
    labels = [name.replace("_", " ") for name in names]
    axes.set_xticks(range(len(names)), labels, rotation=60, ha="right", rotation_mode="anchor")
    axes.tick_params(labelsize=8)
    axes.set(ylabel="balanced accuracy, percent", ylim=(0, 102), xlim=(-0.6, len(names) - 0.4))
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def _slice_name(name: str) -> str:
    return escape(name.replace("*", ", ")) or "all pictures"


def _estimate(estimate: Mapping[str, float | None] | None) -> str:
    if not estimate or estimate["value"] is None:
        return _NOTHING
    text = f"{estimate['value']:.2f}"
    if estimate["low"] is None:
        return text
    return f'{text} <span class="note">[{estimate["low"]:.2f}, {estimate["high"]:.2f}]</span>'


def _value(estimate: Mapping[str, float | None] | None) -> str:
    if not estimate or estimate["value"] is None:
        return _NOTHING
    return f"{estimate['value']:.1f}"
