"""tfac-train: trains a network on a prepared data set, or goes on with a run that was stopped.

Examples:
    tfac-train --data_dir=data/celeba --workdir=runs/celeba
    tfac-train --data_dir=data/mine --workdir=runs/mine --freeze
    tfac-train --model=dmm_cnn --protocol=from_scratch --data_dir=data/celeba --workdir=runs/dmm_cnn

Defaults are those of two_crop_net under --protocol=pretrained; another experiment, model or
protocol brings its own. Without --experiment, options that are not given follow what the data set
has: without landmarks, say, none are trained; a line says so.
"""

import dataclasses
import functools
import shlex
import sys
from typing import Any

from absl import flags

from tfac.cli import define_flag, import_tensorflow_quietly, run_program
from tfac.experiments.protocols import PROTOCOLS
from tfac.experiments.registry import get_config, require_data
from tfac.experiments.variants import EXPERIMENTS
from tfac.networks import networks_with
from tfac.training.config import TrainConfig, describe_range

_DATA_DIR = flags.DEFINE_string("data_dir", None, "prepared data set, as tfac-prepare wrote it")
_WORKDIR = flags.DEFINE_string(
    "workdir", None, "folder of the run; the same command with it goes on with a stopped run"
)
_EXPERIMENT = flags.DEFINE_enum(
    "experiment",
    None,
    [experiment.name for experiment in EXPERIMENTS],
    "what to train, see tfac-experiment --experiment=list; other flags override it. By default "
    "the one that is called like the model, and without one two_crop_net",
)
_PROTOCOL = flags.DEFINE_enum(
    "protocol",
    "pretrained",
    [protocol.name for protocol in PROTOCOLS],
    "the recipe that it starts from: "
    + "; ".join(f"{protocol.name}, {protocol.about}" for protocol in PROTOCOLS),
)


_DEFAULT_EXPERIMENT = "two_crop_net"


def _describe(field: dataclasses.Field) -> str:
    """Returns what the flag of a field of `TrainConfig` is; not given, it is None."""
    default = getattr(_DEFAULTS, field.name)
    if isinstance(default, tuple):
        default = "x".join(map(str, default))
    alone = ", ".join(networks_with(field.name))
    limits = [describe_range(field), alone and f"{alone} alone"]
    limits = "; ".join(part for part in limits if part)
    text = field.metadata["help"] + (f" ({limits})" if limits else "")
    shown = "not given" if default is None else str(default)
    return f"{text} (default: {shown.lower() if isinstance(default, bool) else shown})"


_DEFAULTS = get_config(_DEFAULT_EXPERIMENT, _PROTOCOL.default)
_OPTIONS = {
    field.name: define_flag(field, None, _describe(field))
    for field in dataclasses.fields(TrainConfig)
}
flags.mark_flags_as_required(["data_dir", "workdir"])


def config_from_flags() -> TrainConfig:
    """Returns the experiment's config with the given flags in place of its values.

    Raises:
        ConfigError: an impossible value or combination.
    """
    return get_config(_experiment(), _PROTOCOL.value, _given())


def _given() -> dict[str, Any]:
    return {name: flag.value for name, flag in _OPTIONS.items() if flag.value is not None}


def _experiment() -> str:
    return _EXPERIMENT.value or _OPTIONS["model"].value or _DEFAULT_EXPERIMENT


def main() -> int:
    """Trains; returns 0, or 128 plus the signal's number after a stop that was asked for."""
    config = config_from_flags()
    import_tensorflow_quietly()

    from tfac.data.records.info import read_info
    from tfac.training.curves import are_drawn, draw_curves
    from tfac.training.devices import is_chief
    from tfac.training.fitting import fit_to_data
    from tfac.training.interruption import Interrupted
    from tfac.training.run import run_training

    workdir = _WORKDIR.value
    info = read_info(_DATA_DIR.value)
    require_data(_experiment(), _PROTOCOL.value, info)
    if _EXPERIMENT.value is None:
        config, changes = fit_to_data(config, _given(), info)
        print("".join(f"{change}\n" for change in changes), end="", flush=True)
    try:
        run_training(config, _DATA_DIR.value, workdir)
        if not is_chief(config):
            return 0
        drawn_from, curves = f"{workdir}/tensorboard", f"{workdir}/curves.png"
        is_new = not are_drawn(drawn_from, curves)
        if is_new:
            draw_curves(drawn_from, curves)
    except Interrupted as interrupted:
        print(
            f"Stopped by {interrupted}; a checkpoint is saved in {workdir}/checkpoints. "
            "The same command goes on from there.",
            file=sys.stderr,
        )
        return 128 + interrupted.signal_number
    split = "test" if info.splits.get("test") else config.validation_split
    data_dir = f"--data_dir={_DATA_DIR.value}"
    if is_new:
        print(f"Wrote {workdir}: config.json, checkpoints/, tensorboard/, curves.png\nNext:")
    else:
        print(f"{workdir} has this run, which has ended: nothing was written\nNext:")
    for command in (
        ["tensorboard", f"--logdir={workdir}/tensorboard"],
        ["tfac-evaluate", f"--workdir={workdir}", data_dir, f"--split={split}"],
        ["tfac-export", f"--workdir={workdir}"],
    ):
        print(f"  {shlex.join(command)}")
    return 0


run = functools.partial(run_program, main)

if __name__ == "__main__":
    run()
