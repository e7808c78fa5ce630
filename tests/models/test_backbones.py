import keras_hub
import numpy as np
import pytest

from tests.models.model_checks import random_images
from tfac.errors import ConfigError
from tfac.models import (
    create_backbone,
    create_feature_extractor,
    create_model,
    load_backbone_weights,
)
from tfac.networks import BACKBONES

IMAGES = np.random.default_rng(0).normal(size=(1, 64, 64, 3)).astype(np.float32)


@pytest.mark.parametrize(
    ("name", "channels"),
    [("resnet18", 512), ("resnet34", 512), ("resnet50", 2048), ("vgg16", 512), ("alexnet", 256)],
)
@pytest.mark.slow
def test_last_map_has_stride_32(name, channels):
    assert name in BACKBONES
    assert create_backbone(name)(IMAGES).shape == (1, 2, 2, channels)


@pytest.mark.parametrize(
    ("name", "output_stride", "policy", "expected"),
    [
        ("resnet18", 32, "float32", {"P3": (8, 8, 128), "P4": (4, 4, 256), "P5": (2, 2, 512)}),
        (
            "resnet18",
            16,
            "mixed_bfloat16",
            {"P3": (8, 8, 128), "P4": (4, 4, 256), "P5": (4, 4, 512)},
        ),
        ("resnet18", 8, "float32", {"P3": (8, 8, 128), "P4": (8, 8, 256), "P5": (8, 8, 512)}),
        ("vgg16", 32, "float32", {"P3": (8, 8, 256), "P4": (4, 4, 512), "P5": (2, 2, 512)}),
        (
            "alexnet",
            32,
            "mixed_bfloat16",
            {"P3": (4, 4, 384), "P4": (4, 4, 256), "P5": (2, 2, 256)},
        ),
        ("dlib_resnet29", 32, "float32", {"P3": (7, 7, 64), "P4": (3, 3, 128), "P5": (1, 1, 512)}),
    ],
)
def test_levels_end_the_backbones_blocks(name, output_stride, policy, expected):
    backbone = create_backbone(name, output_stride, dtype=policy)
    extractor = create_feature_extractor(backbone)
    feature_maps = extractor(IMAGES)
    assert {level: tuple(m.shape[1:]) for level, m in feature_maps.items()} == expected
    np.testing.assert_array_equal(
        np.array(feature_maps["P5"], np.float32), np.array(backbone(IMAGES), np.float32)
    )
    assert [id(v) for v in extractor.variables] == [id(v) for v in backbone.variables]
    assert name != "resnet18" or backbone.count_params() == 11_186_112  # whatever the stride


def test_alexnet_has_the_weights_of_the_single_tower_layout():
    # torchvision's alexnet().features has as many: its layout is that of "One weird trick", 2014.
    assert create_backbone("alexnet").count_params() == 2_469_696


@pytest.mark.parametrize(
    ("name", "size", "last"),
    [
        ("alexnet", (224, 224), (7, 7, 256)),
        ("alexnet", (33, 70), (2, 3, 256)),
        ("alexnet", (1, 1), (1, 1, 256)),
        ("dlib_resnet29", (150, 150), (4, 4, 512)),
        ("dlib_resnet29", (137, 112), (4, 3, 512)),
        ("dlib_resnet29", (16, 31), (1, 1, 512)),
    ],
)
def test_every_size_has_a_last_map_of_stride_32(name, size, last):
    images = np.random.default_rng(0).normal(size=(1, *size, 3)).astype(np.float32)
    feature_map = np.array(create_backbone(name)(images))
    assert feature_map.shape == (1, *last)
    assert np.all(feature_map >= 0) and np.any(feature_map > 0)


@pytest.mark.parametrize("name", ["alexnet", "dlib_resnet29"])
@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_layers_follow_the_dtype_policy(name, policy):
    model = create_model("baseline", backbone=name, dtype=policy)
    images = random_images(2, 64, 64)
    feature_map = model.backbone(model.normalization(images))
    assert feature_map.dtype == policy.removeprefix("mixed_")
    assert np.all(np.isfinite(model(images)["scores"]))
    assert all(variable.dtype == "float32" for variable in model.trainable_variables)


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
    with pytest.raises(ConfigError, match="backbone_weights: expected dlib, imagenet"):
        create_model("baseline", backbone="resnet18", backbone_weights="nowhere.weights.h5")


def test_imagenet_weights_that_nobody_publishes_are_refused():
    with pytest.raises(ConfigError, match="no ImageNet weights for resnet34, only for resnet18"):
        create_model("baseline", backbone="resnet34", backbone_weights="imagenet")


def test_presets_are_those_that_kerashub_publishes():
    published = keras_hub.models.Backbone.presets
    assert {spec.preset for spec in BACKBONES.values()} - {None} <= set(published)


def test_preset_of_another_class_is_refused(tmp_path):
    vgg = keras_hub.models.VGGBackbone(
        stackwise_num_repeats=[1], stackwise_num_filters=[4], image_shape=(None, None, 3)
    )
    vgg.save_to_preset(str(tmp_path / "preset"))
    with pytest.raises(ConfigError, match="does not hold weights for resnet18"):
        load_backbone_weights(create_backbone("resnet18"), str(tmp_path / "preset"))


def test_weights_that_cannot_be_downloaded_are_not_called_wrong(monkeypatch):
    def fail(preset):
        raise OSError(f"no route to {preset}")

    monkeypatch.setattr(keras_hub.models.Backbone, "from_preset", fail)
    with pytest.raises(ConfigError, match="could not be downloaded .*no route to resnet_18"):
        load_backbone_weights(create_backbone("resnet18"), "imagenet")


@pytest.mark.parametrize(
    ("name", "output_stride", "message"),
    [
        ("lenet", 32, "backbone: expected"),
        ("resnet18", 4, "output_stride"),
        ("vgg16", 16, "32"),
        ("alexnet", 16, "32"),
        ("dlib_resnet29", 16, "32"),
    ],
)
def test_unknown_backbones_and_strides_are_refused(name, output_stride, message):
    with pytest.raises(ConfigError, match=message):
        create_backbone(name, output_stride)
