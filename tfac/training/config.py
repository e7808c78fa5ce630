"""Every option of a training run, written once: type, default, unit, range and meaning.

`tfac.cli.train` makes its flags from these fields; an experiment is an instance of `TrainConfig`.
"""

import dataclasses
import math
import typing
from collections.abc import Mapping, Sequence
from typing import Any

from tfac.errors import ConfigError
from tfac.networks import BACKBONES, NETWORKS, networks_with

MAX_IMAGE_SIDE = 2048

# Options that there were once, at the values that change nothing: runs of that time are still read.
_RETIRED = {"shift": 0.0, "scale": 0.0, "colour": 0.0}


def _option(
    default: Any,
    help: str,
    *,
    choices: Sequence[str] | None = None,
    minimum: float | None = None,
    maximum: float | None = None,
    above: float | None = None,
    below: float | None = None,
) -> Any:
    """A field with its help text and range; `above` and `below` exclude the bound."""
    metadata = {"help": help, "choices": choices}
    metadata |= {"minimum": minimum, "maximum": maximum, "above": above, "below": below}
    return dataclasses.field(default=default, metadata=metadata)


@dataclasses.dataclass(frozen=True)
class TrainConfig:
    """The options of one training run, checked when made.

    Raises:
        ConfigError: a value outside its range, or options that cannot go together.
    """

    # Model
    model: str = _option("dmm_cnn", "network to train", choices=tuple(NETWORKS))
    backbone: str = _option(
        "resnet50",
        f"backbone network: one of {', '.join(BACKBONES)}, or one of your own, with its weights: a "
        ".keras file or a folder with a KerasHub preset, given with a / such as ./my_preset",
    )
    backbone_weights: str | None = _option(
        None,
        "where the backbone starts: dlib (dlib_resnet29's, from the installed package "
        "face_recognition_models), imagenet (downloaded), a .weights.h5 file or a folder with a "
        "KerasHub preset; empty for random weights, or those that a backbone of your own has",
    )
    initial_workdir: str | None = _option(
        None,
        "fine-tuning: folder of a finished run of the same network whose weights and, but for "
        "thresholds=fixed, thresholds this one starts from",
    )
    image_size: tuple[int, int] = _option(
        (224, 224), "pictures are resized to this: one side or HEIGHTxWIDTH, pixels", minimum=16
    )
    output_stride: int = _option(
        32,
        "picture side / side of the backbone's last map: 32, 16 or 8",
        minimum=8,
        maximum=32,
    )
    freeze: bool = _option(
        False,
        "leave the backbone as it starts and fit the head alone, by logistic regression on what "
        "the backbone says of each picture: no epochs",
    )
    attribute_grouping: bool = _option(
        True,
        "one branch each for objective and subjective attributes",
    )
    landmarks: bool = _option(True, "train the landmark branch too")
    branch_normalization: bool = _option(
        True,
        "batch-normalise the branches' hidden layers (the paper does not)",
    )
    branch_shortcut: bool = _option(
        True,
        "attribute heads read the last map's mean too (the paper's do not)",
    )
    attention_levels: str | None = _option(
        None,
        "the backbone's blocks that group attention reads; by default P3,P4 of mgg_net and P4,P5 "
        "of lga_net, which alone takes none",
        choices=("P3", "P4", "P5", "P3,P4", "P4,P5", "P3,P4,P5", "none"),
    )
    attention_groups: str = _option(
        "parts",
        "what has an attention mask: parts (the eight part groups) or attributes (each alone)",
        choices=("parts", "attributes"),
    )
    graph: bool = _option(True, "graph correlation learning between the groups, Eq. 2")
    alpha: float = _option(
        0.5,
        "share of a group's feature that comes from the others, Eq. 2",
        minimum=0,
        maximum=1,
    )
    base_map: str = _option(
        "last",
        "whose mean the base prediction reads: last (the backbone's last map) or attention (the "
        "last of attention_levels; later blocks are left out)",
        choices=("last", "attention"),
    )
    attention_width: int = _option(
        32,
        "channels of a group's attention module",
        minimum=1,
    )

    test_time_flip: bool = _option(
        False,
        "answer with the mean score of a picture and its mirror image, at twice the cost of "
        "prediction",
    )

    # Loss, Eq. 1 to 6 of DMM-CNN
    attribute_loss: str = _option(
        "binary_crossentropy",
        "loss of one attribute",
        choices=("squared_error", "binary_crossentropy"),
    )
    class_balance: str = _option(
        "none",
        "weights of an attribute's two classes, from the training labels: none, positive "
        "(positives weigh negatives / positives, so that both classes weigh the same) or majority "
        "(the larger class weighs smaller / larger, as in MOON)",
        choices=("none", "positive", "majority"),
    )
    beta: float = _option(0.5, "weight of the landmark loss, Eq. 3", minimum=0)
    guidance: float = _option(
        1.0,
        "weight of the squared distance of the attention masks to where the landmarks say their "
        "parts are",
        minimum=0,
    )
    weighting: str = _option(
        "uniform",
        "attribute weights: uniform (1), dynamic_raw (Eq. 4 as printed), dynamic_mean_one (Eq. 4 "
        "rescaled to mean 1), dwa (Dynamic Weight Average), aw (Adaptive Weighting), uncertainty "
        "(learnt variances) or gradnorm",
        choices=(
            "uniform",
            "dynamic_raw",
            "dynamic_mean_one",
            "dwa",
            "aw",
            "uncertainty",
            "gradnorm",
        ),
    )
    thresholds: str = _option(
        "calibrated",
        "decision thresholds: fixed (a score of 0), adaptive (Eq. 6), exact (best "
        "validation accuracy), exact_balanced (best balanced accuracy), calibrated or "
        "calibrated_balanced (as these, from calibrated probabilities; they hold better elsewhere)",
        choices=(
            *("fixed", "adaptive", "exact", "exact_balanced"),
            *("calibrated", "calibrated_balanced"),
        ),
    )
    gamma: float = _option(0.01, "step of the adaptive thresholds, in scores, Eq. 6", minimum=0)
    updates_per_epoch: int = _option(
        4, "validations, and so updates of weights and thresholds, an epoch", minimum=1
    )
    update_interval: int | None = _option(
        None,
        "P, steps from one validation to the next; takes the place of updates_per_epoch",
        minimum=1,
    )

    # Optimization
    epochs: int = _option(15, "passes over the training split", minimum=1)
    batch_size: int = _option(64, "pictures a step, over all devices", minimum=1)
    optimizer: str = _option("adamw", "update rule", choices=("sgd", "adamw"))
    learning_rate: float = _option(0.001, "highest learning rate", above=0)
    backbone_rate: float = _option(
        1.0,
        "learning rate of the backbone's last layer, as a share of learning_rate",
        above=0,
        maximum=1,
    )
    first_layer_rate: float = _option(
        1.0,
        "learning rate of the backbone's first layer, as a share of its last layer's; from layer "
        "to layer it grows geometrically",
        above=0,
        maximum=1,
    )
    momentum: float = _option(0.9, "momentum of sgd", minimum=0, below=1)
    weight_decay: float = _option(
        0.05,
        "share of each kernel taken away a step, times the learning rate (decoupled: with sgd, L2 "
        "regularisation of strength x is about x / (1 - momentum) here); not biases and norms",
        minimum=0,
    )
    gradient_clip_norm: float | None = _option(
        None, "longest gradient (norm over all weights); longer ones are shortened", above=0
    )
    schedule: str = _option(
        "cosine",
        "learning rate over time: constant, plateau (a tenth whenever the validation loss stops "
        "falling), step (a tenth after drop_epoch epochs) or cosine (to 0)",
        choices=("constant", "plateau", "step", "cosine"),
    )
    drop_epoch: int | None = _option(
        None, "epochs after which schedule=step divides the rate by 10", minimum=1
    )
    plateau_patience: int = _option(
        4, "validations without a lower loss before plateau divides the rate", minimum=1
    )
    warmup_epochs: float = _option(0.25, "epochs of linear warm-up before cosine", minimum=0)

    # Input
    train_split: str = _option("train", "split to train on")
    validation_split: str = _option("validation", "split that weights and thresholds come from")
    flip: bool = _option(True, "augmentation: mirror every other picture")
    shuffle_buffer: int = _option(
        20_000,
        "pictures held for shuffling; as many as the split has for a perfect shuffle",
        minimum=1,
    )
    cache: str = _option(
        "none", "keep decoded pictures: none, memory, or a folder for files on disk"
    )

    # Machine
    precision: str = _option(
        "float32",
        "arithmetic of the network",
        choices=("float32", "mixed_float16", "mixed_bfloat16"),
    )
    loss_scale: float = _option(
        2.0**15,
        "first loss scale of mixed_float16; a step whose gradients overflow is left out and halves "
        "it",
        above=0,
    )
    accelerate: bool = _option(
        True, "run batch norms, updates and small convolutions on faster operations than Keras's"
    )
    xla: bool = _option(False, "compile the training step with XLA (slower on CPU)")
    strategy: str = _option(
        "one_device",
        "where to train: one_device, mirrored (several devices of this machine) or multi_worker "
        "(every process that TF_CONFIG names, each with the same options and folders)",
        choices=("one_device", "mirrored", "multi_worker"),
    )
    num_devices: int = _option(
        0, "devices of the mirrored strategy, 0 for all; without GPUs, parts of the CPU", minimum=0
    )
    seed: int = _option(0, "seed of weights, order and augmentation", minimum=0, maximum=2**31 - 1)

    def __post_init__(self):  # noqa: D105
        object.__setattr__(self, "image_size", parse_image_size(self.image_size))
        object.__setattr__(self, "backbone_weights", self.backbone_weights or None)
        object.__setattr__(self, "initial_workdir", self.initial_workdir or None)
        for field in dataclasses.fields(self):
            _check_field(field, getattr(self, field.name))
        for reason in self._contradictions():
            raise ConfigError(reason)

    def _contradictions(self):
        for field in dataclasses.fields(self):
            models = networks_with(field.name)
            value = getattr(self, field.name)
            if models and self.model not in models and value != field.default:
                yield (
                    f"{field.name}={value} means something to model={' and '.join(models)} alone. "
                    f"Received: model={self.model}"
                )
        if self.weighting == "gradnorm" and not NETWORKS[self.model].shares_last_map:
            fit = [spec.name for spec in NETWORKS.values() if spec.shares_last_map]
            yield (
                "weighting=gradnorm compares gradients at the last layer that all heads share, so "
                f"it needs model={' or '.join(fit)}. Received: model={self.model}"
            )
        if self.weighting == "gradnorm" and self.strategy != "one_device":
            yield (
                "weighting=gradnorm needs the gradients of the whole batch, so it cannot go with "
                f"strategy={self.strategy}"
            )
        if self.attention_levels == "none" and self.model == "mgg_net":
            yield "attention_levels=none: mgg_net without group attention is model=baseline"
        if self.attention_levels == "none" and self.guides_attention:
            yield (
                "attention_levels=none leaves no attention for the landmarks to guide, so guidance "
                f"must be 0. Received: guidance={self.guidance}"
            )
        own, backbone = self.has_own_backbone, BACKBONES.get(self.backbone)
        if own and not (self.backbone.endswith(".keras") or "/" in self.backbone):
            yield (
                f"backbone: expected one of {', '.join(BACKBONES)}, a .keras file or a folder with "
                "a KerasHub preset, which is given with a / such as ./my_preset. "
                f"Received: {self.backbone}"
            )
        if own and not (self.backbone_weights or ".weights.h5").endswith(".weights.h5"):
            yield (
                "backbone_weights: a backbone of your own comes with its weights, and others are "
                f"expected in a .weights.h5 file. Received: {self.backbone_weights}"
            )
        strides = backbone.output_strides if backbone else (32,)
        if self.output_stride not in strides:
            yield (
                f"output_stride: expected {' or '.join(map(str, strides))} with backbone="
                f"{self.backbone}. Received: {self.output_stride}"
            )
        if backbone and not backbone.preset and self.backbone_weights == "imagenet":
            yield f"backbone_weights=imagenet: nobody publishes {self.backbone}'s for Keras"
        if self.backbone_weights == "dlib" and not (backbone and backbone.has_dlib_weights):
            yield (
                "backbone_weights=dlib are those of backbone=dlib_resnet29. Received: "
                f"backbone={self.backbone}; give backbone_weights too, empty for random weights"
            )
        if self.freeze and not (own or self.backbone_weights or self.initial_workdir):
            yield "freeze=True leaves the backbone as it starts, so it needs backbone_weights"
        if self.freeze and self.attribute_loss != "binary_crossentropy":
            yield (
                "freeze=True fits the head by logistic regression, so it needs attribute_loss="
                f"binary_crossentropy. Received: {self.attribute_loss}"
            )
        if self.freeze and self.strategy == "multi_worker":
            yield "freeze=True fits the head in one process; it cannot go with multi_worker"
        if self.warmup_epochs and self.schedule != "cosine":
            yield f"warmup_epochs={self.warmup_epochs} needs schedule=cosine, not {self.schedule}"
        if (self.schedule == "step") != (self.drop_epoch is not None):
            yield (
                "schedule=step and drop_epoch go together. Received: "
                f"schedule={self.schedule}, drop_epoch={self.drop_epoch}"
            )
        if self.drop_epoch is not None and self.drop_epoch >= self.epochs:
            yield f"drop_epoch={self.drop_epoch} must be before the last of {self.epochs} epochs"
        if self.backbone_weights and self.initial_workdir:
            yield (
                "initial_workdir brings the backbone's weights too, so backbone_weights must be "
                f"empty. Received: backbone_weights={self.backbone_weights}"
            )
        if self.warmup_epochs >= self.epochs:
            yield (
                f"warmup_epochs={self.warmup_epochs} must be fewer than the {self.epochs} epochs"
            )
        if self.strategy != "mirrored" and self.num_devices > 1:
            yield f"num_devices={self.num_devices} needs strategy=mirrored, not {self.strategy}"
        if self.strategy != "one_device" and self.xla:
            yield (
                f"xla compiles the step of one device; it cannot go with strategy={self.strategy}"
            )
        if self.strategy == "mirrored" and self.batch_size % max(self.num_devices, 1):
            yield (
                f"batch_size={self.batch_size} does not divide evenly over "
                f"num_devices={self.num_devices}"
            )

    @property
    def has_own_backbone(self) -> bool:
        """Whether `backbone` is the path of a user's own."""
        return self.backbone not in BACKBONES

    @property
    def trains_landmarks(self) -> bool:
        """Whether the network has a landmark branch."""
        return self.landmarks and "landmarks" in NETWORKS[self.model].options

    @property
    def guides_attention(self) -> bool:
        """Whether landmarks say where attention masks should be."""
        return self.guidance > 0 and "guidance" in NETWORKS[self.model].training_options

    def to_dict(self) -> dict[str, Any]:
        """Returns the options as JSON can hold them."""
        return {**dataclasses.asdict(self), "image_size": list(self.image_size)}

    @classmethod
    def from_dict(cls, options: Mapping[str, Any]) -> "TrainConfig":
        """Returns the config that `to_dict` described.

        Raises:
            ConfigError: an unknown option or an impossible value.
        """
        known = {name: value for name, value in options.items() if _RETIRED.get(name) != value}
        unknown = sorted(set(known) - {field.name for field in dataclasses.fields(cls)})
        if unknown:
            raise ConfigError(f"unknown training options: {', '.join(unknown)}")
        return cls(**known)


def parse_image_size(value: int | str | Sequence[int]) -> tuple[int, int]:
    """Returns (height, width) of 64, "64", "109x89" (height first) or (109, 89).

    Raises:
        ConfigError: anything else.
    """
    sides = str(value).lower().split("x") if isinstance(value, (int, str)) else list(value)
    try:
        sides = [int(side) for side in sides]
    except (TypeError, ValueError):
        sides = []
    if len(sides) not in (1, 2) or not all(16 <= side <= MAX_IMAGE_SIDE for side in sides):
        raise ConfigError(
            f"image_size: expected one side or HEIGHTxWIDTH, each 16 to {MAX_IMAGE_SIDE} pixels. "
            f"Received: {value}"
        )
    return sides[0], sides[-1]


def field_type(field: dataclasses.Field) -> tuple[type, bool]:
    """Returns a field's plain type (bool, int, float, str or tuple) and whether None is allowed."""
    arguments = typing.get_args(field.type)
    if type(None) in arguments:
        return next(kind for kind in arguments if kind is not type(None)), True
    return typing.get_origin(field.type) or field.type, False


def describe_range(field: dataclasses.Field) -> str:
    """Returns a field's range in words, or "" where it has none."""
    limits = field.metadata
    words = {"minimum": "at least", "above": "above", "maximum": "at most", "below": "below"}
    return ", ".join(
        f"{word} {limits[key]}" for key, word in words.items() if limits[key] is not None
    )


def _check_field(field: dataclasses.Field, value: Any) -> None:
    kind, optional = field_type(field)
    if kind is tuple or (value is None and optional):
        return
    accepted = (int, float) if kind is float else kind
    if not isinstance(value, accepted) or (isinstance(value, bool) and kind is not bool):
        raise ConfigError(f"{field.name}: expected {kind.__name__}. Received: {value!r}")
    limits = field.metadata
    if limits["choices"] and value not in limits["choices"]:
        raise ConfigError(
            f"{field.name}: expected one of {', '.join(limits['choices'])}. Received: {value}"
        )
    if kind in (int, float) and not (
        math.isfinite(value)
        and (limits["minimum"] is None or value >= limits["minimum"])
        and (limits["above"] is None or value > limits["above"])
        and (limits["maximum"] is None or value <= limits["maximum"])
        and (limits["below"] is None or value < limits["below"])
    ):
        raise ConfigError(f"{field.name}: expected {describe_range(field)}. Received: {value}")
    if kind is str and not value:
        raise ConfigError(f"{field.name}: expected a text. Received: an empty one")
