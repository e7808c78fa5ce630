"""tfac-experiment: runs the papers' experiments and writes the tables and figures, theirs and ours.

Example:
    tfac-experiment --experiment=list
    tfac-experiment --experiment=dmm_table1,mgg_net --data_dir=data/celeba --seeds=3

A run that is finished is not run again, one that was stopped goes on, one that failed is tried
again; a failure does not end the others. Ctrl-C lets the run at hand save its state and writes the
report of what is there. Several of these programs may share an output_dir. A protocol's folder in
it is for one data set; one that fine-tunes, as paper_lfwa does DMM-CNN, starts from the runs that
the same output_dir has under the other:
    tfac-experiment --experiment=dmm_cnn --protocol=paper_celeba --data_dir=data/celeba
    tfac-experiment --experiment=dmm_cnn --protocol=paper_lfwa --data_dir=data/lfwa
"""

import dataclasses
import functools
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from absl import flags

from tfac.cli import import_tensorflow_quietly, run_program
from tfac.errors import ConfigError
from tfac.experiments.protocols import PROTOCOLS
from tfac.experiments.registry import canonical_name, has_experiment, select
from tfac.experiments.tables import TABLES
from tfac.experiments.variants import EXPERIMENTS, Experiment
from tfac.training.config import TrainConfig, field_type

_EXPERIMENT = flags.DEFINE_list(
    "experiment",
    None,
    "names of experiments or tables, comma-separated, which the report is about; all for every "
    "one; list says what each is",
    required=True,
)
_PROTOCOL = flags.DEFINE_enum(
    "protocol",
    "small",
    [protocol.name for protocol in PROTOCOLS],
    "the recipe: " + "; ".join(f"{each.name}, {each.about}" for each in PROTOCOLS),
)
_DATA_DIR = flags.DEFINE_string("data_dir", None, "prepared data set, as tfac-prepare wrote it")
_SEEDS = flags.DEFINE_integer("seeds", 1, "runs of each experiment, with seeds 0, 1, ...", 1)
_OUTPUT_DIR = flags.DEFINE_string(
    "output_dir",
    "runs/experiments",
    "folder of all protocols; a run is in PROTOCOL/EXPERIMENT/seed_S, the report in "
    "PROTOCOL/report",
)
_SPLIT = flags.DEFINE_string("split", "test", "the split that runs are judged on")
_OPTION = flags.DEFINE_multi_string(
    "option",
    [],
    "NAME=VALUE, an option of tfac-train that every run takes in place of its own; the report says "
    "so; may be repeated",
)
_REPORT_ONLY = flags.DEFINE_bool("report_only", False, "run nothing, write the report anew")


def main() -> int:
    """Runs and reports; returns 0, 1 if a run failed, or 128 plus the signal's number."""
    if _EXPERIMENT.value == ["list"]:
        print("\n".join(_describe_all()))
        return 0
    protocol, output_dir = _PROTOCOL.value, Path(_OUTPUT_DIR.value)
    names = select(_EXPERIMENT.value, protocol)
    given = _parse_options(_OPTION.value)
    import_tensorflow_quietly()

    from tfac.experiments.plan import plan_runs
    from tfac.experiments.report import format_outcomes, write_experiment_report

    about = output_dir, protocol, _SPLIT.value, _EXPERIMENT.value

    def report() -> Path:
        return write_experiment_report(*about)

    status = 0
    if not _REPORT_ONLY.value:
        status = _run(plan_runs(names, protocol, _SEEDS.value, output_dir, given), report)
    print(f"{format_outcomes(*about)}\nWrote {report()}")
    return status


def _run(runs: Sequence[Any], report) -> int:
    from tfac.data.records.info import read_info
    from tfac.experiments.runner import Runner
    from tfac.training.interruption import Interrupted

    if not _DATA_DIR.value:
        raise ConfigError("--data_dir is needed: the folder of a prepared data set")
    info = read_info(_DATA_DIR.value)
    if not info.splits.get(_SPLIT.value):
        filled = ", ".join(f"{name} ({count})" for name, count in info.splits.items() if count)
        raise ConfigError(
            f"split={_SPLIT.value}: expected a split of {info.path} to judge on: {filled}. Name "
            "one with --split, or prepare the data set anew"
        )
    print(f"{len(runs)} runs, protocol {_PROTOCOL.value}, data set {info.path}")
    try:
        failed = Runner(info, _SPLIT.value, report).run_all(runs)
    except Interrupted as interrupted:
        print(f"Stopped by {interrupted}; the same command goes on from there.")
        return 128 + interrupted.signal_number
    if failed:
        print(f"{len(failed)} of {len(runs)} runs failed; the same command tries them again")
    return 1 if failed else 0


def _parse_options(texts: Sequence[str]) -> dict[str, Any]:
    fields = {field.name: field for field in dataclasses.fields(TrainConfig)}
    options = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or name not in fields or name in ("model", "seed"):
            raise ConfigError(
                f"option: expected NAME=VALUE with an option of tfac-train. Received: {text}"
            )
        options[name] = _parse_value(text, *field_type(fields[name]), value)
    return options


def _parse_value(text: str, kind: type, optional: bool, value: str) -> Any:
    if optional and kind is str and not value:
        return None
    parse = {bool: {"true": True, "false": False}.__getitem__, int: int, float: float}
    try:
        return parse.get(kind, str)(value)
    except (KeyError, ValueError) as error:
        raise ConfigError(f"option: expected {kind.__name__}. Received: {text}") from error


def _describe_all() -> Iterator[str]:
    yield "Protocols (--protocol):"
    for protocol in PROTOCOLS:
        yield f"  {protocol.name:<14}{protocol.about}"
    yield "\nTables (--experiment takes their names too):"
    for table in TABLES:
        yield f"  {table.name:<14}{table.title}"
    yield "\nExperiments (--experiment), with the papers' figures in percent:"
    for experiment in EXPERIMENTS:
        yield from _describe(experiment)


def _describe(experiment: Experiment) -> Iterator[str]:
    yield f"  {experiment.name}: {experiment.about}"
    for table in TABLES:
        for row in table.rows:
            if row.experiment == experiment.name:
                figures = [f"{name} {value:.2f}" for name, value in row.published.items()]
                where = f"{row.label}, {row.column}" if row.column else row.label
                note = f" ({row.note})" if row.note else ""
                yield f"      {table.name}, {where}: {', '.join(figures) or 'no figure'}{note}"
    having = [each for each in PROTOCOLS if has_experiment(each, experiment)]
    protocols = []
    for protocol in having:
        name = canonical_name(experiment.name, protocol.name)
        same = "" if name == experiment.name else f" (same runs as {name})"
        protocols.append(protocol.name + same)
    text = f"protocols: {', '.join(protocols)}"
    yield from textwrap.wrap(text, 92, initial_indent=" " * 6, subsequent_indent=" " * 8)


run = functools.partial(run_program, main)

if __name__ == "__main__":
    run()
