"""Writes the files of finished and failed runs, for tests."""

import json

from tfac.attributes import ATTRIBUTES
from tfac.experiments.plan import workdir
from tfac.experiments.registry import get_config
from tfac.experiments.runner import FAILURE_FILE
from tfac.experiments.scoring import JUDGED_WITH, RESULT_FILE


def write_result(output_dir, experiment, seed, accuracy, split="test", **options):
    """A result of the small protocol whose figures all are `accuracy`; returns the folder."""
    folder = workdir(output_dir, "small", experiment, seed)
    folder.mkdir(parents=True, exist_ok=True)
    rates = {"accuracy": accuracy, "balanced_accuracy": accuracy}
    report = {
        "mean_accuracy": accuracy,
        "mean_balanced_accuracy": accuracy,
        "mean_f1": accuracy,
        "mean_average_precision": None,
        "attributes": {name: rates for name in ATTRIBUTES},
    }
    result = {
        "config": get_config(experiment, "small", {"seed": seed, **options}).to_dict(),
        "data": {"name": "drawn<faces>", "fingerprint": "f"},
        "split": split,
        "weights": 11_200_000,
        "multiply_adds": 249_000_000,
        "images_per_second": 100 + seed,
        "training_seconds": 60.0,
        "splits": {split: {rule: report for rule in JUDGED_WITH}},
    }
    (folder / RESULT_FILE).write_text(json.dumps(result))
    return folder


def write_failure(output_dir, experiment, seed, reason):
    folder = workdir(output_dir, "small", experiment, seed)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / FAILURE_FILE).write_text(json.dumps({"reason": reason}))
