"""A run's folder: what was asked for, and the model it led to."""

import dataclasses
import importlib.metadata
import inspect
import platform
import shutil
from pathlib import Path
from typing import Any

import keras

from tfac.attributes import AttributeGroups, default_groups, with_others
from tfac.data.records.info import RecordsInfo
from tfac.errors import ConfigError, DataError
from tfac.files import read_json, whole_directory, whole_file, write_json
from tfac.inference.trained_network import TrainedNetwork
from tfac.landmarks import LandmarkScheme, get_landmark_scheme
from tfac.losses import get_attribute_loss
from tfac.models import backbones, create_model
from tfac.models.backbones import backbone_path
from tfac.networks import NETWORKS, load
from tfac.photos.face_crops import ALIGNED
from tfac.training.checkpoints import has_checkpoint, read_calibration, restore_for_use
from tfac.training.config import TrainConfig
from tfac.training.loop import create_plan

CONFIG_FILE = "config.json"
_LIBRARIES = ("tfac", "tensorflow", "keras", "keras-hub", "tensorflow-datasets", "numpy")


def load_trained_network(workdir: str | Path, precision: str | None = None) -> TrainedNetwork:
    """Returns the network of a workdir's newest checkpoint.

    Args:
        workdir: the run's folder.
        precision: arithmetic of the network, a choice of `TrainConfig.precision`; by default as it
            was trained. The weights are float32 in any.

    Raises:
        ConfigError: an unknown precision.
        DataError: the folder is no workdir, has no checkpoint yet, or is damaged.
    """
    workdir = Path(workdir)
    record = read_record(workdir)
    config, attributes, scheme, groups = _read_run(workdir)
    network_config = dataclasses.replace(
        with_kept_backbone(config, workdir), precision=precision or config.precision
    )
    # The checkpoint brings the backbone's weights.
    model = create_network(network_config, attributes, scheme, groups, backbone_weights=None)
    thresholds, step = restore_for_use(workdir, model, len(attributes))
    return TrainedNetwork(
        model=model,
        attribute_loss=get_attribute_loss(config.attribute_loss),
        thresholds=thresholds,
        attributes=attributes,
        groups=groups,
        landmark_scheme=scheme if config.trains_landmarks else None,
        faces=record["data"].get("faces", ALIGNED),
        image_size=config.image_size,
        test_time_flip=config.test_time_flip,
        source=str(workdir),
        calibration=read_calibration(workdir, step, len(attributes)),
        step=step,
        training=config.to_dict(),
        data=record["data"],
        versions=record.get("versions"),
    )


def _read_run(
    workdir: Path,
) -> tuple[TrainConfig, tuple[str, ...], LandmarkScheme, AttributeGroups]:
    """Returns the options, attributes, landmark scheme and attribute groups of a workdir."""
    record = read_record(workdir)
    try:
        config, data = TrainConfig.from_dict(record["config"]), record["data"]
        attributes, groups = tuple(data["attributes"]), data.get("attribute_groups")
        return (
            config,
            attributes,
            get_landmark_scheme(data["landmark_scheme"]),
            AttributeGroups.from_dict(groups, attributes) if groups else default_groups(attributes),
        )
    except (KeyError, TypeError, ConfigError) as error:
        raise DataError(f"{workdir / CONFIG_FILE} is not what tfac-train wrote: {error}") from error


def check_initial_workdir(config: TrainConfig, info: RecordsInfo) -> None:
    """Makes sure that a run can start from the weights of `config.initial_workdir`, if it is set.

    Raises:
        ConfigError: that run's network or its answers are others; names what differs.
        DataError: that folder is no workdir, or has no checkpoint yet.
    """
    if config.initial_workdir is None:
        return
    folder = Path(config.initial_workdir)
    there, attributes, scheme, groups = _read_run(folder)
    # What makes the network, and what decides what a score means.
    names = {"model", "attribute_loss", *NETWORKS[config.model].options}
    pairs = {name: (getattr(there, name), getattr(config, name)) for name in sorted(names)}
    pairs["attributes"] = attributes, info.attributes
    # Rules do not make a network.
    free = [dataclasses.replace(each, label_rules=()).to_dict() for each in (groups, info.groups)]
    pairs["attribute_groups"] = tuple(free)
    if with_kept_backbone(there, folder).backbone == str(Path(config.backbone).resolve()):
        del pairs["backbone"]  # that run's own, given as the copy in its folder
    if config.trains_landmarks:
        pairs["landmark_scheme"] = scheme.name, info.landmark_scheme.name
    differences = [f"{name}: {a!r} there, {b!r} here" for name, (a, b) in pairs.items() if a != b]
    if differences:
        raise ConfigError(
            f"initial_workdir={folder} holds another network than this run trains. Different: "
            f"{'; '.join(differences)}"
        )
    if not has_checkpoint(folder):
        raise DataError(f"initial_workdir={folder} has no checkpoint yet")


def with_kept_backbone(config: TrainConfig, workdir: Path) -> TrainConfig:
    """Returns a run's options with a backbone of the user's own read from the workdir's copy.

    `claim_workdir` makes the copy, so that the run does not need the user's file any more.
    """
    if not config.has_own_backbone:
        return config
    return dataclasses.replace(config, backbone=str(_kept_backbone(config, workdir)))


def _kept_backbone(config: TrainConfig, workdir: Path) -> Path:
    name = "backbone.keras" if config.backbone.endswith(".keras") else "backbone_preset"
    return workdir.resolve() / name


def _keep_backbone(config: TrainConfig, workdir: Path) -> None:
    source, copy = backbone_path(config.backbone), _kept_backbone(config, workdir)
    if source.resolve() == copy:
        return
    if source.is_dir():
        shutil.rmtree(copy, ignore_errors=True)  # of a run that saved nothing
        with whole_directory(copy) as aside:
            shutil.copytree(source, aside, dirs_exist_ok=True)
    else:
        with whole_file(copy) as aside:
            shutil.copyfile(source, aside)


def create_network(
    config: TrainConfig,
    attributes: tuple[str, ...],
    scheme: LandmarkScheme,
    groups: AttributeGroups,
    backbone_weights: str | None,
) -> keras.Model:
    """Returns the network that `config` describes for these attributes and landmarks.

    Raises:
        ConfigError: the backbone cannot be loaded, or its weights or its picture size do not fit.
    """
    spec = NETWORKS[config.model]
    given = {name: getattr(config, name) for name in spec.options}
    given |= {
        "attributes": attributes,
        "part_groups": groups.part_groups,
        "subjective_attributes": groups.subjective_attributes,
        "num_landmarks": scheme.num_landmarks if config.landmarks else 0,
        "averages_probabilities": config.attribute_loss == "binary_crossentropy",
    }
    if given.get("attention_groups") == "attributes":
        given["part_groups"] = {name: (name,) for name in attributes}
    if given.get("attention_levels"):
        levels = given["attention_levels"].split(",")
        given["levels"] = () if levels == ["none"] else levels
    taken = inspect.signature(load(spec.where)).parameters
    if "groups" in taken:
        given["groups"] = with_others(taken["groups"].default, attributes)
    model = create_model(
        config.model,
        backbone_weights=backbone_weights,
        dtype=config.precision,
        **{name: value for name, value in given.items() if name in taken},
    )
    _require_image_size(model, config)
    return model


def _require_image_size(model: keras.Model, config: TrainConfig) -> None:
    sizes = [config.image_size]
    if config.model == "two_crop_net":
        sizes = [model.whole_size, model.close_up_size]
    for backbone in backbones(model):
        own = backbone.input_shape[1:3]
        for size in sizes:
            if any(side not in (None, given) for side, given in zip(own, size, strict=True)):
                raise ConfigError(
                    f"backbone={config.backbone} takes pictures of {own[0]}x{own[1]} pixels alone "
                    f"(height x width), but {config.model} gives it {size[0]}x{size[1]}"
                )


def claim_workdir(
    workdir: Path, config: TrainConfig, info: RecordsInfo, writes: bool = True
) -> bool:
    """Writes ``config.json`` into a new workdir, or makes sure that an old one's is the same.

    A workdir without a checkpoint has nothing to go on with and counts as new. A new one gets a
    copy of a backbone of the user's own too. More epochs than an old one's are the same run where
    it would have come to that run's end as it did. Nothing is written unless `writes`.

    Returns:
        Whether the epochs are more, and `write_record` is to say so once the checkpoint is read.

    Raises:
        ConfigError: the workdir holds a run with other options or other data; names them, and what
            to give for more epochs. Or there is no such backbone.
        DataError: the workdir's ``config.json`` cannot be read.
    """
    record = _record(config, info)
    if has_checkpoint(workdir):
        before = read_record(workdir)
        # Options that its version of tfac did not have yet count as at their defaults.
        before["config"] = {**TrainConfig().to_dict(), **before.get("config", {})}
        before["data"] = {"faces": ALIGNED, "face_detector": None, **before.get("data", {})}
        differences = {
            f"{part}.{name}": f"{before.get(part, {}).get(name)!r} there, {value!r} now"
            for part in ("config", "data")
            for name, value in record[part].items()
            if before.get(part, {}).get(name) != value
        }
        longer = config.epochs > before["config"]["epochs"]
        if longer and list(differences) == ["config.epochs"] and _can_be_longer(before, info):
            return True
        if differences:
            way = "give the same ones to go on with it, or another workdir"
            if longer:
                way += (
                    f", which starts from its weights with --initial_workdir={workdir} (more "
                    "epochs alone go on with a run whose course does not depend on its end, such "
                    "as one with schedule=constant or step and thresholds other than adaptive)"
                )
            listed = "; ".join(f"{name}: {text}" for name, text in differences.items())
            raise ConfigError(
                f"{workdir} holds a run with other settings; {way}. Different: {listed}"
            )
    elif writes:
        if config.has_own_backbone:
            _keep_backbone(config, workdir)
        write_record(workdir, config, info)
    return False


def write_record(workdir: Path, config: TrainConfig, info: RecordsInfo) -> None:
    """Writes ``config.json``: a run's options, what it learns from and with which versions."""
    write_json(workdir / CONFIG_FILE, _record(config, info), indent=2)


def _record(config: TrainConfig, info: RecordsInfo) -> dict[str, Any]:
    own_groups = None if info.groups == default_groups(info.attributes) else info.groups.to_dict()
    data = {
        "name": info.name,
        "fingerprint": info.fingerprint,
        "attributes": list(info.attributes),
        "attribute_groups": own_groups,
        "landmark_scheme": info.landmark_scheme.name,
        "faces": info.faces,
        "face_detector": info.face_detector,
        "splits": dict(info.splits),
    }
    return {"config": config.to_dict(), "data": data, "versions": _versions()}


def _can_be_longer(record: dict[str, Any], info: RecordsInfo) -> bool:
    """Says whether a run of more epochs comes to the end of the recorded one as that did."""
    config = TrainConfig.from_dict(record["config"])
    if config.freeze or config.schedule == "cosine" or config.thresholds == "adaptive":  # epoch
        return False
    plan = create_plan(config, info.splits[config.train_split])
    # The validation at the end is one more than the longer run has, and may leave a trace.
    without_trace = config.schedule != "plateau" and config.weighting == "uniform"
    return without_trace or plan.total_steps % plan.update_interval == 0


def read_record(workdir: Path) -> dict[str, Any]:
    """Returns what ``config.json`` holds: "config", "data" and "versions".

    Raises:
        DataError: there is no such file, or it is no JSON object.
    """
    return read_json(workdir / CONFIG_FILE, "the folder of a run, with what tfac-train writes")


def _versions() -> dict[str, str]:
    versions = {name: importlib.metadata.version(name) for name in _LIBRARIES}
    return {"python": platform.python_version(), **versions}
