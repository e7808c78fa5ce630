import numpy as np
import pytest

from tests.layers.layer_checks import run_layer_test
from tfac.layers import GraphCorrelation


def random_features(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def graph_by_loops(layer, group_features):
    """Eq. 2, one receiving group, one sending group and one channel after another."""
    transfer, edge = np.array(layer.transfer), np.array(layer.edge)
    batch, groups, channels = group_features.shape
    graph_features, affinity = np.zeros(group_features.shape), np.zeros((batch, groups, groups))
    for picture in range(batch):
        for i in range(groups):
            others = [j for j in range(groups) if j != i]
            messages, exponentials = {}, {}
            for j in others:
                message = np.zeros(channels)
                for output in range(channels):
                    for channel in range(channels):
                        message[output] += (
                            transfer[i, channel, output] * group_features[picture, j, channel]
                        )
                raw = 0.0
                for output in range(channels):
                    raw += edge[i, output] * max(message[output], 0.0)
                messages[j], exponentials[j] = message, np.exp(raw)
            total = sum(exponentials.values())
            for j in others:
                affinity[picture, i, j] = exponentials[j] / total
            for channel in range(channels):
                received = sum(affinity[picture, i, j] * messages[j][channel] for j in others)
                own = group_features[picture, i, channel]
                mixed = (1 - layer.alpha) * own + layer.alpha * received
                graph_features[picture, i, channel] = max(mixed, 0.0)
    return graph_features, affinity


@pytest.mark.parametrize("groups", [2, 5])
@pytest.mark.parametrize("alpha", [0.5, 0.0, 1.0])
def test_equals_plain_loops(groups, alpha):
    group_features = random_features(3, groups, 4)
    layer = GraphCorrelation(alpha)
    graph_features, affinity = layer(group_features)
    expected_features, expected_affinity = graph_by_loops(layer, group_features)
    np.testing.assert_allclose(graph_features, expected_features, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(affinity, expected_affinity, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("policy", ["float32", "mixed_float16", "mixed_bfloat16"])
@pytest.mark.parametrize("scale", [0.0, 1.0, 100.0])
def test_affinity_rows_sum_to_1_and_no_group_hears_itself(policy, scale):
    group_features = scale * random_features(3, 6, 5)
    graph_features, affinity = GraphCorrelation(dtype=policy)(group_features)
    affinity = np.array(affinity, np.float32)
    np.testing.assert_allclose(affinity.sum(axis=-1), 1, atol=1e-2 if policy != "float32" else 1e-5)
    np.testing.assert_array_equal(affinity[:, range(6), range(6)], 0)
    assert np.all(np.isfinite(np.array(graph_features, np.float32)))


def test_each_transfer_matrix_starts_in_glorots_range():
    layer = GraphCorrelation()
    layer.build((None, 8, 64))
    limit = np.sqrt(6 / (64 + 64))
    largest = np.abs(layer.transfer).max(axis=(1, 2))
    assert np.all(largest <= limit) and np.all(largest > 0.95 * limit)


def test_layer_contract():
    expected = ((8, 4, 5), (8, 4, 4))
    run_layer_test(GraphCorrelation, {"alpha": 0.3}, random_features(8, 4, 5), expected)


@pytest.mark.parametrize("alpha", [-0.1, 1.1])
def test_bad_alpha_is_refused(alpha):
    with pytest.raises(ValueError, match="alpha: expected a number from 0 to 1"):
        GraphCorrelation(alpha)


@pytest.mark.parametrize("shape", [(2, 1, 4), (2, 4), (2, 3, 4, 5)])
def test_input_without_two_groups_is_refused(shape):
    with pytest.raises(ValueError, match="two groups or more"):
        GraphCorrelation()(np.zeros(shape, np.float32))
