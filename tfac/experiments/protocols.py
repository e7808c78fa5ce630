"""The recipes that experiments are trained by, one entry a protocol.

Where both papers leave something open the entry's comment says what was taken.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any


@dataclasses.dataclass(frozen=True)
class Protocol:
    """A recipe for every family of experiments.

    Attributes:
        name: as `--protocol` takes it.
        about: what it is, one line; stands wherever its figures appear.
        families: options of `TrainConfig` for each family of experiments that it has.
        dynamic_weighting: the option that stands for Eq. 4 of DMM-CNN.
        fixed: options that hold whatever the experiment says; given any, the protocol has whole
            systems alone.
        starts_from: family to the protocol whose finished run its runs start from (fine-tuning).
        lfwa_protocols: family to the `--lfwa_protocol` of its paper, where the recipe is for LFWA.
    """

    name: str
    about: str
    families: Mapping[str, Mapping[str, Any]]
    dynamic_weighting: str
    fixed: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    starts_from: Mapping[str, str] = dataclasses.field(default_factory=dict)
    lfwa_protocols: Mapping[str, str] = dataclasses.field(default_factory=dict)


# Weights and thresholds that training from scratch does best with (docs/results.md).
_FROM_SCRATCH = {"weighting": "uniform", "thresholds": "calibrated"}
_RESNET18 = {"backbone": "resnet18"}

# Sections 3.3 and 4.1 of DMM-CNN. Taken where it is silent: 224 pixels, a start from ImageNet, no
# momentum, and no lower loss for an epoch as "stops decreasing".
_DMM_CNN_PAPER = {
    "backbone": "resnet50",
    "backbone_weights": "imagenet",
    "image_size": (224, 224),
    "attribute_loss": "squared_error",
    "gamma": 0.01,
    "epochs": 15,
    "batch_size": 64,
    "optimizer": "sgd",
    "learning_rate": 0.001,
    "momentum": 0.0,
    "weight_decay": 0.0,
    "schedule": "plateau",
    "warmup_epochs": 0.0,
    "flip": False,
}
_PRINTED_BRANCHES = {"branch_normalization": False, "branch_shortcut": False}

# "Implementation" of MGG-Net. Taken where it is silent: SGD with momentum 0.9, no weight decay.
_STEPS = {
    "image_size": (224, 224),
    "batch_size": 144,
    "optimizer": "sgd",
    "learning_rate": 0.01,
    "momentum": 0.9,
    "weight_decay": 0.0,
    "schedule": "step",
    "warmup_epochs": 0.0,
    "flip": True,
}
_MGG_NET_PAPER = {**_STEPS, **_RESNET18, "backbone_weights": "imagenet"}
_EPOCHS_9_5 = {"epochs": 14, "drop_epoch": 9}
_EPOCHS_12_3 = {"epochs": 15, "drop_epoch": 12}
_EPOCHS_10_5 = {"epochs": 15, "drop_epoch": 10}
# LFWA has no validation set: weights and thresholds come from the training set.
_LFWA = {"validation_split": "train"}
_FINE_TUNED = {**_LFWA, "backbone_weights": None}

_SMALL = {
    "image_size": (64, 64),
    "precision": "mixed_bfloat16",
    "cache": "memory",
    "batch_size": 32,
    "epochs": 4,
    "updates_per_epoch": 2,
    "optimizer": "adamw",
    "learning_rate": 0.001,
    "weight_decay": 0.05,
    "schedule": "cosine",
    "warmup_epochs": 0.25,
    "attribute_loss": "binary_crossentropy",
}
_SMALL_BACKBONE = {**_SMALL, **_RESNET18, "output_stride": 16}
# Eq. 6 of DMM-CNN moves a threshold by gamma epoch (FP - FN) / V. Scores are logits here and there
# are 8 updates in all, so that the printed 0.01 would move nothing. With 1 they overshoot: 86.8 %
# accuracy on CelebA's faces, where exact thresholds give 88.4 % (6 epochs, seed 0).
_SMALL_DMM_CNN = {**_SMALL_BACKBONE, "gamma": 0.2}

# dlib's network, fine-tuned; its early layers at lower rates.
_DLIB = {
    "backbone": "dlib_resnet29",
    "backbone_weights": "dlib",
    "learning_rate": 0.001,
    "backbone_rate": 0.3,
    "first_layer_rate": 0.17,
}
_SMALL_DLIB = {**_SMALL, **_DLIB, "image_size": (137, 112)}
_PRETRAINED = {**_DLIB, "image_size": (137, 112), "epochs": 4, "batch_size": 32}

_DEMO = {"image_size": (64, 64), "epochs": 3, "updates_per_epoch": 2, "cache": "memory"}
_DEMO_BACKBONE = {**_DEMO, **_RESNET18, "output_stride": 16}

PROTOCOLS: tuple[Protocol, ...] = (
    Protocol(
        name="from_scratch",
        about="224 pixels, random weights, AdamW and a cosine",
        families={
            "dmm_baseline": {},
            "dmm_cnn": {},
            "mgg_net": _RESNET18,
            "part_networks": {},
            "two_crop_net": {"backbone": "dlib_resnet29"},
        },
        dynamic_weighting="uniform",
        fixed=_FROM_SCRATCH,
    ),
    Protocol(
        name="pretrained",
        about="dlib's face recognition network, fine-tuned: 4 epochs of AdamW with a cosine, lower "
        "rates for early layers",
        families={
            "dmm_baseline": _PRETRAINED,
            "dmm_cnn": _PRETRAINED,
            "mgg_net": _PRETRAINED,
            "two_crop_net": {**_PRETRAINED, "image_size": (218, 178)},
            "two_crop_frozen": {**_PRETRAINED, "image_size": (218, 178)},
        },
        dynamic_weighting="uniform",
        fixed=_FROM_SCRATCH,
    ),
    Protocol(
        name="paper_celeba",
        about="CelebA as each paper prints it: 224 pixels, ImageNet start, SGD in steps",
        families={
            "dmm_baseline": _DMM_CNN_PAPER,
            "dmm_cnn": {**_DMM_CNN_PAPER, **_PRINTED_BRANCHES},
            "mgg_net": {**_MGG_NET_PAPER, **_EPOCHS_9_5},
            "mgg_backbones": {**_MGG_NET_PAPER, **_EPOCHS_9_5},
            "mgg_net_balanced": {**_MGG_NET_PAPER, **_EPOCHS_12_3},
            # Their own recipes are in neither paper: MGG-Net's, from random weights.
            "part_networks": {**_STEPS, **_EPOCHS_9_5},
        },
        dynamic_weighting="dynamic_raw",
    ),
    Protocol(
        name="paper_lfwa",
        about="LFWA as each paper prints it: DMM-CNN fine-tuned from CelebA, MGG-Net from ImageNet",
        families={
            "dmm_baseline": {**_DMM_CNN_PAPER, **_FINE_TUNED},
            "dmm_cnn": {**_DMM_CNN_PAPER, **_PRINTED_BRANCHES, **_FINE_TUNED},
            "mgg_net": {**_MGG_NET_PAPER, **_LFWA, **_EPOCHS_10_5},
            "mgg_backbones": {**_MGG_NET_PAPER, **_LFWA, **_EPOCHS_10_5},
            "part_networks": {**_STEPS, **_LFWA, **_EPOCHS_10_5},
        },
        dynamic_weighting="dynamic_raw",
        # DMM-CNN, section 4.1: trained on CelebA, then fine-tuned on LFWA.
        starts_from={"dmm_baseline": "paper_celeba", "dmm_cnn": "paper_celeba"},
        # The papers' splits and labels differ; the part networks are compared in either.
        lfwa_protocols={
            "dmm_baseline": "dmm_cnn",
            "dmm_cnn": "dmm_cnn",
            "mgg_net": "mgg_net",
            "mgg_backbones": "mgg_net",
        },
    ),
    Protocol(
        name="small",
        about="for 2 cores, not the papers' size: ResNet18 from random weights at 64 pixels, "
        "4 epochs of AdamW with a cosine, batches of 32, binary cross-entropy",
        families={
            "dmm_baseline": _SMALL_BACKBONE,
            "dmm_cnn": _SMALL_DMM_CNN,
            "mgg_net": _SMALL_BACKBONE,
            "mgg_backbones": _SMALL_BACKBONE,
            "mgg_net_balanced": _SMALL_BACKBONE,
            "part_networks": _SMALL,
            "two_crop_net": {**_SMALL, "backbone": "dlib_resnet29"},
        },
        # Raw weights fall towards 0, and with them training (docs/results.md).
        dynamic_weighting="dynamic_mean_one",
    ),
    Protocol(
        name="small_pretrained",
        about="for 2 cores: as small, but from dlib's face recognition network at 137x112 pixels, "
        "with lower rates for early layers",
        families={
            "dmm_baseline": _SMALL_DLIB,
            "dmm_cnn": {**_SMALL_DLIB, "gamma": 0.2},
            "mgg_net": _SMALL_DLIB,
            "mgg_net_balanced": _SMALL_DLIB,
            # It resizes its crops itself, so the pictures stay as they are stored.
            "two_crop_net": {**_SMALL_DLIB, "image_size": (64, 64)},
            "two_crop_frozen": {**_SMALL_DLIB, "image_size": (64, 64)},
        },
        dynamic_weighting="dynamic_mean_one",
    ),
    Protocol(
        name="demo",
        about="make demo: ResNet18 from random weights at 64 pixels, 3 epochs",
        families={
            "dmm_baseline": _DEMO_BACKBONE,
            "dmm_cnn": _DEMO_BACKBONE,
            "mgg_net": _DEMO_BACKBONE,
            "part_networks": _DEMO,
            "two_crop_net": {**_DEMO, "backbone": "dlib_resnet29"},
        },
        dynamic_weighting="uniform",
        fixed=_FROM_SCRATCH,
    ),
)
