import numpy as np
import pytest

from tests.layers.test_spatial_pyramid_pooling import pool_by_loops
from tests.models.model_checks import (
    NAMES,
    create_tiny_backbone,
    random_images,
    run_model_test,
)
from tfac.attributes import ATTRIBUTES, SUBJECTIVE_ATTRIBUTES
from tfac.errors import ConfigError
from tfac.models import DMMCNN, create_model


def branch_by_matrices(branch, feature_map):
    """Pooling in loops, then each fully connected layer as a matrix product."""
    features = pool_by_loops(feature_map, branch.levels)
    for layer in branch.hidden:
        if layer.name.startswith("dense"):
            kernel, bias = layer.get_weights()
            features = np.maximum(features @ kernel + bias, 0.0)
    kernel, bias = branch.head.get_weights()
    return features @ kernel + bias


@pytest.fixture(scope="module")
def model():
    return create_model("dmm_cnn", backbone=create_tiny_backbone())


@pytest.mark.parametrize("options", [{}, {"branch_normalization": True, "branch_shortcut": True}])
def test_network_contract(options, tmp_path):
    subjective = tuple(name for name in NAMES if name in SUBJECTIVE_ATTRIBUTES)
    objective = tuple(name for name in NAMES if name not in subjective)
    arguments = {"backbone": create_tiny_backbone(), "num_landmarks": 4}
    arguments |= {"subjective_attributes": subjective, **options}
    run_model_test(DMMCNN, arguments, tmp_path, heads=(objective, subjective))


@pytest.mark.slow
def test_the_printed_network_has_88_7_million_weights():
    model = create_model("dmm_cnn")
    assert model.count_params() == 88_766_584
    assert model.attribute_branches[1].head.kernel.shape == (1024, 18)
    assert model.attribute_branches[1].hidden[0].kernel.shape == (28_672, 2048)
    assert model.attribute_branches[0].head.kernel.shape == (1024, 22)
    assert model.landmark_branch.head.kernel.shape == (1024, 144)


@pytest.mark.parametrize("size", [(33, 47), (96, 41)])
def test_odd_sizes_equal_plain_loops_over_the_feature_map(model, size):
    images = random_images(2, *size)
    outputs = model(images)
    feature_map = np.array(model.backbone(model.normalization(images)))
    objective, subjective = (branch_by_matrices(b, feature_map) for b in model.attribute_branches)
    expected = np.zeros((2, 40))
    names = iter(np.transpose(objective)), iter(np.transpose(subjective))
    for column, name in enumerate(ATTRIBUTES):
        expected[:, column] = next(names[name in SUBJECTIVE_ATTRIBUTES])
    np.testing.assert_allclose(outputs["scores"], expected, rtol=1e-3, atol=1e-4)
    landmarks = branch_by_matrices(model.landmark_branch, feature_map).reshape(2, 72, 2)
    np.testing.assert_allclose(outputs["landmarks"], landmarks, rtol=1e-3, atol=1e-4)


def test_without_grouping_one_branch_answers_all():
    model = DMMCNN(backbone=create_tiny_backbone(), attribute_grouping=False, num_landmarks=0)
    outputs = model(random_images(1, 40, 40))
    assert [branch.name for branch in model.attribute_branches] == ["subjective_branch"]
    assert outputs.keys() == {"scores"} and outputs["scores"].shape == (1, 40)


def test_own_attributes_without_subjective_ones():
    model = DMMCNN(
        backbone=create_tiny_backbone(), attributes=("Freckles", "Scar"), subjective_attributes=()
    )
    assert model(random_images(1, 40, 40))["scores"].shape == (1, 2)


def test_subjective_attribute_that_is_not_answered_is_refused():
    with pytest.raises(ConfigError, match="unknown attribute names.*Young"):
        DMMCNN(
            backbone=create_tiny_backbone(), attributes=("Male",), subjective_attributes=("Young",)
        )
