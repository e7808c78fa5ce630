import numpy as np
import pytest
import tensorflow as tf

from tests.layers.test_spatial_pyramid_pooling import pool_by_loops
from tests.models.model_checks import random_images, run_model_test
from tfac.attributes import ATTRIBUTES, PS_MCNN_GROUPS
from tfac.models import PSMCNN, create_model


@pytest.fixture(scope="module")
def model():
    return create_model("ps_mcnn")


def dense_by_matrices(layer, feature_map):
    features = pool_by_loops(feature_map, (2,))
    weights = layer.get_weights()
    for i in (0, 2):
        features = np.maximum(features @ weights[i] + weights[i + 1], 0.0)
    return features


def scores_by_loops(model, images):
    """The levels one by one, what each network reads put together channel by channel."""
    images = np.array(model.normalization(images))
    maps = {name: images for name in (*PS_MCNN_GROUPS, "shared")}
    for level in range(1, 6):
        inputs = dict(maps)
        if level > 1:
            shared = maps["shared"]
            for name in PS_MCNN_GROUPS:
                inputs[name] = np.concatenate([maps[name], shared], axis=-1)
            parts = [maps[name][..., i] for name in PS_MCNN_GROUPS for i in range(32)]
            parts += [shared[..., i] for i in range(shared.shape[-1])]
            inputs["shared"] = np.stack(parts, axis=-1)
        blocks = {name: model.task_blocks[f"{name}_conv{level}"] for name in PS_MCNN_GROUPS}
        blocks["shared"] = model.shared_blocks[level - 1]
        maps = {name: np.array(block(inputs[name])) for name, block in blocks.items()}
    shared = dense_by_matrices(model.shared_dense, maps["shared"])
    kernel, bias = model.head.get_weights()
    scores = np.zeros((len(images), len(model.attributes)))
    for column, attribute in enumerate(model.attributes):
        for dense, (name, members) in zip(model.task_dense, PS_MCNN_GROUPS.items(), strict=True):
            if attribute in members:
                task = dense_by_matrices(dense, maps[name])
                features = np.concatenate([task, shared], axis=-1)
                scores[:, column] = features @ kernel[column] + bias[column]
    return scores


def test_network_contract(tmp_path):
    attributes = (*PS_MCNN_GROUPS["upper"][:6], *PS_MCNN_GROUPS["middle"][:5])
    run_model_test(PSMCNN, {"attributes": attributes}, tmp_path, heads=(attributes,))


def test_scores_equal_plain_loops_over_levels_and_attributes(model):
    images = random_images(2, 33, 47)
    np.testing.assert_allclose(
        model(images)["scores"], scores_by_loops(model, images), rtol=1e-3, atol=1e-4
    )


def test_number_of_weights(model):
    # Products of the widths in the class docstring: 3x3 kernels with 4 numbers a channel for their
    # normalisation, then fully connected layers and classifiers.
    def chain(widths, read):
        channels = [3, *(width + extra for width, extra in zip(widths, read, strict=False))]
        return sum(
            9 * before * after + 4 * after for before, after in zip(channels, widths, strict=True)
        )

    task, shared = (32, 64, 128, 128, 128), (32, 64, 64, 64, 64)
    convolutions = 4 * chain(task, shared[:-1]) + chain(shared, (4 * 32,) * 4)
    dense = 4 * (4 * 128 + 1) * 512 + (4 * 64 + 1) * 512 + 5 * (512 + 1) * 512
    expected = convolutions + dense + 40 * (1024 + 1)
    assert model.count_params() == expected == 5_480_328


def test_a_group_reads_the_others_through_the_shared_network_alone(model):
    """Nothing of the upper network's last level reaches the mouth's score; its first level does."""
    images = random_images(1, 64, 64)
    column = ATTRIBUTES.index("Mouth_Slightly_Open")
    kernels = {
        level: model.task_blocks[f"upper_conv{level}"].convolution.kernel for level in (1, 4, 5)
    }
    with tf.GradientTape() as tape:
        score = model(images)["scores"][0, column]
    gradients = tape.gradient(score, {level: kernel.value for level, kernel in kernels.items()})
    assert np.any(np.array(gradients[1]) != 0)
    assert np.any(np.array(gradients[4])[..., :32] != 0)
    np.testing.assert_array_equal(np.array(gradients[4])[..., 32:], 0)
    np.testing.assert_array_equal(tf.convert_to_tensor(gradients[5]), 0)


def test_groups_without_an_answered_attribute_have_no_network():
    model = PSMCNN(attributes=("Young", "Bald"))
    assert model.group_names == ("upper", "whole")
    assert len(model.task_blocks) == 10
