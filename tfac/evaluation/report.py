"""What an evaluation found: as JSON and as a table.

In a report every rate is in percent, and what is undefined is NaN (null in the file). Its layout:

| key | meaning |
|---|---|
| model, data_set, split | what was evaluated on what |
| thresholds | the rule that set them, of `tfac-evaluate --thresholds` |
| pictures | number of pictures |
| mean_accuracy, mean_balanced_accuracy, mean_f1, ... | means over attributes where it is defined |
| mean_majority_accuracy | accuracy of always giving each attribute's commoner answer |
| single_class_attributes | names without a balanced accuracy, average precision and AUC |
| mean_calibration_error | how far probabilities are from shares of labels, mean over attributes |
| mean_uncalibrated_error | the same without the network's calibration, where it has one |
| contradictions | pictures whose answers break a label rule |
| label_contradictions | pictures whose labels break one |
| label_rules.RULE | the same two for each rule, which is said as what breaks it |
| landmark_error | mean distance of the landmarks, percent of the distance between the eyes |
| landmark_pictures | number of pictures that `landmark_error` is over |
| attributes.NAME.METRIC | rates in percent; positives and count are labels; threshold is a score |
| slices.NAME | the keys from `pictures` to `attributes` for a part, such as Male=1*Young=0 |
"""

import math
import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tfac.evaluation.attribute_metrics import (
    RATE_METRICS,
    attribute_metrics,
    calibration_error,
    mean_over_attributes,
    single_class_attributes,
)
from tfac.evaluation.slices import slice_rows
from tfac.evaluation.split_scores import SplitScores
from tfac.files import write_json
from tfac.label_rules import LabelRule

Report = dict[str, Any]

_HEADINGS = {
    "accuracy": "acc",
    "majority_accuracy": "maj.acc",
    "balanced_accuracy": "bal.acc",
    "true_positive_rate": "TPR",
    "true_negative_rate": "TNR",
    "precision": "prec",
    "f1": "F1",
    "average_precision": "AP",
    "auc": "AUC",
}


def summarise(
    attributes: Sequence[str],
    thresholds: np.ndarray,
    split_scores: SplitScores,
    slicings: Sequence[tuple[str, ...]] = (),
    rules: Sequence[LabelRule] = (),
) -> Report:
    """Returns the report of the scores, from `pictures` on, with its slices.

    Args:
        attributes: names [A].
        thresholds: of scores, [A].
        split_scores: what is reported.
        slicings: see `tfac.evaluation.slices.slice_rows`.
        rules: what answers and labels are held against.
    """
    report = _summarise_rows(attributes, thresholds, split_scores, slice(None), rules)
    report["slices"] = {}
    for slicing in slicings:
        rows_by_name = slice_rows(slicing, attributes, split_scores.labels, split_scores.label_mask)
        for name, rows in rows_by_name.items():
            part = _summarise_rows(attributes, thresholds, split_scores, rows, rules)
            report["slices"][name] = part
    return report


def _summarise_rows(
    attributes: Sequence[str], thresholds: np.ndarray, split_scores: SplitScores, rows, rules
) -> Report:
    part = split_scores.of(rows)
    answers = part.scores > thresholds if part.answers is None else part.answers
    metrics = attribute_metrics(
        part.labels, part.scores, thresholds, part.label_mask, answers=answers
    )
    single_class = single_class_attributes(metrics)
    report: Report = {"pictures": len(part.scores)}
    for name in RATE_METRICS:
        report[f"mean_{name}"] = 100 * mean_over_attributes(metrics[name])
    report["single_class_attributes"] = [
        name for name, single in zip(attributes, single_class, strict=True) if single
    ]
    errors = {
        name: calibration_error(part.labels, probabilities, part.label_mask)
        for name, probabilities in (
            ("calibration_error", part.probabilities),
            ("uncalibrated_error", part.uncalibrated),
        )
        if probabilities is not None
    }
    report |= {f"mean_{name}": 100 * mean_over_attributes(errors[name]) for name in errors}
    if rules:
        report |= count_contradictions(attributes, rules, answers, part.labels, part.label_mask)
    if part.landmark_errors is not None:
        report["landmark_error"] = 100 * mean_over_attributes(part.landmark_errors)
        report["landmark_pictures"] = int((~np.isnan(part.landmark_errors)).sum())
    metrics |= errors
    percent = {name: 100 if name in (*RATE_METRICS, *errors) else 1 for name in metrics}
    report["attributes"] = {
        attribute: {name: (percent[name] * metrics[name][a]).item() for name in metrics}
        for a, attribute in enumerate(attributes)
    }
    return report


def count_contradictions(
    attributes: Sequence[str],
    rules: Sequence[LabelRule],
    answers: np.ndarray,
    labels: np.ndarray,
    label_mask: np.ndarray,
) -> Report:
    """Returns what a report says of rules: which percent of N pictures break them.

    Args:
        attributes: names [A].
        rules: one or more.
        answers: bool [N, A].
        labels: [N, A] in {0, 1}.
        label_mask: [N, A], 1 where the label counts.
    """
    kinds = {
        "contradictions": (answers, np.ones(answers.shape, bool)),
        "label_contradictions": (np.asarray(labels), np.asarray(label_mask) > 0.5),
    }
    broken = {
        name: np.array([rule.find(attributes, *values)[0] for rule in rules])  # [rules, N]
        for name, values in kinds.items()
    }
    report: Report = {name: _share(found.any(axis=0)) for name, found in broken.items()}
    report["label_rules"] = {
        str(rule): {name: _share(found[i]) for name, found in broken.items()}
        for i, rule in enumerate(rules)
    }
    return report


def _share(rows: np.ndarray) -> float:
    return 100 * float(rows.mean()) if rows.size else math.nan


def write_report(report: Report, path: str | os.PathLike) -> None:
    """Writes the report as JSON, whole or not at all; NaN becomes null."""
    write_json(path, _without_nan(report), indent=2)


def format_report(report: Report, probabilities: Callable[[np.ndarray], Any]) -> str:
    """Returns the report as a table of attributes, their means and the slices.

    `probabilities` turns scores [A] into the network's probabilities.
    """
    thresholds = [values["threshold"] for values in report["attributes"].values()]
    cuts = np.asarray(probabilities(np.array(thresholds, np.float32)))
    lines = [_row("percent", _HEADINGS.values(), "positives", "labels", "threshold")]
    lines += [
        _row(
            name,
            [_percent(values[metric]) for metric in RATE_METRICS],
            f"{values['positives']}",
            f"{values['count']}",
            f"{cut:.1%}",
        )
        for (name, values), cut in zip(report["attributes"].items(), cuts, strict=True)
    ]
    means = [_percent(report[f"mean_{metric}"]) for metric in RATE_METRICS]
    rule = "-" * len(lines[0])
    lines = [lines[0], rule, *lines[1:], rule, _row("mean", means)]
    lines.append(f"\n{report['pictures']} pictures")
    lines.append("maj.acc: the accuracy of always giving an attribute's commoner answer")
    if report["single_class_attributes"]:
        lines.append(
            "no balanced accuracy, average precision or AUC, as all labels are alike (left out of "
            f"these means): {', '.join(report['single_class_attributes'])}"
        )
    if "mean_calibration_error" in report:
        without = report.get("mean_uncalibrated_error")
        lines.append(
            f"probabilities: off by {_percent(report['mean_calibration_error'])} points (expected "
            "calibration error"
            + (")" if without is None else f"; {_percent(without)} without calibration)")
        )
    if "contradictions" in report:
        lines.append(
            f"answers that contradict themselves: {_percent(report['contradictions'])} % of the "
            f"pictures (labels: {_percent(report['label_contradictions'])} %)"
        )
        lines += [
            f"  {_percent(answers)} % ({_percent(labels)} %) {rule}"
            for rule, (answers, labels) in (
                (rule, found.values()) for rule, found in report["label_rules"].items()
            )
            if answers or labels
        ]
    if "landmark_error" in report:
        lines.append(
            f"landmarks: off by {_percent(report['landmark_error'])} % of the distance between the "
            f"eyes ({report['landmark_pictures']} pictures)"
        )
    if report["slices"]:
        lines += ["", *_slice_lines(report["slices"])]
    return "\n".join(lines)


def _slice_lines(slices: dict[str, Report]) -> list[str]:
    width = max(len("slice"), *map(len, slices))
    headings = ("acc", "maj.acc", "bal.acc", "F1")
    heading = f"{'slice':{width}} {'pictures':>9} {' '.join(f'{each:>7}' for each in headings)}"
    heading += " single-class"
    lines = [heading, "-" * len(heading)]
    for name, part in slices.items():
        metrics = ("accuracy", "majority_accuracy", "balanced_accuracy", "f1")
        shares = [part[f"mean_{metric}"] for metric in metrics]
        cells = " ".join(f"{_percent(share):>7}" for share in shares)
        single_class = len(part["single_class_attributes"])
        lines.append(f"{name:{width}} {part['pictures']:>9} {cells} {single_class:>12}")
    return lines


def _row(name: str, shares, positives: str = "", labels: str = "", threshold: str = "") -> str:
    cells = " ".join(f"{share:>7}" for share in shares)
    return f"{name:<20} {cells} {positives:>9} {labels:>7} {threshold:>9}".rstrip()


def _percent(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.2f}"


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_without_nan(item) for item in value]
    return None if isinstance(value, float) and math.isnan(value) else value
