"""Backbones, their levels, and where their weights come from."""

import os
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import keras_hub

from tfac.errors import ConfigError
from tfac.models.dlib_weights import load_dlib_weights
from tfac.models.own_backbone import (
    create_own_backbone,
    default_policy,
    find_levels,
    serialize_backbone,
)
from tfac.networks import BACKBONES, load

FEATURE_LEVELS = ("P3", "P4", "P5")
BackboneSource = str | os.PathLike | keras.Model | type | Mapping[str, Any]  # see `create_backbone`


def create_backbone(backbone: BackboneSource, output_stride: int = 32, dtype=None) -> keras.Model:
    """Returns a backbone: images [B, H, W, 3] to maps [B, h, w, C].

    One of the user's own is a Keras model with one input and one output. It is given
    images as `tfac.models.normalization` makes them, with ImageNet's mean and deviation taken out,
    and must take any H and W, or else is of use for pictures of its size alone. It keeps its
    weights, and layers that are not trainable stay so.

    Args:
        backbone: one of `BACKBONES`, which has no weights of its own; or one of the user's own: a
            ``.keras`` file, a folder with a KerasHub preset, a Keras model, which is used as it is
            if its layers have the dtype policy `dtype`, the class of one (registered with
            `keras.saving.register_keras_serializable`), or what `backbone_config` made of one.
            Files are loaded in Keras's safe mode and without the network.
        output_stride: H / h of the last map: 32 is the published network; 16 and 8 keep the last
            one or two stages of a ResNet at the resolution before them, for small pictures. The
            weights are the same in number and shape. For a backbone of the user's own it stays 32,
            whatever its stride.
        dtype: Keras dtype policy of all layers.

    Raises:
        ConfigError: an unknown name, an output stride that the backbone does not have, or a model
            that cannot be loaded or is none from images to maps.
    """
    spec = BACKBONES.get(backbone) if isinstance(backbone, str) else None
    strides = spec.output_strides if spec else (32,)
    if output_stride not in strides:
        raise ConfigError(
            f"output_stride: expected {' or '.join(map(str, strides))} for the backbone "
            f"{spec.name if spec else 'of your own'}. Received: {output_stride}"
        )
    if spec is None:
        if isinstance(backbone, str | os.PathLike):
            backbone = backbone_path(backbone)
        return create_own_backbone(backbone, dtype)
    arguments = dict(spec.arguments)
    if len(strides) > 1:
        arguments["output_stride"] = output_stride
    created = load(spec.where)(dtype=dtype, **arguments)
    created.known_name = spec.name
    return created


def backbone_config(backbone: keras.Model) -> str | dict[str, Any]:
    """Returns what `create_backbone` makes the same backbone of, but for its weights.

    That is its name, or the architecture of a model of the user's own, so that no file is needed.
    """
    return _known_name(backbone) or serialize_backbone(backbone)


def backbone_path(path: str | os.PathLike) -> Path:
    """Returns the path of a backbone of the user's own.

    Raises:
        ConfigError: there is no ``.keras`` file and no folder with a KerasHub preset.
    """
    file = Path(path)
    if (file.suffix == ".keras" and file.is_file()) or (file / "config.json").is_file():
        return file
    raise ConfigError(
        f"backbone: expected one of {', '.join(BACKBONES)}, a .keras file or a folder with a "
        f"KerasHub preset. Received: {path}, which is none of them"
    )


def _known_name(backbone: keras.Model) -> str | None:
    return getattr(backbone, "known_name", None)


def create_resnet(
    name: str, block_type: str, blocks: Sequence[int], output_stride: int, dtype=None
) -> keras.Model:
    """Returns one of KerasHub's ResNets.

    Args:
        name: the model's name.
        block_type: "basic_block" or "bottleneck_block".
        blocks: how many each of the four stages has.
        output_stride: 32, or 16 or 8, at which the last one or two stages keep the resolution.
        dtype: Keras dtype policy of all layers.
    """
    kept = {32: 0, 16: 1, 8: 2}[output_stride]  # stages without a stride of 2
    return keras_hub.models.ResNetBackbone(
        input_conv_filters=[64],
        input_conv_kernel_sizes=[7],
        stackwise_num_filters=[64, 128, 256, 512],
        stackwise_num_blocks=list(blocks),
        stackwise_num_strides=[1, 2, 2, 2][: 4 - kept] + [1] * kept,
        block_type=block_type,
        image_shape=(None, None, 3),
        data_format="channels_last",
        dtype=dtype,
        name=name,
    )


def create_vgg16(dtype=None) -> keras.Model:
    """Returns KerasHub's VGG16."""
    # It passes no dtype on to its layers, so the global policy has to say it.
    with default_policy(dtype):
        return keras_hub.models.VGGBackbone(
            stackwise_num_repeats=[2, 2, 3, 3, 3],
            stackwise_num_filters=[64, 128, 256, 512, 512],
            image_shape=(None, None, 3),
            name="vgg16",
        )


def create_feature_extractor(
    backbone: keras.Model, levels: Sequence[str] = FEATURE_LEVELS
) -> keras.Model:
    """Returns a model from images [B, H, W, 3] to the maps that end the backbone's blocks 3 to 5.

    The answer is ``{"P3": [B, h, w, C], "P4": ..., "P5": ...}``; "P5" is the backbone's own output.
    ResNet's blocks are the paper's conv3_x to conv5_x, VGG's end in their pooling, AlexNet's are
    the third, the fourth, and the fifth convolution with its pooling; dlib's are its second, third
    and fourth stage, the last with the mean of the fifth. At the published stride of 32 the three
    have strides 8, 16 and 32; AlexNet's have 16, 16 and 32. Of a backbone of the user's own, "P3"
    and "P4" are the levels that KerasHub names, or else the last maps of strides 8 and 16; one that
    it does not have is left out.

    Args:
        backbone: made by `create_backbone`; the two share their layers and weights.
        levels: those that must be there.

    Raises:
        ConfigError: the backbone has no map of one of the `levels`.
    """
    spec = BACKBONES.get(_known_name(backbone))
    if spec and spec.levels:
        maps = {level: backbone.get_layer(name).output for level, name in spec.levels.items()}
    else:
        maps = find_levels(backbone)
    missing = [level for level in levels if level not in maps]
    if missing:
        raise ConfigError(
            f"backbone: expected maps of the levels {', '.join(levels)}, of a stride of 8 for P3 "
            f"and 16 for P4. Received: {backbone.name}, which has no {' and no '.join(missing)}"
        )
    return keras.Model(backbone.input, maps, name=f"{backbone.name}_levels")


def check_levels(levels: Sequence[str]) -> tuple[str, ...]:
    """Returns names of levels as they are, each among `FEATURE_LEVELS`.

    Raises:
        ConfigError: there are none, one is there twice, or one is unknown.
    """
    if not levels or len(set(levels)) < len(levels) or not set(levels) <= set(FEATURE_LEVELS):
        raise ConfigError(
            f"levels: expected one or more of {', '.join(FEATURE_LEVELS)}, each once. "
            f"Received: {', '.join(levels)}"
        )
    return tuple(levels)


def load_backbone_weights(backbone: keras.Model, source: str) -> None:
    """Loads weights into a backbone made by `create_backbone`.

    Args:
        backbone: the backbone to change.
        source: "dlib" reads dlib's face recognition network from the installed package
            `face_recognition_models`; "imagenet" downloads KerasHub's ImageNet preset (the one
            place that uses the network); otherwise a local ``.weights.h5`` file of the same
            backbone or a folder holding a KerasHub preset.

    Raises:
        ConfigError: there is no such file, folder or preset, or its weights do not fit the
            backbone.
    """
    path, spec = Path(source), BACKBONES.get(_known_name(backbone))
    if source == "dlib":
        if not (spec and spec.has_dlib_weights):
            raise ConfigError(
                "backbone_weights: dlib's weights are those of backbone dlib_resnet29. "
                f"Received: {backbone.name}"
            )
        load_dlib_weights(backbone)
        return
    if source == "imagenet" and not (spec and spec.preset):
        raise ConfigError(
            f"backbone_weights: there are no ImageNet weights for {backbone.name}, only for "
            f"{', '.join(each.name for each in BACKBONES.values() if each.preset)}"
        )
    try:
        if source == "imagenet":
            _copy_preset(backbone, spec.preset)
        elif path.is_dir():
            _copy_preset(backbone, str(path))
        elif path.is_file() and source.endswith(".weights.h5"):
            with warnings.catch_warnings():
                warnings.simplefilter("error")  # Keras skips layers it cannot match and warns
                backbone.load_weights(path)
        else:
            raise ConfigError(
                "backbone_weights: expected dlib, imagenet, a .weights.h5 file or a folder with a "
                f"KerasHub preset. Received: {source}"
            )
    except ConfigError:
        raise
    except Exception as error:  # what KerasHub raises depends on the file, and on the network
        wrong = "could not be downloaded as" if source == "imagenet" else "does not hold"
        raise ConfigError(
            f"backbone_weights: {source} {wrong} weights for {backbone.name}: {error}"
        ) from error


def _copy_preset(backbone: keras.Model, preset: str) -> None:
    backbone.set_weights(keras_hub.models.Backbone.from_preset(preset).get_weights())
