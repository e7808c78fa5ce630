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


def attribute_metrics(
    labels: np.ndarray,
    scores: np.ndarray,
    thresholds: np.ndarray,
    label_mask: np.ndarray | None = None,
    *,
    ranking: bool = True,
) -> dict[str, np.ndarray]:
    """Returns the metrics of each attribute; an attribute is predicted where score > threshold.

    Args:
        labels: [N, A] in {0, 1}.
        scores: [N, A], finite.
        thresholds: [A], in the space of the scores.
        label_mask: [N, A], 1 where the label counts; all of them by default.
        ranking: compute average precision and AUC too, which sort the scores.

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
    metrics = _count_metrics(labels, scores > thresholds, counted)  # DMM-CNN, Eq. 5
    if ranking:
        metrics |= _ranking_metrics(labels, scores, counted)
    return {**metrics, "threshold": thresholds}


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
