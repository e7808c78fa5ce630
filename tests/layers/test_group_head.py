import numpy as np
import pytest

from tests.layers.layer_checks import run_layer_test
from tfac.layers import GroupHead


def head_by_loops(head, group_features):
    """Each attribute's classifier on its group's feature, channel by channel."""
    kernel, bias = (np.array(weight) for weight in head.get_weights())
    scores = np.zeros((len(group_features), len(head.group_indices)))
    for row in range(len(group_features)):
        for attribute, group in enumerate(head.group_indices):
            scores[row, attribute] = bias[attribute]
            for channel in range(group_features.shape[2]):
                feature = group_features[row, group, channel]
                scores[row, attribute] += kernel[attribute, channel] * feature
    return scores


def test_equals_plain_loops():
    group_features = np.random.default_rng(0).normal(size=(3, 4, 5)).astype(np.float32)
    head = GroupHead(group_indices=(2, 0, 2, 3, 1, 0))
    head.build(group_features.shape)
    head.bias.assign(np.arange(6, dtype=np.float32))
    np.testing.assert_allclose(
        head(group_features), head_by_loops(head, group_features), rtol=1e-5, atol=1e-5
    )


def test_float32_scores_of_float16_features():
    head = GroupHead(group_indices=(0, 1), dtype="float32")
    assert head(np.ones((2, 2, 3), np.float16)).dtype == "float32"


def test_layer_contract():
    inputs = np.random.default_rng(0).normal(size=(8, 3, 5)).astype(np.float32)
    run_layer_test(GroupHead, {"group_indices": (0, 1, 1, 2)}, inputs, (8, 4))


@pytest.mark.parametrize("group_indices", [(), (0, -1)])
def test_bad_indices_are_refused(group_indices):
    with pytest.raises(ValueError, match="group_indices: expected indices from 0"):
        GroupHead(group_indices)


@pytest.mark.parametrize(
    ("shape", "message"), [((2, 2, 4), "expected indices below 2"), ((2, 4), "expected group")]
)
def test_input_without_the_groups_is_refused(shape, message):
    with pytest.raises(ValueError, match=message):
        GroupHead((0, 2))(np.zeros(shape, np.float32))
