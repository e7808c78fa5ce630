"""An experiment under a protocol, as the options of a training run."""

import difflib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tfac.errors import ConfigError
from tfac.experiments.protocols import PROTOCOLS, Protocol
from tfac.experiments.tables import TABLES
from tfac.experiments.variants import DYNAMIC, EXPERIMENTS, Experiment
from tfac.networks import NETWORKS
from tfac.training.config import TrainConfig

if TYPE_CHECKING:  # it imports TensorFlow, which --help does without
    from tfac.data.records.info import RecordsInfo

# A network that no experiment goes by the name of is trained as the part networks are.
_EXPERIMENTS = {
    name: Experiment(
        name, "part_networks", spec.title, {"model": name, "thresholds": "fixed"}, True
    )
    for name, spec in NETWORKS.items()
}
_EXPERIMENTS |= {experiment.name: experiment for experiment in EXPERIMENTS}
_PROTOCOLS = {protocol.name: protocol for protocol in PROTOCOLS}
_TABLES = {table.name: table for table in TABLES}


def get_experiment(name: str) -> Experiment:
    """Returns an experiment by its name.

    Raises:
        ConfigError: there is no such experiment; names the nearest.
    """
    return _look_up(name, _EXPERIMENTS, "experiment")


def get_protocol(name: str) -> Protocol:
    """Returns a protocol by its name.

    Raises:
        ConfigError: there is no such protocol.
    """
    return _look_up(name, _PROTOCOLS, "protocol")


def has_experiment(protocol: Protocol, experiment: Experiment) -> bool:
    """Says whether the protocol has a recipe for the experiment."""
    return experiment.family in protocol.families and (experiment.is_system or not protocol.fixed)


def get_config(
    experiment: str, protocol: str, given: Mapping[str, Any] | None = None
) -> TrainConfig:
    """Returns the options of an experiment under a protocol.

    Args:
        experiment: an experiment's name.
        protocol: a protocol's name.
        given: options that come before both; a model given must not be another one's.

    Raises:
        ConfigError: unknown names, an experiment that the protocol does not have, or options that
            cannot go together.
    """
    variant, recipe = get_experiment(experiment), get_protocol(protocol)
    if not has_experiment(recipe, variant):
        having = [other.name for other in PROTOCOLS if has_experiment(other, variant)]
        raise ConfigError(
            f"protocol={protocol} does not have experiment={experiment}; {', '.join(having)} do"
        )
    options = {**recipe.families[variant.family], **variant.options, **recipe.fixed}
    if options.get("weighting") == DYNAMIC:
        options["weighting"] = recipe.dynamic_weighting
    if (given or {}).get("initial_workdir"):
        options["backbone_weights"] = None  # that run's take their place
    config = TrainConfig(**{**options, **(given or {})})
    if variant.family in recipe.starts_from and config.initial_workdir is None:
        raise ConfigError(
            f"protocol={protocol} fine-tunes: give initial_workdir, the folder of a finished "
            f"run of experiment={experiment} under protocol={recipe.starts_from[variant.family]}"
        )
    return config


def require_data(experiment: str, protocol: str, info: "RecordsInfo") -> None:
    """Refuses a data set that is not the one that an experiment has under the protocol.

    Raises:
        ConfigError: LFWA is wanted with the labels and split of one paper, and it is none or has
            the other paper's.
    """
    wanted = get_protocol(protocol).lfwa_protocols.get(get_experiment(experiment).family)
    received = info.source_settings.get("protocol") if info.name == "lfwa" else None
    if wanted and received != wanted:
        raise ConfigError(
            f"protocol={protocol}: experiment={experiment} expects LFWA with its own paper's "
            f"labels and split (tfac-prepare --dataset=lfwa --lfwa_protocol={wanted}). Received: "
            f"{info.path}" + (f", prepared with {received}" if received else "")
        )


def protocol_config(experiment: str, protocol: str) -> TrainConfig:
    """Returns the options of an experiment under a protocol, as `get_config` with nothing given.

    Where the protocol fine-tunes, a dash stands for the folder of the run to start from.

    Raises:
        ConfigError: unknown names, or an experiment that the protocol does not have.
    """
    fine_tuned = get_experiment(experiment).family in get_protocol(protocol).starts_from
    return get_config(experiment, protocol, {"initial_workdir": "-"} if fine_tuned else None)


def canonical_name(experiment: str, protocol: str) -> str:
    """Returns the first experiment with the same options under the protocol, perhaps itself.

    Experiments of the same options share their runs, under this name.
    """
    wanted = protocol_config(experiment, protocol)
    recipe = get_protocol(protocol)
    return next(
        other.name
        for other in EXPERIMENTS
        if has_experiment(recipe, other) and protocol_config(other.name, protocol) == wanted
    )


def select(names: Sequence[str], protocol: str) -> list[str]:
    """Returns the experiments that the names stand for, each once.

    Args:
        names: of experiments or of tables, or "all" for each that the protocol has. Of a table and
            of "all", what the protocol does not have is left out.
        protocol: a protocol's name.

    Raises:
        ConfigError: unknown names, or nothing is left.
    """
    recipe = get_protocol(protocol)
    selected: list[str] = []
    for name in names:
        if name == "all":
            found = [each.name for each in EXPERIMENTS if has_experiment(recipe, each)]
        elif name in _TABLES:
            rows = [row.experiment for row in _TABLES[name].rows if row.experiment]
            found = [each for each in rows if has_experiment(recipe, get_experiment(each))]
        else:
            _look_up(name, {**_EXPERIMENTS, **_TABLES, "all": None}, "experiment or table")
            protocol_config(name, protocol)  # refuses what the protocol does not have
            found = [name]
        selected += [each for each in found if each not in selected]
    if not selected:
        raise ConfigError(f"protocol={protocol} has no experiment of {', '.join(names)}")
    return selected


def _look_up(name: str, known: Mapping[str, Any], what: str) -> Any:
    if name not in known:
        near = difflib.get_close_matches(name, known, n=5, cutoff=0.4) or list(known)
        raise ConfigError(f"unknown {what}: {name}. Expected for example {', '.join(near)}")
    return known[name]
