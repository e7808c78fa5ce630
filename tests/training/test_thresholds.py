import numpy as np
import pytest

from tfac.errors import ConfigError
from tfac.training.config import TrainConfig
from tfac.training.thresholds import adaptive, best_cut, exact, get_threshold_rule, shifted


@pytest.fixture
def split():
    rng = np.random.default_rng(5)
    labels = (rng.uniform(size=(60, 4)) < [0.5, 0.1, 0.9, 0.3]).astype(np.float32)
    scores = (rng.normal(size=(60, 4)) + 1.5 * labels).astype(np.float32)
    scores[:, 3] = np.round(scores[:, 3])  # many equal scores
    label_mask = (rng.uniform(size=(60, 4)) < 0.8).astype(np.float32)
    return labels, scores, label_mask


def test_eq_6_equals_plain_loops(split):
    labels, scores, label_mask = split
    thresholds = np.array([0.0, 0.3, -0.2, 0.1], np.float32)
    expected = []
    for j in range(4):
        false_positives = false_negatives = annotated = 0
        for i in range(60):
            if label_mask[i, j]:
                annotated += 1
                predicted = scores[i, j] > thresholds[j]
                false_positives += predicted and not labels[i, j]
                false_negatives += not predicted and labels[i, j]
        step = 0.01 * 3 * (false_positives - false_negatives) / annotated
        expected.append(thresholds[j] + step)
    updated = adaptive(thresholds, labels, scores, label_mask, 3, gamma=0.01)
    assert updated.dtype == np.float32
    np.testing.assert_allclose(updated, expected, rtol=1e-6)


def test_an_attribute_without_annotations_keeps_its_threshold(split):
    labels, scores, label_mask = split
    label_mask[:, 1] = 0
    thresholds = np.full(4, 0.25, np.float32)
    for name in ("adaptive", "exact", "exact_balanced", "calibrated", "calibrated_balanced"):
        assert get_threshold_rule(name)(thresholds, labels, scores, label_mask, 1)[1] == 0.25


def quality(labels, scores, cut, balanced):
    right = {True: 0, False: 0}
    for label, score in zip(labels, scores, strict=True):
        right[bool(label)] += (score > cut) == bool(label)
    if balanced:
        return (right[True] / labels.sum() + right[False] / (1 - labels).sum()) / 2
    return (right[True] + right[False]) / len(labels)


@pytest.mark.parametrize("balanced", [False, True])
def test_exact_cut_is_the_best_of_all_candidates(split, balanced):
    labels, scores, label_mask = split
    cuts = exact(np.zeros(4), labels, scores, label_mask, 1, balanced=balanced)
    for j in range(4):
        kept = label_mask[:, j] > 0
        y, s = labels[kept, j], scores[kept, j]
        values = sorted(set(s.tolist()))
        candidates = [values[0] - 1, values[-1] + 1]
        candidates += [(a + b) / 2 for a, b in zip(values[:-1], values[1:], strict=True)]
        best = max(quality(y, s, cut, balanced) for cut in candidates)
        assert quality(y, s, cuts[j], balanced) == pytest.approx(best)


def test_cut_is_the_midpoint_between_two_separate_classes():
    assert best_cut(np.array([False, True, False, True]), np.array([-3, 1, -1, 2])) == 0
    assert best_cut(np.array([True, True]), np.array([5.0, 6.0])) < 5
    assert best_cut(np.array([False, False]), np.array([5.0, 6.0])) > 6


def test_neighbouring_floats_are_still_separated():
    low = np.float32(1.0)
    high = np.nextafter(low, np.float32(2))
    cut = best_cut(np.array([False, True]), np.array([low, high]))
    assert not low > cut and high > cut


def test_balanced_cut_of_a_single_class_attribute_is_left_alone():
    labels, scores = np.ones((5, 1)), np.arange(5.0)[:, None]
    rule = get_threshold_rule("exact_balanced")
    assert rule(np.array([0.7]), labels, scores, np.ones((5, 1)), 1) == np.float32(0.7)


def test_scores_of_any_size_are_cut():
    cut = best_cut(np.array([False, True]), np.array([-1e9, 1e9], np.float32))
    assert cut == 0


@pytest.mark.parametrize("scale", [1, 2**24, 2**30])
@pytest.mark.parametrize("shown", [True, False])
def test_all_pictures_fall_on_one_side_whatever_the_size_of_scores(scale, shown):
    scores = np.array([3, 4, 5], np.float32) * scale
    cut = best_cut(np.full(3, shown), scores)
    assert ((scores > cut) == shown).all()


def test_zero_is_taken_where_it_is_as_good():
    assert best_cut(np.array([False, False]), np.array([-36.0, -40.0])) == 0
    assert best_cut(np.array([False, True]), np.array([-1.0, 2.0])) == 0
    assert best_cut(np.array([False, True, False]), np.array([-9.0, -5.0, 3.0])) != 0


def gaussian_split(count, frequency, seed=0):
    """Scores with known best cuts, normal around -1 and 1, and an attribute of one class."""
    random = np.random.default_rng(seed)
    labels = (random.uniform(size=(count, 2)) < [frequency, 0]).astype(np.float32)
    return labels, random.normal(2 * labels - 1).astype(np.float32), np.ones_like(labels)


def test_calibrated_thresholds_are_where_the_truth_is():
    split = gaussian_split(50_000, 0.2)
    cuts = get_threshold_rule("calibrated")(np.zeros(2), *split, 1)
    assert cuts[0] == pytest.approx(np.log(0.8 / 0.2) / 2, abs=0.03)
    cuts = get_threshold_rule("calibrated_balanced")(np.full(2, 0.25), *split, 1)
    assert cuts[0] == pytest.approx(0, abs=0.03) and cuts[1] == 0.25


def test_calibrated_thresholds_hold_better_on_other_pictures_than_exact_ones():
    other = gaussian_split(50_000, 0.2, seed=99)[:2]
    right = {"exact": [], "calibrated": []}
    for seed in range(20):
        split = gaussian_split(100, 0.2, seed)
        for name in right:
            cuts = get_threshold_rule(name)(np.zeros(2), *split, 1)
            right[name].append(((other[1] > cuts) == (other[0] > 0.5))[:, 0].mean())
    assert np.mean(right["calibrated"]) > np.mean(right["exact"]) + 0.005


@pytest.mark.parametrize("known", [True, False])
def test_thresholds_follow_a_change_of_frequency(known):
    split, judged = gaussian_split(20_000, 0.2), gaussian_split(20_000, 0.6, seed=1)
    frequencies = np.array([0.6 if known else np.nan, np.nan])
    cuts, taken = shifted(*split, judged[1], frequencies)
    assert taken[0] == pytest.approx(0.6, abs=0.02) and 0 < taken[1] < 0.01
    assert cuts[0] == pytest.approx(np.log(0.4 / 0.6) / 2, abs=0.05)
    assert cuts.dtype == np.float32 and np.isfinite(cuts).all()


def test_fixed_thresholds_stay(split):
    thresholds = np.array([0.1, 0.2, 0.3, 0.4], np.float32)
    np.testing.assert_array_equal(get_threshold_rule("fixed")(thresholds, *split, 1), thresholds)


def test_every_rule_of_the_config_exists_and_no_other(split):
    for name in TrainConfig.__dataclass_fields__["thresholds"].metadata["choices"]:
        updated = get_threshold_rule(name)(np.zeros(4), *split, 1)
        assert updated.shape == (4,) and updated.dtype == np.float32
    with pytest.raises(ConfigError, match="Received: nonsense"):
        get_threshold_rule("nonsense")
