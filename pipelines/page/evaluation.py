"""What a run's page shows of an evaluation: rates by slice and attribute, with their intervals."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from pipelines.components.estimates import ALL, BASELINE, CANDIDATE, MEAN
from pipelines.page.rendering import attribute_axes, inline_svg

_RATE = "balanced_accuracy"


def read_evaluation(path: Path) -> dict[str, Any]:
    """Returns what the template needs of the evaluation in a folder."""
    content = json.loads((path / "validation.json").read_text(encoding="utf-8"))
    slices = dict(sorted(content["slices"].items(), key=_order))
    chart = inline_svg(_draw_attributes(slices[ALL]))
    return {"slices": slices, "gaps": content.get("gaps", []), "chart": chart}


def _order(item: tuple[str, Any]) -> tuple[bool, int, str]:
    """All pictures first, then slices by one attribute, then by two."""
    name, _ = item
    return name != ALL, name.count("*"), name


def _draw_attributes(models: Mapping[str, Any]) -> Figure:
    """Draws each attribute's balanced accuracy with its interval, the highest first."""
    estimates = {
        name: rates[_RATE]
        for name, rates in models[CANDIDATE].items()
        if name != MEAN and rates[_RATE]["value"] is not None
    }
    names = sorted(estimates, key=lambda name: -estimates[name]["value"])
    axes, before = attribute_axes(names), models.get(BASELINE, {})
    axes.bar(range(len(names)), [estimates[name]["value"] for name in names], 0.7, color="#4a7fb5")
    for position, name in enumerate(names):
        low, high = estimates[name]["low"], estimates[name]["high"]
        if low is not None:
            axes.plot([position] * 2, [low, high], color="#1c1f24", linewidth=1)
    values = {i: before[name][_RATE]["value"] for i, name in enumerate(names) if name in before}
    known = {i: value for i, value in values.items() if value is not None}
    if known:
        label = "model in service"
        axes.plot(known.keys(), known.values(), "o", color="#d1495b", markersize=4, label=label)
        axes.legend(frameon=False, fontsize=8)
    axes.axhline(50, color="#999999", linewidth=0.8, linestyle="--")
    axes.set(ylabel="balanced accuracy, percent", ylim=(0, 102))
    return axes.figure
