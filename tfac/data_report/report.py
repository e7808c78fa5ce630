"""The report: what a data set holds, and its problems by kind."""

import functools
import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from tensorflow_metadata.proto.v0 import schema_pb2

from tfac.data.records.frequencies import frequency_difference
from tfac.data.records.info import RecordsInfo
from tfac.data_report.duplicates import exact_duplicates, near_duplicates
from tfac.data_report.schema import find_anomalies
from tfac.data_report.statistics import SplitStatistics
from tfac.data_report.summary import SplitSummary
from tfac.label_rules import LabelRule

_LEAST_CONTRAST = 2.0  # standard deviation of the brightness, of 255
_LEAST_DEVIATIONS = 3.0  # of a difference between frequencies that is not chance
_MOST_EXAMPLES = 1000
_EXAMPLES_A_RULE = 5
_SMALL_SPLIT = 100  # pictures; a rate is uncertain by up to 98 / sqrt(n) points (95 % interval)


def create_report(
    info: RecordsInfo,
    statistics: Mapping[str, SplitStatistics],
    *,
    min_side: int,
    max_drift: float,
    rules: Sequence[LabelRule] = (),
    schema: schema_pb2.Schema | None = None,
) -> dict[str, Any]:
    """Returns the report as JSON can hold it.

    Args:
        info: the data set.
        statistics: of each split.
        min_side: shortest side of a picture that is not tiny, pixels.
        max_drift: largest difference of an attribute's frequency between two splits, in points of
            percent, that is no problem; what may be chance, up to 3 standard deviations, is none.
        rules: what labels cannot be together.
        schema: what the data is held against.

    Returns:
        "data_set", "splits", "attributes", "correlations" [A, A], "mean_landmarks" [K, 2],
        "duplicates", "near_duplicates", "blank", "tiny", "drift", "label_rules", "one_class",
        "small_splits", "schema" and "problems", the number of each of
        `tfac.data_report.problems.PROBLEMS`. Shares are percent.
    """
    summaries = {split: part.summary for split, part in statistics.items()}
    names = [(split, key) for split, part in statistics.items() for key in part.keys]
    labels, mask, sizes, contrasts = (
        np.concatenate([getattr(part, field) for part in statistics.values()])
        for field in ("labels", "label_mask", "sizes", "contrasts")
    )
    checksums = [checksum for part in statistics.values() for checksum in part.checksums]
    blank = np.flatnonzero(contrasts < _LEAST_CONTRAST)
    tiny = np.flatnonzero(sizes.min(axis=1) < min_side)
    duplicates = _describe_duplicates(info.attributes, checksums, names, labels, mask)
    near = _describe_near_duplicates(info.attributes, statistics, checksums, names, blank)
    found = [(rule, *rule.find(info.attributes, labels, mask)) for rule in rules]
    contradictory = np.any([broken for _, broken, _ in found], axis=0) if found else np.zeros(0)
    small = [name for name, part in summaries.items() if part.num_pictures < _SMALL_SPLIT]
    whole = functools.reduce(SplitSummary.__add__, summaries.values())
    attributes = _attributes(info.attributes, summaries)
    one_class = _one_class(attributes)
    drift = [name for name, about in attributes.items() if about["drift"]["points"] > max_drift]
    drift = [name for name in drift if attributes[name]["drift"]["deviations"] > _LEAST_DEVIATIONS]
    anomalies = find_anomalies(schema, info, summaries) if schema else []
    anomalies = [anomaly.message for anomaly in anomalies]
    return {
        "data_set": {
            "name": info.name,
            "path": str(info.path),
            "fingerprint": info.fingerprint,
            "landmark_scheme": info.landmark_scheme.name,
        },
        "splits": {name: _split(part) for name, part in statistics.items()},
        "attributes": attributes,
        "correlations": _rounded(whole.correlations),
        "mean_landmarks": _rounded(whole.mean_landmarks),
        "duplicates": duplicates[:_MOST_EXAMPLES],
        "near_duplicates": near[:_MOST_EXAMPLES],
        "blank": [_name(*names[i]) for i in blank[:_MOST_EXAMPLES]],
        "tiny": [_name(*names[i]) for i in tiny[:_MOST_EXAMPLES]],
        "drift": drift,
        "label_rules": [
            {
                "rule": str(rule),
                "reason": rule.reason,
                "broken": int(broken.sum()),
                "about": int(about.sum()),
                "share": 100 * float(broken.sum() / about.sum()) if about.any() else 0.0,
                "pictures": [_name(*names[i]) for i in np.flatnonzero(broken)[:_EXAMPLES_A_RULE]],
            }
            for rule, broken, about in found
        ],
        "one_class": one_class,
        "small_splits": small,
        "schema": anomalies,
        "problems": {
            "duplicates": sum(len(each["pictures"]) - 1 for each in duplicates),
            "duplicates_across_splits": sum(each["across_splits"] for each in duplicates),
            "label_conflicts": sum(bool(each["conflicts"]) for each in duplicates),
            "contradictions": int(contradictory.sum()),
            "one_class": len(one_class),
            "small_splits": len(small),
            "near_duplicates": len(near),
            "near_duplicates_across_splits": sum(each["across_splits"] for each in near),
            "near_label_conflicts": sum(bool(each["conflicts"]) for each in near),
            "blank": len(blank),
            "tiny": len(tiny),
            "drift": len(drift),
            "schema": len(anomalies),
        },
    }


def _split(part: SplitStatistics) -> dict[str, Any]:
    heights, widths = part.sizes.T
    summary, num_pictures = part.summary, part.summary.num_pictures
    return {
        "pictures": num_pictures,
        "bytes": summary.num_bytes,
        "height": _spread(heights),
        "width": _spread(widths),
        "unannotated": 100 * float(1 - part.label_mask.mean()),
        "with_landmarks": 100 * summary.with_landmarks / num_pictures,
    }


def _spread(values: np.ndarray) -> dict[str, float]:
    return {
        "lowest": int(values.min()),
        "median": float(np.median(values)),
        "highest": int(values.max()),
    }


def _attributes(
    names: Sequence[str], summaries: Mapping[str, SplitSummary]
) -> dict[str, dict[str, Any]]:
    """By attribute and split the frequency and the annotated share; the largest drift."""
    about = {}
    for a, name in enumerate(names):
        counts = {
            split: (int(part.shown_counts[a]), int(part.annotated_counts[a]))
            for split, part in summaries.items()
        }
        about[name] = {
            "frequency": {
                split: 100 * shown / annotated if annotated else None
                for split, (shown, annotated) in counts.items()
            },
            "annotated": {
                split: 100 * annotated / summaries[split].num_pictures
                for split, (_, annotated) in counts.items()
            },
            "drift": _drift(counts),
        }
    return about


def _one_class(attributes: Mapping[str, dict[str, Any]]) -> list[str]:
    """Says of which attributes a split has no labels, or of one class alone."""
    words = {None: "no label in", 0: "shown by no picture of", 100: "shown by every picture of"}
    return [
        f"{name}: {words[frequency]} {split}"
        for name, about in attributes.items()
        for split, frequency in about["frequency"].items()
        if frequency in words
    ]


def _drift(counts: Mapping[str, tuple[int, int]]) -> dict[str, Any]:
    """The pair of splits whose frequencies differ most, in points and in standard deviations."""
    drift = {"splits": [], "points": 0.0, "deviations": 0.0}
    for (first, here), (second, there) in itertools.combinations(counts.items(), 2):
        points, deviations = frequency_difference(here, there)
        if points > drift["points"]:
            drift = {"splits": [first, second], "points": points, "deviations": deviations}
    return drift


def _describe_duplicates(
    attributes: Sequence[str],
    checksums: Sequence[bytes],
    names: Sequence[tuple[str, str]],
    labels: np.ndarray,
    mask: np.ndarray,
) -> list[dict[str, Any]]:
    described = []
    for group in exact_duplicates(checksums):
        described.append(
            {
                "pictures": [_name(*names[i]) for i in group],
                "across_splits": len({names[i][0] for i in group}) > 1,
                "conflicts": _conflicts(attributes, labels[group], mask[group]),
            }
        )
    return described


def _conflicts(attributes: Sequence[str], labels: np.ndarray, mask: np.ndarray) -> list[str]:
    """Returns the attributes that some of these pictures [N, A] show and others do not."""
    shown, hidden = (labels & mask).any(axis=0), ((1 - labels) & mask).any(axis=0)
    return [attributes[a] for a in np.flatnonzero(shown & hidden)]


def _describe_near_duplicates(
    attributes: Sequence[str],
    statistics: Mapping[str, SplitStatistics],
    checksums: Sequence[bytes],
    names: Sequence[tuple[str, str]],
    blank: np.ndarray,
) -> list[dict[str, Any]]:
    hashes, labels, mask = (
        np.concatenate([getattr(part, field) for part in statistics.values()])
        for field in ("hashes", "labels", "label_mask")
    )
    kept = np.setdiff1d(np.arange(len(names)), blank)
    pairs = [(int(kept[i]), int(kept[j]), bits) for i, j, bits in near_duplicates(hashes[kept])]
    return [
        {
            "pictures": [_name(*names[i]), _name(*names[j])],
            "across_splits": names[i][0] != names[j][0],
            "bits": bits,
            "conflicts": _conflicts(attributes, labels[[i, j]], mask[[i, j]]),
        }
        for i, j, bits in pairs
        if checksums[i] != checksums[j]
    ]


def _name(split: str, key: str) -> str:
    return f"{split}/{key}"


def _rounded(values: np.ndarray) -> list:
    """Lists for JSON, which has no NaN."""
    return [
        [None if math.isnan(value) else round(float(value), 4) for value in row] for row in values
    ]
