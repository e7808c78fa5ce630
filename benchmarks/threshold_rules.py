"""What thresholds are worth on pictures of another split than the one they were chosen on.

    python benchmarks/threshold_rules.py --workdirs=runs/seed0,runs/seed1 --data_dir=data_small

Each run is scored on the splits validation and test. Every rule chooses thresholds on one of them
and is judged on the other, both ways. `shifted` follows frequencies that are estimated from the
judged pictures' scores, or those that their labels have. "on the judged" is what no rule can have:
thresholds of the judged pictures' own labels, all at once, or of nine tenths for the tenth left.
"consistent" are answers that break no label rule (`tfac-export --consistent`).

Writes threshold_rules.json and .md to --output_dir.
"""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from absl import app, flags
from reporting import about

from tfac.data.records.frequencies import count_shown
from tfac.data.records.info import read_info
from tfac.data.records.pipeline import evaluation_dataset, read_batches
from tfac.evaluation.attribute_metrics import calibration_error
from tfac.evaluation.report import summarise
from tfac.evaluation.split_scores import SplitScores, score_split
from tfac.inference.calibration import fit_calibration
from tfac.inference.trained_network import TrainedNetwork
from tfac.training.thresholds import choose_thresholds, shifted
from tfac.training.workdir import load_trained_network

_WORKDIRS = flags.DEFINE_list("workdirs", None, "Folders of finished runs.", required=True)
_DATA_DIR = flags.DEFINE_string("data_dir", None, "Their data set.", required=True)
_OUTPUT_DIR = flags.DEFINE_string("output_dir", "runs/threshold_rules", "Where to write.")

_RULES = ("fixed", "exact", "calibrated", "exact_balanced", "calibrated_balanced")
_FOLDS = 10
_COLUMNS = {
    "mean_accuracy": "accuracy",
    "mean_balanced_accuracy": "balanced accuracy",
    "contradictions": "pictures whose answers contradict themselves",
}
_SPLITS = ("validation", "test")


def main(argv: Sequence[str]) -> None:
    """Scores, judges and writes."""
    del argv
    info = read_info(_DATA_DIR.value)
    results: dict[str, dict[str, list[list[float]]]] = {}
    errors: dict[str, list[list[float]]] = {}  # points: as they come, calibrated, by their own
    for workdir in _WORKDIRS.value:
        network = load_trained_network(Path(workdir))
        scores = {}
        for split in _SPLITS:
            batches = evaluation_dataset(info, split, image_size=network.image_size, batch_size=64)
            scores[split] = score_split(network, read_batches(batches, info, split), info)
        for chosen_on, judged_on in (_SPLITS, _SPLITS[::-1]):
            way, both = f"{chosen_on} to {judged_on}", (scores[chosen_on], scores[judged_on])
            errors.setdefault(way, []).append(_calibration_errors(network, *both))
            for rule, quality in _judge(network, *both):
                results.setdefault(way, {}).setdefault(rule, []).append(quality)
        print(f"judged {workdir}", flush=True)
    output = Path(_OUTPUT_DIR.value)
    output.mkdir(parents=True, exist_ok=True)
    versions = about(("tensorflow", "keras", "tfac"))
    (output / "threshold_rules.json").write_text(
        json.dumps({**versions, **results, "calibration errors": errors}, indent=1)
    )
    table = _table(results) + _sentence(errors)
    (output / "threshold_rules.md").write_text(table)
    print(table, f"wrote {output}/threshold_rules.json and .md", sep="\n")


def _judge(network: TrainedNetwork, chosen_on: SplitScores, judged_on: SplitScores):
    """Yields each rule and its percent of `_COLUMNS`."""

    def quality(thresholds: np.ndarray, consistent: bool = False) -> list[float]:
        """Judges at thresholds [A], or [N, A] with some for each picture."""
        answers = judged_on.scores > thresholds
        if consistent:
            held = dataclasses.replace(network, thresholds=thresholds, consistent=True)
            answers = np.asarray(held.answers(judged_on.scores))
        judged = dataclasses.replace(judged_on, answers=answers)
        cuts = np.zeros(len(network.attributes), np.float32)
        report = summarise(network.attributes, cuts, judged, rules=network.groups.label_rules)
        return [report[name] for name in _COLUMNS]

    network = dataclasses.replace(network, calibration=fit_calibration(*_known(chosen_on)))
    known, own = _known(chosen_on), _known(judged_on)
    for rule in _RULES:
        thresholds = choose_thresholds(rule, *known)
        yield rule, quality(thresholds)
        yield f"{rule}, consistent", quality(thresholds, consistent=True)
    estimated = np.full(len(network.attributes), np.nan)
    yield "shifted, estimated", quality(shifted(*known, judged_on.scores, estimated)[0])
    shown, count = count_shown(judged_on.labels, judged_on.label_mask)
    yield "shifted, known", quality(shifted(*known, judged_on.scores, shown / count)[0])
    fold = np.random.default_rng(0).permutation(len(judged_on.scores)) % _FOLDS
    for rule in _RULES[1:]:
        parts = np.stack(
            [choose_thresholds(rule, *_known(judged_on.of(fold != i))) for i in range(_FOLDS)]
        )
        yield f"{rule}, on nine tenths of the judged", quality(parts[fold])
        yield f"{rule}, on the judged", quality(choose_thresholds(rule, *own))


def _calibration_errors(
    network: TrainedNetwork, chosen_on: SplitScores, judged_on: SplitScores
) -> list[float]:
    """Returns the expected calibration error without, with, and with a calibration of its own."""
    turns = network.attribute_loss, *(fit_calibration(*_known(s)) for s in (chosen_on, judged_on))
    found = [np.asarray(turn.probabilities(judged_on.scores)) for turn in turns]
    labels, mask = judged_on.labels, judged_on.label_mask
    return [100 * float(np.mean(calibration_error(labels, each, mask))) for each in found]


def _sentence(errors) -> str:
    lines = []
    for way, of_way in errors.items():
        without, calibrated, own = np.mean(of_way, axis=0)
        lines.append(
            f"\nCalibration error, {way}: {without:.2f} points without calibration, "
            f"{calibrated:.2f} with that of the other split, {own:.2f} with its own.\n"
        )
    return "".join(lines)


def _known(scores: SplitScores) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return scores.labels, scores.scores, scores.label_mask


def _table(results) -> str:
    rows = [
        f"| chosen on, judged on | thresholds | {' | '.join(_COLUMNS.values())} |",
        "|---|---|---|---|---|",
    ]
    for way, rules in results.items():
        for rule, qualities in rules.items():
            means = " | ".join(
                f"{np.mean(values):.2f} ± {np.std(values):.2f}"
                for values in zip(*qualities, strict=True)
            )
            rows.append(f"| {way} | {rule} | {means} |")
    return "\n".join(rows) + "\n"


if __name__ == "__main__":
    app.run(main)
