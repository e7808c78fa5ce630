"""Every experiment of the two papers, and the systems that they compare with.

An entry says what differs from its protocol (`tfac.experiments.protocols`), as options of
`TrainConfig`. A new experiment is one more entry of `EXPERIMENTS`, and a row in
`tfac.experiments.tables` where it belongs to a table.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

# Stands for the weighting that the protocol takes for Eq. 4 of DMM-CNN.
DYNAMIC = "dynamic"


@dataclasses.dataclass(frozen=True)
class Experiment:
    """A named variant of a method.

    Attributes:
        name: as `--experiment` takes it.
        family: whose recipe a protocol applies to it, a key of `Protocol.families`.
        about: what it is, one line.
        options: of `TrainConfig`; weighting may be `DYNAMIC`.
        is_system: a whole method, not a variant of one. Protocols that fix weights and thresholds
            have these alone.
    """

    name: str
    family: str
    about: str
    options: Mapping[str, Any]
    is_system: bool = False


_DMM_CNN = {"model": "dmm_cnn", "weighting": DYNAMIC, "thresholds": "adaptive"}
_BASELINE = {"model": "baseline", "thresholds": "fixed"}
_MGG_NET = {"model": "mgg_net", "thresholds": "fixed"}
_LGA_NET = {"model": "lga_net", "thresholds": "fixed", "test_time_flip": True}
_TWO_CROP_NET = {"model": "two_crop_net", "thresholds": "fixed", "test_time_flip": True}
_GAL = {**_MGG_NET, "graph": False}  # "w/o GCL": GAL's predictions are averaged in its place
# "Independent": an attention for each attribute, nothing shared between them.
_INDEPENDENT = {**_GAL, "attention_groups": "attributes"}
_BALANCED = {"class_balance": "positive"}  # "weighted binary cross-entropy", section 3.3
_FIXED = {"thresholds": "fixed"}
_VGG16 = {"backbone": "vgg16", "output_stride": 32}
# No weights of these for ImageNet are published for Keras.
_RESNET34 = {"backbone": "resnet34", "backbone_weights": None}
_ALEXNET = {"backbone": "alexnet", "output_stride": 32, "backbone_weights": None}


def _dmm(name: str, about: str, is_system: bool = False, **options) -> Experiment:
    return Experiment(name, "dmm_cnn", about, {**_DMM_CNN, **options}, is_system)


def _mgg(name: str, about: str, options: Mapping[str, Any], is_system=False) -> Experiment:
    return Experiment(name, "mgg_net", about, options, is_system)


def _lga(name: str, about: str, is_system: bool = False, **options) -> Experiment:
    return Experiment(name, "mgg_net", about, {**_LGA_NET, **options}, is_system)


EXPERIMENTS: tuple[Experiment, ...] = (
    # DMM-CNN, Table 1
    Experiment(
        "baseline",
        "dmm_baseline",
        "DMM-CNN's Baseline: the plain backbone with 40 outputs",
        _BASELINE,
        True,
    ),
    _dmm("dmm_fac", "DMM-CNN without the landmark task", landmarks=False),
    _dmm(
        "dmm_eq_fix",
        "DMM-CNN with equal weights and fixed thresholds",
        weighting="uniform",
        **_FIXED,
    ),
    _dmm("dmm_eq_at", "DMM-CNN with equal weights and adaptive thresholds", weighting="uniform"),
    _dmm("dmm_dw_fix", "DMM-CNN with dynamic weights and fixed thresholds", **_FIXED),
    _dmm(
        "dmm_spp",
        "DMM-CNN with one branch for all attributes, 3-level pooling",
        attribute_grouping=False,
    ),
    _dmm("dmm_cnn", "DMM-CNN: landmarks, dynamic weights, adaptive thresholds, grouping", True),
    # DMM-CNN, Table 2, and two more weighting schemes
    _dmm("dmm_uw", "DMM-CNN with uniform weights (dmm_eq_at by another name)", weighting="uniform"),
    _dmm("dmm_dwa", "DMM-CNN with Dynamic Weight Average", weighting="dwa"),
    _dmm("dmm_aw", "DMM-CNN with Adaptive Weighting", weighting="aw"),
    _dmm("dmm_uncertainty", "DMM-CNN with weights from learnt variances", weighting="uncertainty"),
    _dmm("dmm_gradnorm", "DMM-CNN with GradNorm", weighting="gradnorm"),
    # MGG-Net, Table 1
    _mgg("mgg_baseline", "MGG-Net's Baseline: the base prediction alone", _BASELINE, True),
    _mgg("mgg_net", "MGG-Net: group attention (GAL) and graph correlation (GCL)", _MGG_NET, True),
    # MGG-Net, Table 2
    Experiment(
        "mgg_baseline_balanced",
        "mgg_net_balanced",
        "MGG-Net's Baseline, trained for balanced accuracy",
        {**_BASELINE, **_BALANCED},
    ),
    Experiment(
        "mgg_net_balanced",
        "mgg_net_balanced",
        "MGG-Net, trained for balanced accuracy",
        {**_MGG_NET, **_BALANCED},
    ),
    # MGG-Net, Table 3
    _mgg(
        "mgg_independent_block3",
        "an attention for each attribute, on block 3",
        {**_INDEPENDENT, "attention_levels": "P3"},
    ),
    _mgg(
        "mgg_independent_block4",
        "an attention for each attribute, on block 4",
        {**_INDEPENDENT, "attention_levels": "P4"},
    ),
    _mgg("mgg_independent", "an attention for each attribute, on blocks 3 and 4", _INDEPENDENT),
    _mgg("mgg_gal_block3", "MGG-Net without GCL, on block 3", {**_GAL, "attention_levels": "P3"}),
    _mgg("mgg_gal_block4", "MGG-Net without GCL, on block 4", {**_GAL, "attention_levels": "P4"}),
    _mgg("mgg_gal", "MGG-Net without GCL, on blocks 3 and 4", _GAL),
    _mgg("mgg_net_block3", "MGG-Net on block 3", {**_MGG_NET, "attention_levels": "P3"}),
    _mgg("mgg_net_block4", "MGG-Net on block 4", {**_MGG_NET, "attention_levels": "P4"}),
    # MGG-Net, Table 4
    *(
        Experiment(
            f"mgg_{backbone}_{part}",
            "mgg_backbones",
            f"{about} on {title}",
            {**options, **network},
        )
        for backbone, title, network in (
            ("resnet34", "ResNet34", _RESNET34),
            ("vgg16", "VGG16", _VGG16),
            ("alexnet", "AlexNet", _ALEXNET),
        )
        for part, about, options in (
            ("baseline", "MGG-Net's Baseline", _BASELINE),
            ("gal", "MGG-Net without GCL", _GAL),
            ("net", "MGG-Net", _MGG_NET),
        )
    ),
    # This project's own: each part left out, and parts of the papers' methods put in
    _lga("lga_net", "LGA-Net: group attention that landmarks guide, test-time flip", True),
    _lga("lga_no_flip", "LGA-Net without test-time flip", test_time_flip=False),
    _lga("lga_no_guidance", "LGA-Net, landmarks do not guide the masks", guidance=0.0),
    _lga("lga_no_landmarks", "LGA-Net without the landmark task", landmarks=False),
    _lga(
        "lga_attributes_alone",
        "LGA-Net, no landmarks at all",
        guidance=0.0,
        landmarks=False,
    ),
    _lga(
        "lga_no_attention",
        "LGA-Net without group attention: the plain network and the landmark task",
        attention_levels="none",
        guidance=0.0,
    ),
    _lga("lga_block4", "LGA-Net on block 4", attention_levels="P4"),
    _lga("lga_block5", "LGA-Net on block 5", attention_levels="P5"),
    _lga("lga_dynamic", "LGA-Net with dynamic weights", weighting=DYNAMIC),
    Experiment(
        "baseline_flip",
        "dmm_baseline",
        "the plain backbone with test-time flip",
        {**_BASELINE, "test_time_flip": True},
    ),
    Experiment(
        "two_crop_net",
        "two_crop_net",
        "the two-crop network: the whole picture and a close-up of the face, one linear head",
        _TWO_CROP_NET,
        True,
    ),
    Experiment(
        "two_crop_no_flip",
        "two_crop_net",
        "the two-crop network without test-time flip",
        {**_TWO_CROP_NET, "test_time_flip": False},
    ),
    Experiment(
        "two_crop_frozen",
        "two_crop_frozen",
        "the two-crop network, its backbones frozen",
        {**_TWO_CROP_NET, "freeze": True},
    ),
    # Systems that both papers compare with
    Experiment(
        "moon",
        "dmm_baseline",
        "MOON: the plain backbone, squared error weighted by class",
        {**_BASELINE, "attribute_loss": "squared_error", "class_balance": "majority"},
        True,
    ),
    Experiment(
        "mcnn_aux",
        "part_networks",
        "MCNN-AUX: networks of nine groups, then attributes from attributes",
        {"model": "mcnn_aux", **_FIXED},
        True,
    ),
    Experiment(
        "ps_mcnn",
        "part_networks",
        "PS-MCNN: a shared and four part networks, without identity labels",
        {"model": "ps_mcnn", **_FIXED},
        True,
    ),
)
