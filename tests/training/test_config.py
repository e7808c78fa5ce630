import dataclasses
import json

import pytest

from tfac.errors import ConfigError
from tfac.losses import ATTRIBUTE_LOSSES
from tfac.networks import NETWORKS
from tfac.training.config import TrainConfig, parse_image_size


def test_every_option_says_what_it_means():
    for field in dataclasses.fields(TrainConfig):
        assert field.metadata["help"], field.name


def test_choices_are_those_of_the_registries():
    fields = TrainConfig.__dataclass_fields__
    assert set(fields["model"].metadata["choices"]) == set(NETWORKS)
    assert set(fields["attribute_loss"].metadata["choices"]) == set(ATTRIBUTE_LOSSES)


def test_json_gives_back_the_same_config():
    config = TrainConfig(image_size="109x89", gradient_clip_norm=1.0, landmarks=False)
    assert TrainConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_unknown_option_is_named():
    with pytest.raises(ConfigError, match="epoch_count"):
        TrainConfig.from_dict({"epoch_count": 3})
    assert TrainConfig.from_dict({"shift": 0.0, "epochs": 3}) == TrainConfig(epochs=3)
    with pytest.raises(ConfigError, match="unknown training options: shift"):
        TrainConfig.from_dict({"shift": 0.1})  # no longer there


@pytest.mark.parametrize(
    ("value", "expected"),
    [(64, (64, 64)), ("64", (64, 64)), ("109x89", (109, 89)), ([109, 89], (109, 89))],
)
def test_image_size_is_one_side_or_height_and_width(value, expected):
    assert parse_image_size(value) == expected


@pytest.mark.parametrize("value", ["", "a", "64x", "1x2x3", 8, 5000, (64, 0), None])
def test_other_image_sizes_are_refused(value):
    with pytest.raises(ConfigError, match="image_size.*Received"):
        parse_image_size([value] if value is None else value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epochs": 0}, "epochs: expected at least 1. Received: 0"),
        ({"learning_rate": 0.0}, "learning_rate: expected above 0. Received: 0.0"),
        ({"momentum": 1.0}, "momentum: expected at least 0, below 1"),
        ({"learning_rate": float("nan")}, "learning_rate"),
        ({"weighting": "best"}, "expected one of uniform, .* Received: best"),
        ({"xla": 1}, "xla: expected bool. Received: 1"),
        ({"epochs": True}, "epochs: expected int. Received: True"),
        ({"train_split": ""}, "train_split"),
        (
            {"model": "baseline", "branch_shortcut": False},
            "branch_shortcut=False means something to model=dmm_cnn alone. .* model=baseline",
        ),
        ({"model": "dmm_cnn", "graph": False}, "graph=False means something to model=mgg_net"),
        (
            {"model": "mcnn_aux", "backbone": "resnet18"},
            "dmm_cnn and mgg_net and lga_net and baseline",
        ),
        ({"model": "mgg_net", "guidance": 0.5}, "guidance=0.5 means something to model=lga_net"),
        ({"model": "mgg_net", "attention_levels": "none"}, "is model=baseline"),
        ({"model": "lga_net", "attention_levels": "none"}, "guidance must be 0"),
        ({"backbone": "alexnet", "backbone_weights": "imagenet"}, "nobody publishes alexnet"),
        ({"backbone": "resnet34", "backbone_weights": "imagenet"}, "nobody publishes resnet34"),
        ({"model": "mgg_net", "weighting": "gradnorm"}, "last layer that all heads share"),
        ({"weighting": "gradnorm", "strategy": "mirrored"}, "gradients of the whole batch"),
        ({"schedule": "step", "warmup_epochs": 0.0}, "schedule=step and drop_epoch go together"),
        (
            {"schedule": "step", "warmup_epochs": 0.0, "drop_epoch": 15},
            "drop_epoch=15 must be before the last of 15 epochs",
        ),
        (
            {"backbone_weights": "imagenet", "initial_workdir": "runs/a"},
            "initial_workdir brings the backbone's weights too",
        ),
        ({"drop_epoch": 3}, "schedule=step and drop_epoch go together"),
        ({"output_stride": 12}, "expected 8 or 16 or 32 with backbone=.*Received: 12"),
        ({"backbone": "vgg16", "output_stride": 16}, "output_stride: .*32.* with backbone=vgg16"),
        ({"backbone": "resnet1"}, "expected one of resnet18, .*.keras file.*Received: resnet1"),
        ({"backbone": "a.keras", "output_stride": 16}, "output_stride: .*32.* backbone=a.keras"),
        ({"backbone": "a.keras", "backbone_weights": "imagenet"}, "in a .weights.h5 file"),
        ({"backbone": "./a", "backbone_weights": "dlib"}, "weights"),
        ({"warmup_epochs": 1, "schedule": "plateau"}, "needs schedule=cosine"),
        ({"warmup_epochs": 9, "epochs": 5, "schedule": "cosine"}, "fewer than the 5 epochs"),
        ({"num_devices": 2}, "needs strategy=mirrored"),
        ({"strategy": "mirrored", "xla": True}, "xla"),
        ({"strategy": "mirrored", "num_devices": 3}, "does not divide evenly"),
    ],
)
def test_impossible_options_are_refused_with_the_reason(options, message):
    with pytest.raises(ConfigError, match=message):
        TrainConfig(**options)


def test_empty_backbone_weights_mean_random_ones():
    assert TrainConfig(backbone_weights="").backbone_weights is None


@pytest.mark.parametrize("backbone", ["a.keras", "./preset", "/data/presets/a"])
def test_backbone_of_ones_own_is_a_path_and_brings_its_weights(backbone):
    config = TrainConfig(model="baseline", backbone=backbone, freeze=True)
    assert config.has_own_backbone
    assert TrainConfig(backbone=backbone, backbone_weights="a.weights.h5").has_own_backbone
    assert not TrainConfig().has_own_backbone
