"""tfac-evaluate: how well a checkpoint or SavedModel predicts the attributes of a split.

Example:
    tfac-evaluate --workdir=runs/dmm_cnn --data_dir=data/celeba --slices=Male,Young,Male*Young
"""

import dataclasses
import functools
import shlex
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from absl import flags

from tfac.cli import import_tensorflow_quietly, run_program
from tfac.progress import progress

if TYPE_CHECKING:
    from tfac.data.records.info import RecordsInfo
    from tfac.evaluation.split_scores import SplitScores
    from tfac.inference.trained_network import TrainedNetwork

_WORKDIR = flags.DEFINE_string(
    "workdir", None, "folder of a training run, of which the newest checkpoint is evaluated"
)
_SAVED_MODEL = flags.DEFINE_string(
    "saved_model", None, "exported model: its folder (the newest version counts) or one version's"
)
_DATA_DIR = flags.DEFINE_string(
    "data_dir", None, "prepared data set, as tfac-prepare wrote it", required=True
)
_SPLIT = flags.DEFINE_string("split", "validation", "the split to evaluate on")
_SLICES = flags.DEFINE_string(
    "slices",
    "",
    "attributes to report apart, with and without each, comma-separated; products such as "
    "Male*Young give every combination",
)
_THRESHOLDS = flags.DEFINE_enum(
    "thresholds",
    "trained",
    (
        *("trained", "fixed", "exact", "exact_balanced"),
        *("calibrated", "calibrated_balanced", "shifted"),
    ),
    "decision thresholds: trained (the model's own), fixed (a score of 0), exact (best accuracy on "
    "--thresholds_split), exact_balanced (best balanced accuracy on it), calibrated or "
    "calibrated_balanced (as these, from probabilities calibrated on it), or shifted (calibrated, "
    "for pictures among which attributes are as frequent as --frequencies says)",
)
_FREQUENCIES = flags.DEFINE_string(
    "frequencies",
    None,
    "for --thresholds=shifted, JSON file of attributes and the shares of pictures that show them, "
    "each above 0 and below 1; by default, and for attributes left out, they are estimated from "
    "the scores of --split",
)
_THRESHOLDS_SPLIT = flags.DEFINE_string(
    "thresholds_split", "validation", "the split that thresholds other than trained are chosen on"
)
_CONSISTENT = flags.DEFINE_bool(
    "consistent",
    None,
    "judge answers that break none of the label rules, as tfac-export --consistent gives them; by "
    "default as the export answers, and for a workdir no",
)
_BATCH_SIZE = flags.DEFINE_integer("batch_size", 64, "pictures at a time, 1 or more", 1)
_ACCELERATE = flags.DEFINE_bool(
    "accelerate", True, "run a checkpoint's network on faster operations than Keras's"
)
_OUTPUT_DIR = flags.DEFINE_string(
    "output_dir",
    None,
    "folder for metrics.json and accuracy.png; by default WORKDIR/evaluation/SPLIT, and "
    "runs/evaluation/MODEL/VERSION/SPLIT for a SavedModel",
)


@flags.multi_flags_validator(
    ["workdir", "saved_model"], "expected exactly one of --workdir and --saved_model"
)
def _one_model(values: dict[str, Any]) -> bool:
    return (not values["workdir"]) != (not values["saved_model"])


def main() -> None:
    """Evaluates, prints the table and writes the report and its picture."""
    import_tensorflow_quietly()

    from tfac.data.records.info import read_info
    from tfac.evaluation.charts import draw_bars, draw_reliability
    from tfac.evaluation.report import format_report, write_report
    from tfac.files import only_writer

    info = read_info(_DATA_DIR.value)
    network, default_output_dir = _load_network()
    output_dir = Path(_OUTPUT_DIR.value or default_output_dir / _SPLIT.value)
    with only_writer(output_dir, "--output_dir"):
        report, split_scores = _evaluate(network, info)
        print(format_report(report, network.probabilities))
        write_report(report, output_dir / "metrics.json")
        draw_bars(report, output_dir / "accuracy.png")
        draw_reliability(split_scores, output_dir / "reliability.png")
    written = (output_dir / name for name in ("metrics.json", "accuracy.png", "reliability.png"))
    print("\nwritten:", "\n         ".join(map(str, written)))
    print(f"next:    {shlex.join(_next_command(output_dir))}")


def _evaluate(
    network: "TrainedNetwork", info: "RecordsInfo"
) -> "tuple[dict[str, Any], SplitScores]":
    """Returns the report that the flags ask for, and what it is of."""
    import numpy as np

    from tfac.attributes import attribute_indices
    from tfac.data.records.frequencies import count_shown, describe_changes, read_frequencies
    from tfac.data.records.pipeline import evaluation_dataset, read_batches
    from tfac.evaluation.report import summarise
    from tfac.evaluation.slices import parse_slices
    from tfac.evaluation.split_scores import score_split
    from tfac.training.class_balance import count_labels
    from tfac.training.thresholds import choose_thresholds, shifted

    slicings = parse_slices(_SLICES.value, network.attributes)

    def score(split: str) -> "SplitScores":
        dataset = evaluation_dataset(
            info, split, image_size=network.image_size, batch_size=_BATCH_SIZE.value
        )
        batches = read_batches(dataset, info, split)
        return score_split(network, _with_progress(batches, info.splits[split]), info)

    split_scores, chooser = score(_SPLIT.value), None
    thresholds, rule = network.thresholds, _THRESHOLDS.value
    if rule == "trained":
        moved = network.training["thresholds"] != "fixed"
        chosen_on = network.training["validation_split"] if moved else ""
    else:
        chosen_on = _THRESHOLDS_SPLIT.value
        chooser = split_scores if chosen_on == _SPLIT.value else score(chosen_on)
        known = chooser.labels, chooser.scores, chooser.label_mask
        if rule == "shifted":
            frequencies = read_frequencies(_FREQUENCIES.value, network.attributes)
            thresholds, _ = shifted(*known, split_scores.scores, frequencies)
        else:
            thresholds = choose_thresholds(rule, *known)
    if chosen_on in info.splits and chosen_on != _SPLIT.value:
        if chooser is None:
            found = count_labels(info, chosen_on, True)
            columns = attribute_indices(network.attributes, info.attributes)
            here = found.positives[columns], (found.positives + found.negatives)[columns]
        else:
            here = count_shown(chooser.labels, chooser.label_mask)
        there = count_shown(split_scores.labels, split_scores.label_mask)
        changes = describe_changes(network.attributes, chosen_on, here, _SPLIT.value, there)
        if changes:
            print(f"warning: {changes}. Thresholds of one may be wrong for the other", flush=True)
    if network.consistent:
        network = dataclasses.replace(network, thresholds=thresholds)
        answers = np.asarray(network.answers(split_scores.scores))
        split_scores = dataclasses.replace(split_scores, answers=answers)
    report = {
        "model": network.source,
        "data_set": info.name,
        "split": _SPLIT.value,
        "thresholds": rule,
        "consistent": network.consistent,
        **summarise(
            network.attributes, thresholds, split_scores, slicings, network.groups.label_rules
        ),
    }
    return report, split_scores


def _load_network() -> "tuple[TrainedNetwork, Path]":
    """Returns the network that the flags name and the default folder for its reports."""
    if _WORKDIR.value:
        from tfac.training.workdir import load_trained_network

        network = load_trained_network(_WORKDIR.value)
        folder = Path(_WORKDIR.value, "evaluation")
    else:
        from tfac.inference.exported_network import load_exported_network

        network = load_exported_network(_SAVED_MODEL.value)
        version = Path(network.source).resolve()
        folder = Path("runs", "evaluation", version.parent.name, version.name)
    consistent = network.consistent if _CONSISTENT.value is None else _CONSISTENT.value
    network = dataclasses.replace(network, accelerated=_ACCELERATE.value, consistent=consistent)
    return network, folder


def _with_progress(batches: Iterable[dict], pictures: int) -> Iterator[dict]:
    with progress(total=pictures, desc="evaluating", unit=" pictures") as bar:
        for batch in batches:
            yield batch
            bar.update(len(batch["images"]))


def _next_command(output_dir: Path) -> list[str]:
    if _WORKDIR.value:
        evaluation = f"--evaluation={output_dir / 'metrics.json'}"
        consistent = ["--consistent"] if _CONSISTENT.value else []
        return ["tfac-export", f"--workdir={_WORKDIR.value}", *consistent, evaluation]
    return ["tfac-predict", f"--saved_model={_SAVED_MODEL.value}", "PHOTO..."]


run = functools.partial(run_program, main)

if __name__ == "__main__":
    run()
