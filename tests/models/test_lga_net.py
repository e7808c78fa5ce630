import keras
import numpy as np
import pytest

from tests.layers.test_group_head import head_by_loops
from tests.models.model_checks import create_tiny_backbone, random_images, run_model_test
from tfac.attributes import PART_GROUPS
from tfac.errors import ConfigError
from tfac.models import LGANet, create_model

GROUPS = {"eyes": ("Eyeglasses", "Narrow_Eyes"), "mouth": ("Smiling",), "hat": ("Wearing_Hat",)}
OWN = {"attributes": ("Smiling", "Eyeglasses", "Wearing_Hat"), "part_groups": GROUPS}


@pytest.fixture(scope="module")
def model():
    return create_model("lga_net")


@pytest.mark.parametrize("options", [{}, {"levels": ()}])
def test_network_contract(options, tmp_path):
    arguments = {"backbone": create_tiny_backbone(), "num_landmarks": 4, **options}
    run_model_test(LGANet, arguments, tmp_path, explain=True)


def test_has_fewer_weights_than_dmm_cnn(model):
    assert model.count_params() == 13_685_512
    assert model.count_params() < create_model("dmm_cnn", backbone="resnet18").count_params()


def test_masks_come_on_request(model):
    images = random_images(2, 224, 224)
    outputs = model(images)
    shapes = {name: tuple(value.shape) for name, value in outputs.items()}
    assert shapes == {"scores": (2, 40), "landmarks": (2, 72, 2)}
    explained = model(images, explain=True)
    assert explained.pop("P4_attention_mask").shape == (2, 14, 14, 8)
    assert explained.pop("P5_attention_mask").shape == (2, 7, 7, 8)
    assert set(explained) == set(outputs)
    assert model.group_names == tuple(PART_GROUPS)


@pytest.mark.parametrize("levels", [(), ("P5",), ("P3", "P4", "P5")])
def test_scores_are_the_plain_head_s_and_the_groups_by_loops(levels):
    keras.utils.set_random_seed(0)
    model = create_model(
        "lga_net", backbone=create_tiny_backbone(), levels=levels, num_landmarks=0, **OWN
    )
    rng = np.random.default_rng(1)
    for head in (model.base_head, *model.heads.values()):
        head.bias.assign(rng.normal(size=3))
    images = random_images(2, 48, 70)
    outputs = model(images, explain=True)
    maps = model.feature_extractor(model.normalization(images))
    kernel, bias = model.base_head.get_weights()
    expected = np.zeros((2, 3))
    for picture in range(2):
        for attribute in range(3):
            mean = np.array(maps["P5"])[picture].mean(axis=(0, 1))
            expected[picture, attribute] = mean @ kernel[:, attribute] + bias[attribute]
    for level in levels:
        features = np.array(maps[level])
        mask = np.array(outputs[f"{level}_attention_mask"])
        pooled = np.zeros((2, 3, features.shape[-1]))
        for picture in range(2):
            for group in range(3):
                masked = features[picture] * mask[picture, :, :, group, None]
                pooled[picture, group] = masked.mean(axis=(0, 1))
        expected += head_by_loops(model.heads[level], pooled)
    np.testing.assert_allclose(outputs["scores"], expected, rtol=1e-4, atol=1e-5)
    assert len(outputs) == 1 + len(levels)


def test_every_landmark_starts_in_the_middle_of_the_picture(model):
    landmarks = np.array(model(random_images(4, 64, 64), training=True)["landmarks"])
    assert np.abs(landmarks - 0.5).max() < 0.2


@pytest.mark.parametrize("levels", [("P2",), ("P4", "P4")])
def test_impossible_levels_are_refused(levels):
    with pytest.raises(ConfigError, match="levels: expected one or more of P3, P4, P5.*each once"):
        LGANet(levels=levels)
