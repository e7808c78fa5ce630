"""The figures of a model card: rows of its tables, from a report of `tfac.evaluation.report`."""

import itertools
import math
from collections.abc import Iterator, Mapping
from typing import Any

from tfac.export.model_card_page import plain

Report = Mapping[str, Any]

_MOST_GAPS = 5
_GAP_METRICS = {
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "f1": "F1",
    "average_precision": "AP",
}


def percent(value: float | None) -> str:
    """Returns a rate in percent with two places; a dash where it is undefined (null or NaN)."""
    return "–" if value is None or math.isnan(value) else f"{value:.2f}"


def commoner_answer(values: Mapping[str, Any]) -> float | None:
    """Returns the accuracy of always giving an attribute's commoner answer; None without labels."""
    count, positives = values["count"], values["positives"]
    return 100 * max(positives, count - positives) / count if count else None


def attribute_rows(report: Report) -> list[tuple[str, ...]]:
    """Returns a row for each attribute, and their mean first."""
    attributes = report["attributes"]
    commoner = [commoner_answer(values) for values in attributes.values()]
    known = [share for share in commoner if share is not None]
    metrics = ("accuracy", "balanced_accuracy", "true_positive_rate", "true_negative_rate")
    metrics += ("f1", "average_precision")
    means = [percent(report[f"mean_{metric}"]) for metric in metrics]
    mean_commoner = percent(sum(known) / len(known) if known else None)
    rows = [
        (
            plain(name),
            f"{values['positives']:,}",
            f"{values['count']:,}",
            percent(share),
            *(percent(values[metric]) for metric in metrics),
        )
        for (name, values), share in zip(attributes.items(), commoner, strict=True)
    ]
    return [("**mean**", "", "", mean_commoner, *means), *rows]


def single_class_sentence(report: Report) -> str:
    """Returns which attributes have one class only, as a sentence; empty where none has."""
    names = report["single_class_attributes"]
    if not names:
        return ""
    return (
        "All labels are alike, so that balanced accuracy and AP are undefined, for "
        f"{plain(', '.join(names))}."
    )


def slice_rows(report: Report) -> list[tuple[str, ...]]:
    """Returns a row for each slice, all pictures first."""
    metrics = ("accuracy", "balanced_accuracy", "f1", "average_precision")
    return [
        (
            plain(name),
            f"{part['pictures']:,}",
            *(percent(part[f"mean_{metric}"]) for metric in metrics),
            str(len(part["single_class_attributes"])),
        )
        for name, part in {"all": report, **report["slices"]}.items()
    ]


def gap_rows(report: Report) -> list[tuple[str, ...]]:
    """Returns, for each slicing and metric, the lowest and highest mean over common attributes."""
    rows = []
    for slicing, parts in slicings(report):
        for metric, title in _GAP_METRICS.items():
            common = _defined_in_all(parts, metric)
            if not common:
                rows.append((plain(slicing), title, "0", "–", "–", "–"))
                continue
            means = {
                name: sum(part["attributes"][each][metric] for each in common) / len(common)
                for name, part in parts.items()
            }
            low, high = min(means, key=means.get), max(means, key=means.get)
            rows.append(
                (
                    plain(slicing),
                    title,
                    str(len(common)),
                    f"{plain(low)}: {percent(means[low])}",
                    f"{plain(high)}: {percent(means[high])}",
                    percent(means[high] - means[low]),
                )
            )
    return rows


def largest_gap_rows(report: Report) -> list[tuple[str, ...]]:
    """Returns each slicing's attributes with the largest gaps in balanced accuracy."""
    rows = []
    for slicing, parts in slicings(report):
        gaps = []
        for attribute in _defined_in_all(parts, "balanced_accuracy"):
            values = {name: part["attributes"][attribute] for name, part in parts.items()}
            rates = {name: each["balanced_accuracy"] for name, each in values.items()}
            low, high = min(rates, key=rates.get), max(rates, key=rates.get)
            ends = [_rate_with_counts(name, values[name]) for name in (low, high)]
            gaps.append((rates[high] - rates[low], attribute, *ends))
        gaps.sort(key=lambda gap: -gap[0])
        rows += [
            (plain(slicing), plain(attribute), low, high, percent(gap))
            for gap, attribute, low, high in gaps[:_MOST_GAPS]
        ]
    return rows


def slicings(report: Report) -> Iterator[tuple[str, dict[str, Report]]]:
    """Yields each slicing, such as "Male*Young", with its slices that have pictures."""

    def slicing(name: str) -> str:
        return "*".join(part.rpartition("=")[0] for part in name.split("*"))

    for name, members in itertools.groupby(report["slices"], slicing):
        yield name, {each: report["slices"][each] for each in members if _pictures(report, each)}


def _pictures(report: Report, name: str) -> int:
    return report["slices"][name]["pictures"]


def _defined_in_all(parts: Mapping[str, Report], metric: str) -> list[str]:
    """Returns the attributes for which the metric is defined in each of two or more slices."""
    if len(parts) < 2:
        return []
    first = next(iter(parts.values()))
    return [
        name
        for name in first["attributes"]
        if all(percent(part["attributes"][name][metric]) != "–" for part in parts.values())
    ]


def _rate_with_counts(name: str, values: Mapping[str, Any]) -> str:
    counts = f"{values['positives']:,} / {values['count']:,}"
    return f"{plain(name)}: {percent(values['balanced_accuracy'])} ({counts})"
