"""How well each attribute is predicted: exact figures over a whole split."""

import numpy as np
from sklearn.metrics import average_precision_score, roc_auc_score

# The figures that are shares, in the order they are shown.
RATE_METRICS = (
    "accuracy",
    "majority_accuracy",
    "balanced_accuracy",
    "true_positive_rate",
    "true_negative_rate",
    "precision",
    "f1",
    "average_precision",
    "auc",
)

_BINS = 15  # of probabilities, for calibration


def attribute_metrics(
    labels: np.ndarray,
    scores: np.ndarray,
    thresholds: np.ndarray,
    label_mask: np.ndarray | None = None,
    *,
    ranking: bool = True,
    answers: np.ndarray | None = None,
) -> dict[str, np.ndarray]:
    """Returns the metrics of each attribute; an attribute is predicted where score > threshold.

    Args:
        labels: [N, A] in {0, 1}.
        scores: [N, A], finite.
        thresholds: [A], in the space of the scores.
        label_mask: [N, A], 1 where the label counts; all of them by default.
        ranking: compute average precision and AUC too, which sort the scores.
        answers: bool [N, A], what was predicted, where that is not score > threshold.

    Returns:
        Name to [A]. Shares in [0, 1], NaN where undefined: "accuracy", "majority_accuracy" (that of
        always giving the commoner answer), "balanced_accuracy" (the mean of the next two),
        "true_positive_rate", "true_negative_rate", "precision" (NaN where
        nothing is predicted positive), "f1" (NaN where nothing is positive) and, with `ranking`,
        "average_precision" and "auc". Balanced accuracy, average precision and AUC are NaN where an
        attribute has one class only. "positives" and "count" are labels that count, int64;
        "threshold" is the threshold.

    Raises:
        ValueError: shapes disagree, or a score is not finite.
    """
    labels, scores = np.asarray(labels) > 0.5, np.asarray(scores)
    thresholds = np.asarray(thresholds)
    counted = np.ones(labels.shape, bool) if label_mask is None else np.asarray(label_mask) > 0.5
    if not labels.shape == scores.shape == counted.shape or thresholds.shape != labels.shape[1:]:
        raise ValueError(
            "expected labels, scores and label_mask [N, A] and thresholds [A]. Received: "
            f"{labels.shape}, {scores.shape}, {counted.shape}, {thresholds.shape}"
        )
    if not np.isfinite(scores).all():
        raise ValueError("expected finite scores. Received: NaN or infinite ones")
    if answers is None:
        answers = scores > thresholds  # DMM-CNN, Eq. 5
    metrics = _count_metrics(labels, answers, counted)
    if ranking:
        metrics |= _ranking_metrics(labels, scores, counted)
    return {**metrics, "threshold": thresholds}


def calibration_error(
    labels: np.ndarray, probabilities: np.ndarray, label_mask: np.ndarray
) -> np.ndarray:
    """Returns the expected calibration error [A]; NaN for an attribute without a label that counts.

    It is the mean over pictures of the distance between the mean probability and the share that
    shows the attribute, both of the pictures in the same of 15 equal bins of probability.

    Args:
        labels: [N, A] in {0, 1}.
        probabilities: [N, A].
        label_mask: [N, A], 1 where the label counts.

    Reference:
        Guo et al., On calibration of modern neural networks (2017), Eq. 3.
    """
    counted = np.asarray(label_mask) > 0.5
    bins = _bins(probabilities)
    distances = np.where(counted, probabilities - labels, 0)
    of_bins = [np.abs(np.where(bins == b, distances, 0).sum(axis=0)) for b in range(_BINS)]
    return _share(np.sum(of_bins, axis=0), counted.sum(axis=0))


def reliability(
    labels: np.ndarray, probabilities: np.ndarray, label_mask: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Returns mean probability and share of true labels of the bins of all attributes together.

    Arguments are those of `calibration_error`; a bin without a label that counts is left out.
    """
    counted = np.asarray(label_mask) > 0.5
    labels, probabilities = np.asarray(labels)[counted], np.asarray(probabilities)[counted]
    bins = _bins(probabilities)
    count = np.bincount(bins, minlength=_BINS)
    sums = [np.bincount(bins, values, _BINS)[count > 0] for values in (probabilities, labels)]
    return sums[0] / count[count > 0], sums[1] / count[count > 0]


def _bins(probabilities: np.ndarray) -> np.ndarray:
    return np.minimum((probabilities * _BINS).astype(int), _BINS - 1)


def single_class_attributes(metrics: dict[str, np.ndarray]) -> np.ndarray:
    """Returns bool [A]: attributes whose counted labels are all alike, or that have none."""
    return (metrics["positives"] == 0) | (metrics["positives"] == metrics["count"])


def mean_over_attributes(values: np.ndarray) -> float:
    """Returns the mean of the values [A] that are defined; NaN where none is."""
    defined = values[~np.isnan(values)]
    return float(defined.mean()) if defined.size else float("nan")


def _count_metrics(
    labels: np.ndarray, predictions: np.ndarray, counted: np.ndarray
) -> dict[str, np.ndarray]:
    count = counted.sum(axis=0)
    positives = (labels & counted).sum(axis=0)
    negatives = count - positives
    predicted = (predictions & counted).sum(axis=0)
    true_positives = (predictions & labels & counted).sum(axis=0)
    true_negatives = negatives - (predicted - true_positives)
    true_positive_rate = _share(true_positives, positives)
    true_negative_rate = _share(true_negatives, negatives)
    f1 = _share(2 * true_positives, positives + predicted)
    return {
        "accuracy": _share(true_positives + true_negatives, count),
        "majority_accuracy": _share(np.maximum(positives, negatives), count),
        "balanced_accuracy": (true_positive_rate + true_negative_rate) / 2,
        "true_positive_rate": true_positive_rate,
        "true_negative_rate": true_negative_rate,
        "precision": _share(true_positives, predicted),
        "f1": np.where(positives > 0, f1, np.nan),
        "positives": positives,
        "count": count,
    }


def _ranking_metrics(
    labels: np.ndarray, scores: np.ndarray, counted: np.ndarray
) -> dict[str, np.ndarray]:
    average_precision, auc = np.full((2, labels.shape[1]), np.nan)
    for a in range(labels.shape[1]):
        rows = counted[:, a]
        if np.unique(labels[rows, a]).size == 2:
            average_precision[a] = average_precision_score(labels[rows, a], scores[rows, a])
            auc[a] = roc_auc_score(labels[rows, a], scores[rows, a])
    return {"average_precision": average_precision, "auc": auc}


def _share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.divide(part, whole, out=np.full(part.shape, np.nan), where=whole > 0)
