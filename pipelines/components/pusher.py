"""Pusher: puts a blessed model into service, as the next version of its folder."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import filelock

from pipelines.components.evaluator import METRICS_FILE, find_export
from pipelines.engine.artifacts import (
    Artifact,
    InfraBlessing,
    Input,
    Model,
    ModelBlessing,
    ModelEvaluation,
    Output,
    PushedModel,
)
from pipelines.engine.component import component
from pipelines.engine.origin import read_origin, write_origin
from tfac.errors import ConfigError, DataError, ServingError
from tfac.files import put_in_place, read_json, version_folders, write_json

PUSHED_FILE = "pushed.json"

_EXTRA, _METADATA_FILE = "assets.extra", "tfac.json"
_LOCK_FILE, _ASIDE, _REMOVED = ".lock", ".pushing", ".removed"


def find_problem(outputs: Mapping[str, Artifact]) -> str | None:
    """Returns why an earlier push does not stand any more, or None."""
    pushed = outputs["pushed_model"].properties
    newest = max(version_folders(pushed["destination"]), default=None)
    if newest == pushed["version"]:
        return None
    return f"version {pushed['version']} is not the newest in {pushed['destination']}"


@component(
    check=find_problem,
    neutral=("keep", "server", "server_model", "model_config_file"),
)
def pusher(
    model: Input[Model],
    evaluation: Input[ModelEvaluation],
    blessing: Input[ModelBlessing],
    infra_blessing: Input[InfraBlessing],
    pushed_model: Output[PushedModel],
    *,
    destination: str,
    keep: int = 3,
    server: str | None = None,
    server_model: str | None = None,
    model_config_file: str | None = None,
) -> None:
    """Copies the export to the next version, whole or not at all, and removes the oldest ones.

    A version is never removed that a server reports, or that a models.config names. Where the
    server cannot be asked, none is.

    Args:
        model: what to push.
        evaluation: goes with it as assets.extra/metrics.json and the model card.
        blessing: the Evaluator's.
        infra_blessing: the InfraValidator's.
        pushed_model: pushed.json; its properties are `destination` and `version`.
        destination: the folder of the model's versions, such as saved_models/dmm_cnn.
        keep: versions to keep, with the new one; 2 or more, as the one before is in service until
            a server has loaded the new one.
        server: a server of the model as `tfac.serving.Client` takes it.
        server_model: the model's name there; by default the destination's.
        model_config_file: TensorFlow Serving's models.config.

    Raises:
        ConfigError: a parameter cannot be used.
        DataError: the model is not blessed by both, or cannot be written.
    """
    for name, verdict in {"Evaluator": blessing, "InfraValidator": infra_blessing}.items():
        if verdict.properties.get("blessed") is not True:
            reasons = "; ".join(verdict.properties.get("reasons") or ["no reason given"])
            raise DataError(f"expected a model that {name} blesses. Received: {reasons}")
    if keep < 2:
        raise ConfigError(f"keep: expected 2 or more. Received: {keep}")
    folder = Path(destination)
    folder.mkdir(parents=True, exist_ok=True)
    with filelock.FileLock(folder / _LOCK_FILE):
        version = _push(model, evaluation, folder)
        used = _versions_in_use(folder, server, server_model, model_config_file)
        removed = _remove_oldest(folder, keep, used)
    pushed_model.properties |= {"destination": destination, "version": version}
    content = {**pushed_model.properties, "removed": removed}
    write_json(pushed_model.path / PUSHED_FILE, content)


def _push(model: Model, evaluation: ModelEvaluation, folder: Path) -> int:
    """Returns the version that the model has now."""
    versions, metrics = list(version_folders(folder)), read_json(evaluation.path / METRICS_FILE)
    if versions and _is_of(folder / str(versions[-1]), model):
        # Pushed by a run that was killed before it could say so.
        _write_evaluation(folder / str(versions[-1]), metrics)
        return versions[-1]
    target, aside = folder / str(max(versions, default=0) + 1), folder / _ASIDE
    shutil.rmtree(aside, ignore_errors=True)  # of a push that was killed
    try:
        shutil.copytree(find_export(model), aside)
        _write_evaluation(aside, metrics)
        write_origin(aside, model, target)
        put_in_place(aside, target)  # fails where the version was exported meanwhile
    except OSError as error:
        raise DataError(f"{target}: cannot be written: {error}") from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return int(target.name)


def _is_of(version: Path, model: Model) -> bool:
    try:
        pushed = read_origin(version)
    except DataError:
        return False
    return model.origin is not None and pushed.fingerprint == model.origin.fingerprint


def _write_evaluation(version: Path, metrics: Mapping[str, Any]) -> None:
    from tfac.evaluation.report import write_report
    from tfac.export.model_card import write_model_card

    extra = version / _EXTRA
    report = {name: value for name, value in metrics.items() if name != "model"}
    write_report(report, extra / METRICS_FILE)
    write_model_card(extra, read_json(extra / _METADATA_FILE), metrics)


def _versions_in_use(
    folder: Path, server: str | None, server_model: str | None, model_config_file: str | None
) -> set[int] | None:
    """Returns the versions that nobody may remove; None where that cannot be found out."""
    used: set[int] = set()
    if model_config_file:
        from tfac.serving.server.configuration import read_model_config

        for config in read_model_config(model_config_file):
            if config.base_path == folder.resolve():
                used |= {*config.labels.values(), *(config.policy.specific or ())}
                if config.policy.num_latest is None and config.policy.specific is None:
                    return None  # it serves all
    if server:
        from tfac.serving import Client

        try:
            with Client(server, model=server_model or folder.resolve().name) as client:
                used |= {each.version for each in client.model_status() if each.state != "END"}
        except ServingError:
            return None
    return used


def _remove_oldest(folder: Path, keep: int, used: set[int] | None) -> list[int]:
    """Returns the versions that were removed."""
    shutil.rmtree(folder / _REMOVED, ignore_errors=True)  # of a push that was killed
    if used is None:
        return []
    removed = [version for version in list(version_folders(folder))[:-keep] if version not in used]
    for version in removed:
        (folder / str(version)).rename(folder / _REMOVED)  # whole, or not there
        shutil.rmtree(folder / _REMOVED)
    return removed
