"""Backbones by name, their levels, and where their weights come from."""

import warnings
from collections.abc import Sequence
from pathlib import Path

import keras
import keras_hub

from tfac.errors import ConfigError
from tfac.models.alexnet import create_alexnet
from tfac.models.dlib_resnet import create_dlib_resnet29
from tfac.models.dlib_weights import load_dlib_weights

_RESNETS = {
    "resnet18": ("basic_block", (2, 2, 2, 2)),
    "resnet34": ("basic_block", (3, 4, 6, 3)),
    "resnet50": ("bottleneck_block", (3, 4, 6, 3)),
}
_PRESETS = {
    "resnet18": "resnet_18_imagenet",
    "resnet34": "resnet_34_imagenet",
    "resnet50": "resnet_50_imagenet",
    "vgg16": "vgg_16_imagenet",
}
# The layers that end the blocks 3, 4 and 5; KerasHub's ResNets name theirs themselves.
_LEVEL_LAYERS = {
    "vgg16": {"P3": "block3_pool", "P4": "block4_pool", "P5": "block5_pool"},
    "alexnet": {"P3": "block3_conv", "P4": "block4_conv", "P5": "block5_pool"},
    "dlib_resnet29": {"P3": "stage2_block4_relu", "P4": "stage3_block3_relu", "P5": "with_context"},
}
BACKBONES: tuple[str, ...] = (*_RESNETS, "vgg16", "alexnet", "dlib_resnet29")
FEATURE_LEVELS = ("P3", "P4", "P5")
OUTPUT_STRIDES = (8, 16, 32)


def create_backbone(name: str, output_stride: int = 32, dtype=None) -> keras.Model:
    """Returns a backbone without weights of its own: images [B, H, W, 3] to maps [B, h, w, C].

    Args:
        name: one of `BACKBONES`.
        output_stride: H / h of the last map: 32 is the published network; 16 and 8 keep the last
            one or two stages of a ResNet at the resolution before them, for small pictures. The
            weights are the same in number and shape.
        dtype: Keras dtype policy.

    Raises:
        ConfigError: an unknown name, or an output stride that the backbone does not have.
    """
    if name not in BACKBONES:
        raise ConfigError(f"backbone: expected one of {', '.join(BACKBONES)}. Received: {name}")
    if output_stride not in OUTPUT_STRIDES or (name not in _RESNETS and output_stride != 32):
        raise ConfigError(
            f"output_stride: expected one of {OUTPUT_STRIDES} for a ResNet and 32 for another "
            f"backbone. Received: {output_stride} for {name}"
        )
    if name == "vgg16":
        return _create_vgg16(dtype)
    if name == "alexnet":
        return create_alexnet(dtype)
    if name == "dlib_resnet29":
        return create_dlib_resnet29(dtype)
    block_type, blocks = _RESNETS[name]
    halved = OUTPUT_STRIDES.index(output_stride)  # stages 3 and 4 that keep their stride of 2
    return keras_hub.models.ResNetBackbone(
        input_conv_filters=[64],
        input_conv_kernel_sizes=[7],
        stackwise_num_filters=[64, 128, 256, 512],
        stackwise_num_blocks=list(blocks),
        stackwise_num_strides=[1, 2] + [2] * halved + [1] * (2 - halved),
        block_type=block_type,
        image_shape=(None, None, 3),
        data_format="channels_last",
        dtype=dtype,
        name=name,
    )


def _create_vgg16(dtype) -> keras.Model:
    # KerasHub's VGG passes no dtype on to its layers, so the global policy has to say it.
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy(dtype or policy)
    try:
        return keras_hub.models.VGGBackbone(
            stackwise_num_repeats=[2, 2, 3, 3, 3],
            stackwise_num_filters=[64, 128, 256, 512, 512],
            image_shape=(None, None, 3),
            name="vgg16",
        )
    finally:
        keras.config.set_dtype_policy(policy)


def create_feature_extractor(backbone: keras.Model) -> keras.Model:
    """Returns a model from images [B, H, W, 3] to the maps that end the backbone's blocks 3 to 5.

    The answer is ``{"P3": [B, h, w, C], "P4": ..., "P5": ...}``; "P5" is the backbone's own output.
    ResNet's blocks are the paper's conv3_x to conv5_x, VGG's end in their pooling, AlexNet's are
    the third, the fourth, and the fifth convolution with its pooling; dlib's are its second, third
    and fourth stage, the last with the mean of the fifth. At the published stride of 32 the three
    have strides 8, 16 and 32; AlexNet's have 16, 16 and 32.

    Args:
        backbone: made by `create_backbone`; the two share their layers and weights.
    """
    if backbone.name in _RESNETS:
        maps = {level: backbone.pyramid_outputs[level] for level in FEATURE_LEVELS}
    else:
        layers = _LEVEL_LAYERS[backbone.name]
        maps = {level: backbone.get_layer(name).output for level, name in layers.items()}
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
    path = Path(source)
    if source == "dlib":
        if backbone.name != "dlib_resnet29":
            raise ConfigError(
                "backbone_weights: dlib's weights are those of backbone dlib_resnet29. "
                f"Received: {backbone.name}"
            )
        load_dlib_weights(backbone)
        return
    if source == "imagenet" and backbone.name not in _PRESETS:
        raise ConfigError(
            f"backbone_weights: there are no ImageNet weights for {backbone.name}, only for "
            f"{', '.join(_PRESETS)}"
        )
    try:
        if source == "imagenet":
            _copy_preset(backbone, _PRESETS[backbone.name])
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
    except (ValueError, OSError, UserWarning) as error:
        if isinstance(error, ConfigError):
            raise
        raise ConfigError(
            f"backbone_weights: {source} does not hold weights for {backbone.name}: {error}"
        ) from error


def _copy_preset(backbone: keras.Model, preset: str) -> None:
    backbone.set_weights(keras_hub.models.Backbone.from_preset(preset).get_weights())
