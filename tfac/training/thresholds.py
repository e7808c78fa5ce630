"""Rules that set the decision thresholds from the whole validation set.

A rule takes ``(thresholds [A], labels [V, A], scores [V, A], label_mask [V, A], epoch)`` and
returns new thresholds [A], float32 in score space: attribute j is predicted where its score is
*above* threshold j (Mao et al., DMM-CNN, Eq. 5). Thresholds start at 0.
"""

import functools
from collections.abc import Callable

import numpy as np

from tfac.data.records.frequencies import count_shown
from tfac.errors import ConfigError
from tfac.inference.calibration import fit_calibration, logit

ThresholdRule = Callable[[np.ndarray, np.ndarray, np.ndarray, np.ndarray, int], np.ndarray]

# How far beyond the lowest or highest score a cut lies that puts every picture on one side.
_MARGIN = 1.0

_EM_STEPS = 200
_RAREST = 1e-6  # share of pictures that expectation maximisation may end with


def get_threshold_rule(name: str, gamma: float = 0.01) -> ThresholdRule:
    """Returns a rule by its name in `TrainConfig.thresholds`; `gamma` is Eq. 6's step.

    Raises:
        ConfigError: there is no such rule.
    """
    rules = {
        "fixed": fixed,
        "adaptive": functools.partial(adaptive, gamma=gamma),
        "exact": exact,
        "exact_balanced": functools.partial(exact, balanced=True),
        "calibrated": calibrated,
        "calibrated_balanced": functools.partial(calibrated, balanced=True),
    }
    if name not in rules:
        raise ConfigError(f"thresholds: expected one of {', '.join(rules)}. Received: {name}")
    return rules[name]


def choose_thresholds(name: str, labels, scores, label_mask) -> np.ndarray:
    """Returns what the rule called `name` makes of thresholds 0 on a split's scores, all [V, A].

    Raises:
        ConfigError: there is no such rule.
    """
    thresholds = np.zeros(np.shape(scores)[1], np.float32)
    return get_threshold_rule(name)(thresholds, labels, scores, label_mask, 1)


def fixed(thresholds, labels, scores, label_mask, epoch) -> np.ndarray:
    """Returns the thresholds as they are."""
    return np.asarray(thresholds, np.float32)


def adaptive(thresholds, labels, scores, label_mask, epoch, *, gamma: float) -> np.ndarray:
    """Raises thresholds with many false positives, lowers those with many false negatives.

    ``threshold += gamma * epoch * (FP - FN) / V`` with epochs counted from 1 and V the annotated
    validation pictures of the attribute; an attribute without any keeps its threshold.

    Reference:
        Mao et al. (DMM-CNN), Eq. 6.
    """
    labels, label_mask = np.asarray(labels) > 0.5, np.asarray(label_mask) > 0.5
    predictions = np.asarray(scores) > np.asarray(thresholds)  # Eq. 5
    false_positives = np.sum(predictions & ~labels & label_mask, axis=0)
    false_negatives = np.sum(~predictions & labels & label_mask, axis=0)
    annotated = np.maximum(label_mask.sum(axis=0), 1)
    step = gamma * epoch * (false_positives - false_negatives) / annotated
    return (np.asarray(thresholds, np.float64) + step).astype(np.float32)


def exact(thresholds, labels, scores, label_mask, epoch, *, balanced: bool = False) -> np.ndarray:
    """Returns the cut of each attribute that maximises its validation accuracy.

    With `balanced`, balanced accuracy; an attribute of which the validation set shows one class
    alone then keeps its threshold, as does one without annotations in either case.
    """
    labels, label_mask = np.asarray(labels) > 0.5, np.asarray(label_mask) > 0.5
    best = np.array(thresholds, np.float32)
    for j in range(best.size):
        annotated = label_mask[:, j]
        classes = np.unique(labels[annotated, j])
        if classes.size > int(balanced):
            best[j] = best_cut(labels[annotated, j], np.asarray(scores)[annotated, j], balanced)
    return best


def calibrated(
    thresholds, labels, scores, label_mask, epoch, *, balanced: bool = False
) -> np.ndarray:
    """Returns the score of each attribute at which its calibrated probability is 0.5.

    It is `exact` with two numbers an attribute to be found in place of the best of many cuts, and
    so holds better on other pictures. With `balanced` it is the score that is as likely among
    pictures that show the attribute as among those that do not. Attributes as for `exact` keep
    their thresholds.
    """
    cuts = fit_calibration(labels, scores, label_mask)
    shown, count = count_shown(labels, label_mask)
    found = (shown > 0) & (shown < count) if balanced else count > 0
    share = np.where(found & balanced, shown / np.maximum(count, 1), 0.5)
    return np.where(found, cuts.cuts(share), np.asarray(thresholds, np.float32))


def shifted(
    labels: np.ndarray,
    scores: np.ndarray,
    label_mask: np.ndarray,
    judged_scores: np.ndarray,
    frequencies: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the thresholds for pictures among which attributes are more or less frequent.

    Calibrated probabilities are changed as Bayes' rule has it where the pictures that show an
    attribute stay what they are, and there are more or fewer of them.

    Args:
        labels: [V, A] in {0, 1}, of a split with labels.
        scores: [V, A], of the same pictures.
        label_mask: [V, A], 1 where the label counts.
        judged_scores: [N, A], of the pictures that the thresholds are for.
        frequencies: [A] in (0, 1), the shares of them that show each attribute; where NaN they are
            estimated from the scores by expectation maximisation, or, for an attribute of which the
            labels show one class alone, left as they were.

    Returns:
        The thresholds, float32 [A], and the frequencies taken, [A].

    Reference:
        Saerens et al., Adjusting the outputs of a classifier to new a priori probabilities (2002).
    """
    calibration = fit_calibration(labels, scores, label_mask)
    shown, count = count_shown(labels, label_mask)
    before = (shown + 0.5) / (count + 1)  # never 0 or 1
    probabilities = np.asarray(calibration.probabilities(np.float32(judged_scores)), np.float64)
    after = before
    for _ in range(_EM_STEPS):
        more = probabilities * after / before
        fewer = (1 - probabilities) * (1 - after) / (1 - before)
        after = np.clip(np.mean(more / (more + fewer), axis=0), _RAREST, 1 - _RAREST)
    after = np.where((shown > 0) & (shown < count), after, before)
    after = np.where(np.isnan(frequencies), after, frequencies)
    odds = logit(before) - logit(after)
    return calibration.cuts(1 / (1 + np.exp(-odds))), after


def best_cut(labels: np.ndarray, scores: np.ndarray, balanced: bool = False) -> np.float32:
    """Returns the best cut of one attribute, found by one sort.

    Candidates are the midpoints between neighbouring different scores, one cut beyond either end,
    and 0. Of equally good cuts the one nearest 0 is taken.

    Args:
        labels: bool [V].
        scores: float32 [V].
        balanced: maximise (TPR + TNR) / 2 instead of accuracy; needs both classes.
    """
    order = np.argsort(scores, kind="stable")
    scores, labels = np.asarray(scores, np.float32)[order], labels[order]
    # Cut k puts the k lowest scores below it.
    true_negatives = np.concatenate([[0], np.cumsum(~labels)])
    true_positives = labels.sum() - np.concatenate([[0], np.cumsum(labels)])
    if balanced:
        quality = true_negatives * labels.sum() + true_positives * (~labels).sum()
    else:
        quality = true_negatives + true_positives

    lower, upper = scores[:-1], scores[1:]
    midpoints = ((lower.astype(np.float64) + upper) / 2).astype(np.float32)
    midpoints = np.where(midpoints < upper, midpoints, lower)  # rounding must not reach the upper
    # A margin may be less than the distance to the next number.
    below = np.minimum(scores[0] - _MARGIN, np.nextafter(scores[0], np.float32(-np.inf)))
    cuts = np.concatenate([[below], midpoints, [scores[-1] + _MARGIN], [0]])
    possible = np.concatenate([[True], lower < upper, [True, True]])
    quality = np.append(quality, quality[np.searchsorted(scores, 0, side="right")])
    cuts, quality = cuts[possible], quality[possible]
    cuts = cuts[quality == quality.max()]
    return np.float32(cuts[np.argmin(np.abs(cuts))])
