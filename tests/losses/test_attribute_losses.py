import numpy as np
import pytest

from tfac.errors import ConfigError
from tfac.losses import ATTRIBUTE_LOSSES, get_attribute_loss


@pytest.mark.parametrize(
    ("label", "score", "expected"),
    [(1, 1.0, 0.0), (0, -1.0, 0.0), (1, -1.0, 4.0), (0, 0.5, 2.25), (1, 0.0, 1.0)],
)
def test_squared_error_maps_labels_to_minus_one_and_one(label, score, expected):
    loss = get_attribute_loss("squared_error").per_element(np.array([[label]]), np.array([[score]]))
    assert float(loss[0, 0]) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("label", "score", "expected"),
    # -log(sigmoid(score)) or -log(1 - sigmoid(score)), computed with Python's math in 64 bits.
    [(1, 0.0, 0.69314718), (0, 2.0, 2.12692801), (1, 2.0, 0.12692801), (1, -30.0, 30.0)],
)
def test_binary_crossentropy_of_logits(label, score, expected):
    loss = get_attribute_loss("binary_crossentropy")
    value = loss.per_element(np.array([[label]], "float32"), np.array([[score]], "float32"))
    assert float(value[0, 0]) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("name", ATTRIBUTE_LOSSES)
def test_extreme_scores_give_finite_losses_and_probabilities(name):
    loss = get_attribute_loss(name)
    scores = np.array([[1e9, -1e9, 0.0]], np.float32)
    for label in (0.0, 1.0):
        assert np.all(np.isfinite(loss.per_element(np.full((1, 3), label, np.float32), scores)))
    np.testing.assert_allclose(loss.probabilities(scores), [[1.0, 0.0, 0.5]])


@pytest.mark.parametrize("name", ATTRIBUTE_LOSSES)
def test_class_weights_multiply_the_loss_of_their_class(name):
    rng = np.random.default_rng(8)
    labels = (rng.uniform(size=(5, 2)) < 0.5).astype(np.float32)
    scores = rng.normal(size=(5, 2)).astype(np.float32)
    class_weights = np.array([[1.0, 3.0], [0.25, 1.0]], np.float32)
    plain = np.asarray(get_attribute_loss(name).per_element(labels, scores))
    loss = get_attribute_loss(name, class_weights)
    weighted = np.asarray(loss.per_element(labels, scores))
    for i in range(5):
        for j in range(2):
            expected = plain[i, j] * class_weights[j, int(labels[i, j])]
            assert weighted[i, j] == pytest.approx(expected, rel=1e-6)
    np.testing.assert_array_equal(
        loss.probabilities(scores), get_attribute_loss(name).probabilities(scores)
    )


def test_unknown_loss_is_refused():
    with pytest.raises(ConfigError, match="attribute_loss: expected one of"):
        get_attribute_loss("hinge")
