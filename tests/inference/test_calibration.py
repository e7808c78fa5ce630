import numpy as np
import pytest

from tfac.inference.calibration import Calibration, fit_calibration, logit


@pytest.fixture
def split():
    """Scores with probabilities sigmoid(slope * score + intercept); some labels are unknown."""
    random = np.random.default_rng(0)
    scores = random.normal(size=(20_000, 3)).astype(np.float32) * [1, 4, 0.3]
    shown = 1 / (1 + np.exp(-(scores * [1, 0.5, 5] + [0, -3, 1])))
    labels = (random.uniform(size=shown.shape) < shown).astype(np.float32)
    mask = (random.uniform(size=shown.shape) < 0.8).astype(np.float32)
    return labels, scores, mask


def test_what_made_the_labels_is_found(split):
    found = fit_calibration(*split)
    np.testing.assert_allclose(found.slope, [1, 0.5, 5], rtol=0.1)
    np.testing.assert_allclose(found.intercept, [0, -3, 1], atol=0.15)
    assert found.slope.dtype == found.intercept.dtype == np.float32


def test_no_change_of_slope_or_intercept_makes_the_labels_likelier(split):
    labels, scores, mask = split

    def worse(attribute, slope, intercept):
        loss = ((slope - 1) ** 2 + intercept**2) / 2
        for label, score, counts in zip(*(each[:300, attribute] for each in split), strict=True):
            if counts:
                loss += np.logaddexp(0, (1 - 2 * label) * (slope * score + intercept))
        return loss

    found = fit_calibration(labels[:300], scores[:300], mask[:300])
    for a, (slope, intercept) in enumerate(zip(found.slope, found.intercept, strict=True)):
        least = worse(a, slope, intercept)
        for step in (-0.02, 0.02):
            assert worse(a, slope + step, intercept) > least < worse(a, slope, intercept + step)


def test_without_labels_the_score_is_a_logit_and_one_class_alone_stays_finite():
    scores = np.array([[3.0, -2.0], [1.0, 900.0]])
    found = fit_calibration(np.array([[1, 1], [0, 1]]), scores, np.array([[0, 1], [0, 1]]))
    assert (found.slope[0], found.intercept[0]) == (1, 0)
    assert np.isfinite([found.slope, found.intercept]).all() and found.slope.min() > 0


def test_scores_that_say_the_opposite_keep_their_order(split):
    labels, scores, mask = split
    assert fit_calibration(labels, -scores, mask).slope.min() > 0


def test_cuts_have_the_probabilities_asked_for(split):
    found = fit_calibration(*split)
    asked = np.array([0.5, 0.1, 0.9], np.float32)
    given = np.asarray(found.probabilities(found.cuts(asked)))
    np.testing.assert_allclose(given, asked, rtol=1e-5)
    np.testing.assert_allclose(logit(given), logit(asked), rtol=1e-4, atol=1e-5)


def test_it_is_read_as_it_was_written(split):
    found = fit_calibration(*split)
    again = Calibration.from_dict(found.to_dict(), 3)
    np.testing.assert_array_equal(again.slope, found.slope)
    np.testing.assert_array_equal(again.intercept, found.intercept)
    values = found.to_dict()
    for wrong in ({}, {**values, "slope": [1.0]}, {**values, "slope": [1, 0, 1]}, [1]):
        with pytest.raises(ValueError):
            Calibration.from_dict(wrong, 3)
