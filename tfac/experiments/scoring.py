"""What a finished run is worth: its ``result.json``, and pictures of its attention."""

import os
from pathlib import Path
from typing import Any

import numpy as np

from tfac.data.records.info import RecordsInfo, read_info
from tfac.data.records.pipeline import evaluation_dataset, read_batches
from tfac.evaluation.attention_pictures import draw_attention
from tfac.evaluation.report import summarise, write_report
from tfac.evaluation.split_scores import SplitScores, score_split
from tfac.experiments.cost import count_multiply_adds
from tfac.files import whole_file
from tfac.inference.trained_network import TrainedNetwork
from tfac.training.curves import read_series
from tfac.training.thresholds import choose_thresholds
from tfac.training.workdir import load_trained_network

RESULT_FILE = "result.json"
MASKS_FILE = "attention_masks.png"
AFFINITY_FILE = "affinity.png"

# The thresholds that a run is judged with: its own, and two chosen on its validation split.
JUDGED_WITH = ("trained", "exact", "exact_balanced")

_MOST_GROUPS = 12  # more masks than that are no picture
_PICTURES_OF_MASKS = 4


def score_run(
    workdir: str | os.PathLike, data_dir: str | os.PathLike, split: str, batch_size: int = 64
) -> dict[str, Any]:
    """Judges a finished run and writes its ``result.json`` whole.

    Thresholds are chosen on the run's validation split, and judged on it and on `split`.

    Args:
        workdir: the run's folder.
        data_dir: the data set that it was trained on.
        split: the split to judge on.
        batch_size: pictures at a time.

    Returns:
        What the file holds: "config", "data", "split", "validation_split", "step", "weights",
        "multiply_adds" (of one picture), "images_per_second" (the median over the training),
        "training_seconds" (at that rate, validations left out), and "splits", of each the report
        (`tfac.evaluation.report`) for each of `JUDGED_WITH`.
    """
    workdir = Path(workdir)
    trained, info = load_trained_network(workdir), read_info(data_dir)
    # Before the network is accelerated: products leave out the padding.
    multiply_adds = count_multiply_adds(trained.predict, trained.image_size)

    def score(name: str) -> SplitScores:
        dataset = evaluation_dataset(
            info, name, image_size=trained.image_size, batch_size=batch_size
        )
        return score_split(trained, read_batches(dataset, info, name), info)

    validation_split = trained.training["validation_split"]
    by_split = {name: score(name) for name in {validation_split: 0, split: 0}}
    images_per_second = _images_per_second(workdir)
    result = {
        "config": dict(trained.training),
        "data": {"name": info.name, "fingerprint": info.fingerprint},
        "split": split,
        "validation_split": validation_split,
        "step": trained.step,
        "weights": int(sum(np.prod(weight.shape) for weight in trained.model.trainable_weights)),
        "multiply_adds": multiply_adds,
        "images_per_second": images_per_second,
        "training_seconds": trained.step * trained.training["batch_size"] / images_per_second,
        "splits": {
            name: _judge(trained, scores, by_split[validation_split])
            for name, scores in by_split.items()
        },
    }
    _draw_attention(trained, info, split, workdir)
    write_report(result, workdir / RESULT_FILE)
    return result


def _judge(trained: TrainedNetwork, scores: SplitScores, validation: SplitScores) -> dict[str, Any]:
    reports = {}
    for rule in JUDGED_WITH:
        thresholds = trained.thresholds
        if rule != "trained":
            thresholds = choose_thresholds(
                rule, validation.labels, validation.scores, validation.label_mask
            )
        rules = trained.groups.label_rules
        reports[rule] = summarise(trained.attributes, thresholds, scores, rules=rules)
    return reports


def _images_per_second(workdir: Path) -> float:
    """Returns the median rate; NaN of a run without a step, as with a frozen backbone."""
    _, rates = read_series(workdir / "tensorboard").get("images_per_second", ((), (np.nan,)))
    return float(np.median(rates))


def _draw_attention(trained: TrainedNetwork, info: RecordsInfo, split: str, workdir: Path) -> None:
    """Draws the part masks over the split's first pictures, and the mean affinity over more."""
    dataset = evaluation_dataset(info, split, image_size=trained.image_size, batch_size=64)
    images = next(iter(read_batches(dataset, info, split)))["images"].numpy()
    figures = draw_attention(trained.model, images, _PICTURES_OF_MASKS, _MOST_GROUPS)
    for name, figure in figures.items():
        with whole_file(workdir / f"{name}.png") as aside:
            figure.savefig(aside)
