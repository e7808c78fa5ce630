import numpy as np
import pytest

from tests.layers.layer_checks import run_layer_test
from tfac.layers import GroupAttention


def random_maps(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def randomize(layer, seed=1):
    """Gives every weight, the moving statistics included, a random positive or signed value."""
    rng = np.random.default_rng(seed)
    for variable in layer.variables:
        positive = "variance" in variable.name or "gamma" in variable.name
        value = (
            rng.uniform(0.5, 1.5, variable.shape) if positive else rng.normal(size=variable.shape)
        )
        variable.assign(value.astype(np.float32))


def normalise(values, layer, training):
    gamma, beta, mean, variance = (np.array(weight) for weight in layer.get_weights())
    if training:
        mean, variance = values.mean(axis=(0, 1, 2)), values.var(axis=(0, 1, 2))
    return gamma * (values - mean) / np.sqrt(variance + 1e-5) + beta


def attention_by_loops(layer, feature_maps, training):
    """Eq. 1, group by group and position by position."""
    batch, height, width, channels = feature_maps.shape
    groups, depth = layer.num_groups, layer.width
    kernel = np.array(layer.convolution.kernel)  # [3, 3, C, G * D]
    projection = np.array(layer.projection)
    hidden = np.zeros((batch, height, width, groups * depth))
    for picture in range(batch):
        for y in range(height):
            for x in range(width):
                for unit in range(groups * depth):
                    for dy in (-1, 0, 1):
                        for dx in (-1, 0, 1):
                            if 0 <= y + dy < height and 0 <= x + dx < width:
                                for channel in range(channels):
                                    hidden[picture, y, x, unit] += (
                                        feature_maps[picture, y + dy, x + dx, channel]
                                        * kernel[dy + 1, dx + 1, channel, unit]
                                    )
    hidden = np.maximum(normalise(hidden, layer.normalization, training), 0)
    mask = np.zeros((batch, height, width, groups))
    for group in range(groups):
        for unit in range(depth):
            mask[..., group] += hidden[..., group * depth + unit] * projection[group, unit]
    mask = normalise(mask, layer.mask_normalization, training)
    mask = np.maximum(mask, 0)
    features = np.zeros((batch, groups, channels))
    for picture in range(batch):
        for group in range(groups):
            for channel in range(channels):
                for y in range(height):
                    for x in range(width):
                        features[picture, group, channel] += (
                            feature_maps[picture, y, x, channel] * mask[picture, y, x, group]
                        )
    return features / (height * width), mask


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("size", [(3, 4), (1, 1)])
def test_equals_plain_loops(size, training):
    feature_maps = random_maps(3, *size, 4)
    layer = GroupAttention(num_groups=3, width=2)
    layer.build(feature_maps.shape)
    randomize(layer)
    expected = attention_by_loops(layer, feature_maps, training)
    for value, reference in zip(layer(feature_maps, training=training), expected, strict=True):
        np.testing.assert_allclose(value, reference, rtol=1e-4, atol=1e-5)


def test_layer_contract():
    arguments = {"num_groups": 3, "width": 4}
    run_layer_test(GroupAttention, arguments, random_maps(2, 4, 5, 6), ((2, 3, 6), (2, 4, 5, 3)))


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_the_mean_of_a_large_map_does_not_overflow(policy):
    feature_maps = np.full((1, 64, 64, 2), 100.0, np.float32)  # their sum is above float16's range
    layer = GroupAttention(num_groups=2, width=4, dtype=policy)
    layer.build(feature_maps.shape)
    layer.projection.assign(np.zeros((2, 4)))
    layer.mask_normalization.beta.assign([1.0, 0.5])  # the masks, everywhere
    features, mask = layer(feature_maps)
    assert features.dtype == mask.dtype == layer.compute_dtype
    expected = 100 * np.array(mask, np.float32).mean(axis=(1, 2))[..., None]
    np.testing.assert_allclose(np.array(features, np.float32), expected.repeat(2, -1), rtol=1e-2)


@pytest.mark.parametrize(
    "arguments",
    [
        {"num_groups": 0},
        {"num_groups": 2, "width": 0},
    ],
)
def test_bad_arguments_are_refused(arguments):
    with pytest.raises(ValueError, match=f"{list(arguments)[-1]}.*expected"):
        GroupAttention(**arguments)


def test_input_of_wrong_rank_is_refused():
    with pytest.raises(ValueError, match="expected feature maps"):
        GroupAttention(2)(np.zeros((2, 5, 3), np.float32))
