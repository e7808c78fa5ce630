import dataclasses
import json
import math

import numpy as np
import pytest

from tfac.evaluation.attribute_metrics import RATE_METRICS, attribute_metrics
from tfac.evaluation.report import format_report, summarise, write_report
from tfac.evaluation.split_scores import SplitScores
from tfac.label_rules import LabelRule
from tfac.losses import BinaryCrossentropy, get_attribute_loss

ATTRIBUTES = ("Male", "Young", "Bald")
THRESHOLDS = np.array([0.1, 0.0, -0.2], np.float32)


@pytest.fixture(scope="module")
def split_scores():
    """40 pictures; nobody is Bald."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, (40, 3)).astype(np.float32)
    labels[:, 2] = 0
    label_mask = np.ones_like(labels)
    label_mask[:4, 0] = 0
    errors = rng.uniform(0.02, 0.1, 40)
    errors[7] = np.nan
    return SplitScores(labels, label_mask, labels + rng.normal(0, 0.8, (40, 3)), errors)


@pytest.fixture(scope="module")
def report(split_scores):
    return summarise(ATTRIBUTES, THRESHOLDS, split_scores, [("Male",), ("Male", "Young")])


def test_rates_are_percent_of_the_exact_metrics(split_scores, report):
    metrics = attribute_metrics(
        split_scores.labels, split_scores.scores, THRESHOLDS, split_scores.label_mask
    )
    for a, name in enumerate(ATTRIBUTES):
        for metric in RATE_METRICS:
            expected = pytest.approx(100 * metrics[metric][a], nan_ok=True)
            assert report["attributes"][name][metric] == expected
    assert report["attributes"]["Male"]["count"] == 36
    assert report["attributes"]["Male"]["threshold"] == pytest.approx(0.1)
    assert report["mean_accuracy"] == pytest.approx(100 * metrics["accuracy"].mean())
    assert report["pictures"] == 40


def test_single_class_attribute_is_named_and_left_out_of_the_means(report):
    assert report["single_class_attributes"] == ["Bald"]
    assert math.isnan(report["attributes"]["Bald"]["balanced_accuracy"])
    both = [report["attributes"][name]["balanced_accuracy"] for name in ("Male", "Young")]
    assert report["mean_balanced_accuracy"] == pytest.approx(sum(both) / 2)


def test_landmark_error_is_the_mean_over_pictures_with_landmarks(split_scores, report):
    expected = 100 * np.nanmean(split_scores.landmark_errors)
    assert report["landmark_error"] == pytest.approx(expected)
    assert report["landmark_pictures"] == 39


def test_slices_are_reports_of_their_rows(split_scores, report):
    slices = report["slices"]
    assert list(slices) == [
        "Male=1",
        "Male=0",
        "Male=1*Young=1",
        "Male=1*Young=0",
        "Male=0*Young=1",
        "Male=0*Young=0",
    ]
    assert slices["Male=1"]["pictures"] + slices["Male=0"]["pictures"] == 36
    rows = (split_scores.labels[:, 0] == 1) & (split_scores.label_mask[:, 0] == 1)
    fields = ("labels", "label_mask", "scores", "landmark_errors")
    alone = SplitScores(*(getattr(split_scores, field)[rows] for field in fields))
    expected = summarise(ATTRIBUTES, THRESHOLDS, alone)
    del expected["slices"]
    assert json.dumps(slices["Male=1"]) == json.dumps(expected)
    assert slices["Male=1"]["single_class_attributes"] == ["Male", "Bald"]


def test_empty_slice_has_a_count_and_no_figures(split_scores):
    report = summarise(ATTRIBUTES, THRESHOLDS, split_scores, [("Bald",)])
    assert report["slices"]["Bald=1"]["pictures"] == 0
    assert math.isnan(report["slices"]["Bald=1"]["mean_accuracy"])
    assert "Bald=1" in format_report(report, BinaryCrossentropy().probabilities)


def test_file_is_strict_json_with_null_for_undefined(report, tmp_path):
    write_report(report, tmp_path / "new" / "metrics.json")

    def refuse(constant):
        raise AssertionError(constant)

    text = (tmp_path / "new" / "metrics.json").read_text()
    written = json.loads(text, parse_constant=refuse)
    assert written["attributes"]["Bald"]["auc"] is None
    assert written["mean_accuracy"] == report["mean_accuracy"]


def test_table_has_a_row_for_each_attribute_the_means_and_the_slices(report):
    lines = format_report(report, BinaryCrossentropy().probabilities).splitlines()
    firsts = [line.split()[0] for line in lines if line.strip()]
    assert firsts[2:5] == list(ATTRIBUTES) and firsts[6] == "mean"
    assert f"{report['mean_accuracy']:.2f}" in lines[6]
    assert f"{report['mean_majority_accuracy']:.2f}" in lines[6]
    assert lines[2].endswith("52.5%")  # 0.1 as a logit; people read probabilities
    assert any("labels are alike" in line and line.endswith("Bald") for line in lines)
    assert firsts[-6:] == list(report["slices"])
    assert "nan" not in format_report(report, BinaryCrossentropy().probabilities)
    line = format_report(report, get_attribute_loss("squared_error").probabilities).splitlines()[2]
    assert line.endswith("55.0%")  # 0.1 as an estimate of 2p - 1


def test_report_without_landmarks_says_nothing_of_them(split_scores):
    without = SplitScores(split_scores.labels, split_scores.label_mask, split_scores.scores, None)
    report = summarise(ATTRIBUTES, THRESHOLDS, without)
    assert "landmark_error" not in report
    assert "landmarks" not in format_report(report, BinaryCrossentropy().probabilities)


def test_contradictions_are_counted_in_answers_and_labels(split_scores):
    rules = [LabelRule("none_of", ("Young",), "", "Male"), LabelRule("any_of", ATTRIBUTES, "")]
    report = summarise(ATTRIBUTES, THRESHOLDS, split_scores, [("Young",)], rules)
    counts = {"contradictions": [0, 0, 0], "label_contradictions": [0, 0, 0]}
    rows = zip(split_scores.scores, split_scores.labels, split_scores.label_mask, strict=True)
    for scores, labels, mask in rows:
        male, young, bald = scores > THRESHOLDS
        found = [male and young, not (male or young or bald)]
        counts["contradictions"] = np.add(counts["contradictions"], [*found, any(found)])
        male, young, bald = labels == 1
        found = [male and mask[0] and young, mask[0] and not (male or young or bald)]
        counts["label_contradictions"] += np.array([*found, any(found)], int)
    for name, (*by_rule, either) in counts.items():
        assert report[name] == pytest.approx(100 * either / 40)
        parts = [report["label_rules"][str(rule)][name] for rule in rules]
        assert parts == pytest.approx([100 * count / 40 for count in by_rule])
    assert report["slices"]["Young=0"]["label_rules"]["Male with Young"]["contradictions"] >= 0
    text = format_report(report, BinaryCrossentropy().probabilities)
    assert f"themselves: {report['contradictions']:.2f} % of the pictures" in text
    assert "%) Male with Young" in text


def test_answers_of_the_network_s_own_are_judged_in_place_of_scores(split_scores):
    right = dataclasses.replace(split_scores, answers=split_scores.labels > 0.5)
    report = summarise(ATTRIBUTES, THRESHOLDS, right)
    assert report["mean_accuracy"] == 100
    assert report["mean_average_precision"] < 100
