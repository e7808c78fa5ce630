import numpy as np
import pytest

from tfac.errors import ConfigError
from tfac.models import BACKBONES, create_backbone, create_model, load_backbone_weights

IMAGES = np.random.default_rng(0).normal(size=(1, 64, 64, 3)).astype(np.float32)


@pytest.mark.parametrize(
    ("name", "channels"), [("resnet18", 512), ("resnet34", 512), ("resnet50", 2048), ("vgg16", 512)]
)
@pytest.mark.slow
def test_last_map_has_stride_32(name, channels):
    assert name in BACKBONES
    assert create_backbone(name)(IMAGES).shape == (1, 2, 2, channels)


@pytest.mark.parametrize(("output_stride", "side"), [(8, 8), (16, 4), (32, 2)])
def test_output_stride_changes_the_map_and_not_the_weights(output_stride, side):
    backbone = create_backbone("resnet18", output_stride)
    assert backbone(IMAGES).shape == (1, side, side, 512)
    assert backbone.count_params() == 11_186_112


def test_weights_from_a_local_file(tmp_path):
    source, target = create_backbone("resnet18"), create_backbone("resnet18", output_stride=16)
    source.save_weights(tmp_path / "backbone.weights.h5")
    load_backbone_weights(target, str(tmp_path / "backbone.weights.h5"))
    for loaded, saved in zip(target.get_weights(), source.get_weights(), strict=True):
        np.testing.assert_array_equal(loaded, saved)


def test_weights_from_a_local_preset(tmp_path):
    source, target = create_backbone("resnet18"), create_backbone("resnet18")
    source.save_to_preset(str(tmp_path / "preset"))
    load_backbone_weights(target, str(tmp_path / "preset"))
    np.testing.assert_array_equal(target.get_weights()[0], source.get_weights()[0])


def test_weights_of_another_backbone_are_refused(tmp_path):
    create_backbone("resnet34").save_weights(tmp_path / "backbone.weights.h5")
    with pytest.raises(ConfigError, match="does not hold weights for resnet18"):
        load_backbone_weights(create_backbone("resnet18"), str(tmp_path / "backbone.weights.h5"))


def test_missing_weights_are_refused():
    with pytest.raises(ConfigError, match="backbone_weights: expected imagenet"):
        create_model("baseline", backbone="resnet18", backbone_weights="nowhere.weights.h5")


@pytest.mark.parametrize(
    ("name", "output_stride", "message"),
    [("alexnet", 32, "backbone: expected"), ("resnet18", 4, "output_stride"), ("vgg16", 16, "32")],
)
def test_unknown_backbones_and_strides_are_refused(name, output_stride, message):
    with pytest.raises(ConfigError, match=message):
        create_backbone(name, output_stride)
