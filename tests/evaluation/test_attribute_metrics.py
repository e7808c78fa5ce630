import math

import numpy as np
import pytest

from tfac.evaluation.attribute_metrics import (
    RATE_METRICS,
    attribute_metrics,
    calibration_error,
    mean_over_attributes,
    reliability,
    single_class_attributes,
)


def random_case(rows=200, attributes=7):
    rng = np.random.default_rng(0)
    labels = (rng.uniform(size=(rows, attributes)) < np.linspace(0.05, 0.9, attributes)) * 1.0
    scores = (labels + rng.normal(0, 1, labels.shape)).round(1).astype(np.float32)  # with ties
    thresholds = rng.normal(0.5, 0.3, attributes).astype(np.float32)
    label_mask = (rng.uniform(size=labels.shape) < 0.8) * 1.0
    return labels, scores, thresholds, label_mask


def reference(labels, scores, threshold, label_mask):
    """The metrics of one attribute by plain loops; AUC counts pairs, ties as one half."""
    rows = [i for i in range(len(labels)) if label_mask[i] == 1]
    positives = [i for i in rows if labels[i] == 1]
    negatives = [i for i in rows if labels[i] == 0]
    hits = sum(1 for i in positives if scores[i] > threshold)
    rejections = sum(1 for i in negatives if not scores[i] > threshold)
    predicted = sum(1 for i in rows if scores[i] > threshold)
    wins = 0.0
    for i in positives:
        for j in negatives:
            wins += 1.0 if scores[i] > scores[j] else 0.5 if scores[i] == scores[j] else 0.0
    average_precision, recall = 0.0, 0.0
    for cut in sorted({scores[i] for i in rows}, reverse=True):
        found = sum(1 for i in positives if scores[i] >= cut)
        chosen = sum(1 for i in rows if scores[i] >= cut)
        average_precision += (found / len(positives) - recall) * found / chosen
        recall = found / len(positives)
    rates = hits / len(positives), rejections / len(negatives)
    precision = hits / predicted
    return {
        "accuracy": (hits + rejections) / len(rows),
        "majority_accuracy": max(len(positives), len(negatives)) / len(rows),
        "balanced_accuracy": sum(rates) / 2,
        "true_positive_rate": rates[0],
        "true_negative_rate": rates[1],
        "precision": precision,
        "f1": 2 * precision * rates[0] / (precision + rates[0]),
        "average_precision": average_precision,
        "auc": wins / len(positives) / len(negatives),
        "positives": len(positives),
        "count": len(rows),
        "threshold": threshold,
    }


def test_equals_plain_loops():
    labels, scores, thresholds, label_mask = random_case()
    metrics = attribute_metrics(labels, scores, thresholds, label_mask)
    for a in range(labels.shape[1]):
        expected = reference(labels[:, a], scores[:, a], thresholds[a], label_mask[:, a])
        assert metrics.keys() == expected.keys()
        for name, value in expected.items():
            assert metrics[name][a] == pytest.approx(value, rel=1e-12), name


def test_golden_numbers():
    # Worked by hand: scores in falling order have labels 1, 0, 1, 0, 0; the cut is after the third.
    metrics = attribute_metrics(
        [[1], [0], [1], [0], [0]], [[0.9], [0.8], [0.7], [0.2], [-0.5]], [0.5]
    )
    expected = {
        "accuracy": 4 / 5,
        "majority_accuracy": 3 / 5,
        "balanced_accuracy": (1 + 2 / 3) / 2,
        "true_positive_rate": 1,
        "true_negative_rate": 2 / 3,
        "precision": 2 / 3,
        "f1": 4 / 5,
        "average_precision": (1 + 2 / 3) / 2,
        "auc": 5 / 6,
        "positives": 2,
        "count": 5,
        "threshold": 0.5,
    }
    assert {name: values[0] for name, values in metrics.items()} == pytest.approx(expected)


def test_score_equal_to_the_threshold_is_predicted_absent():
    metrics = attribute_metrics([[1], [0]], [[0.0], [0.0]], [0.0])
    assert metrics["true_positive_rate"][0] == 0 and metrics["true_negative_rate"][0] == 1


@pytest.mark.parametrize("label", [0, 1])
def test_single_class_attribute_is_excluded(label):
    labels = np.array([[label, 0], [label, 1], [label, 1]])
    scores = np.array([[1.0, -1.0], [-1.0, 1.0], [1.0, 1.0]])
    metrics = attribute_metrics(labels, scores, [0.0, 0.0])
    assert single_class_attributes(metrics).tolist() == [True, False]
    for name in ("balanced_accuracy", "average_precision", "auc"):
        assert math.isnan(metrics[name][0])
        assert mean_over_attributes(metrics[name]) == 1.0
    assert metrics["accuracy"][0] == pytest.approx(2 / 3 if label else 1 / 3)


def test_mask_decides_what_is_single_class():
    labels, mask = np.array([[1], [1], [0]]), np.array([[1], [1], [0]])
    metrics = attribute_metrics(labels, [[1.0], [2.0], [3.0]], [0.0], mask)
    assert single_class_attributes(metrics).tolist() == [True]
    assert metrics["count"].tolist() == [2] and metrics["accuracy"].tolist() == [1.0]


def test_attribute_that_nobody_annotated_has_no_figures():
    metrics = attribute_metrics([[1], [0]], [[1.0], [0.0]], [0.0], [[0], [0]])
    assert metrics["count"].tolist() == metrics["positives"].tolist() == [0]
    assert all(math.isnan(metrics[name][0]) for name in RATE_METRICS)
    assert math.isnan(mean_over_attributes(metrics["accuracy"]))


def test_no_rows_give_no_figures():
    metrics = attribute_metrics(np.zeros((0, 3)), np.zeros((0, 3)), np.zeros(3))
    assert all(np.isnan(metrics[name]).all() for name in RATE_METRICS)


def test_constant_scores_rank_by_chance():
    labels = np.array([[1], [0], [0], [0]])
    metrics = attribute_metrics(labels, np.full((4, 1), 0.3), [0.5])
    assert metrics["auc"][0] == 0.5 and metrics["average_precision"][0] == 0.25
    assert metrics["balanced_accuracy"][0] == 0.5 and metrics["f1"][0] == 0
    assert math.isnan(metrics["precision"][0])


def test_huge_scores_are_exact():
    labels = np.array([[1], [0], [1], [0]])
    scores = np.array([[1e9], [-1e9], [1e9], [1e9]], np.float32)
    metrics = attribute_metrics(labels, scores, np.zeros(1, np.float32))
    assert metrics["accuracy"][0] == 0.75 and metrics["auc"][0] == 0.75


def test_ranking_can_be_left_out():
    case = random_case()
    whole, counts = attribute_metrics(*case), attribute_metrics(*case, ranking=False)
    assert whole.keys() - counts.keys() == {"average_precision", "auc"}
    for name in counts:
        np.testing.assert_array_equal(counts[name], whole[name])


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_scores_that_are_not_finite_are_refused(bad):
    with pytest.raises(ValueError, match="expected finite scores"):
        attribute_metrics([[1]], [[bad]], [0.0])


def test_shapes_that_disagree_are_refused():
    with pytest.raises(ValueError, match=r"Received: \(2, 1\), \(2, 1\), \(2, 1\), \(2,\)"):
        attribute_metrics([[1], [0]], [[1.0], [0.0]], [0.0, 0.0])


def test_calibration_error_equals_plain_loops():
    random = np.random.default_rng(0)
    probabilities = random.uniform(size=(200, 2)) ** 2
    probabilities[:3, 0] = 0, 1, 1 / 15
    labels, mask = random.integers(0, 2, (2, 200, 2))
    errors = calibration_error(labels, probabilities, mask)
    points = {}
    for a in range(2):
        bins = {}
        for probability, label, counts in zip(
            probabilities[:, a], labels[:, a], mask[:, a], strict=True
        ):
            if counts:
                bins.setdefault(min(int(15 * probability), 14), []).append((probability, label))
        distances = [abs(np.sum(each, axis=0) @ (1, -1)) for each in bins.values()]
        assert errors[a] == pytest.approx(sum(distances) / mask[:, a].sum())
        for b, each in bins.items():
            points.setdefault(b, []).extend(each)
    means = np.array([np.mean(points[b], axis=0) for b in sorted(points)])
    np.testing.assert_allclose(np.transpose(reliability(labels, probabilities, mask)), means)


def test_calibration_error_of_what_nobody_annotated_is_unknown():
    error = calibration_error(np.zeros((2, 1)), np.full((2, 1), 0.5), np.zeros((2, 1)))
    assert np.isnan(error).all()
