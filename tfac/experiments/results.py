"""What is known of every run under a protocol, gathered from the runs' folders."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tfac.experiments.plan import workdir
from tfac.experiments.registry import canonical_name, get_protocol, has_experiment, protocol_config
from tfac.experiments.runner import FAILURE_FILE, read_json
from tfac.experiments.scoring import RESULT_FILE
from tfac.experiments.variants import EXPERIMENTS

# Heading to thresholds and mean: what a comparison shows, together.
METRICS: dict[str, tuple[str, str]] = {
    "accuracy": ("trained", "mean_accuracy"),
    "balanced accuracy": ("trained", "mean_balanced_accuracy"),
    "accuracy, exact": ("exact", "mean_accuracy"),
    "balanced accuracy, exact_balanced": ("exact_balanced", "mean_balanced_accuracy"),
    "F1, exact": ("exact", "mean_f1"),
    "average precision": ("exact", "mean_average_precision"),
    "contradictions": ("trained", "contradictions"),
    "landmark error": ("trained", "landmark_error"),
}
COSTS = ("weights", "multiply_adds", "images_per_second", "training_seconds")


@dataclasses.dataclass(frozen=True)
class Spread:
    """A mean and its standard deviation over seeds.

    Attributes:
        mean: the mean; NaN of nothing.
        deviation: the sample standard deviation; NaN of fewer than two.
        count: how many seeds.
    """

    mean: float
    deviation: float
    count: int

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        """Returns that of the values that are defined."""
        known = [value for value in values if not math.isnan(value)]
        return cls(
            float(np.mean(known)) if known else math.nan,
            float(np.std(known, ddof=1)) if len(known) > 1 else math.nan,
            len(known),
        )


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What became of an experiment's runs.

    Attributes:
        experiment: its name.
        protocol: the protocol's name.
        ran_as: the name that its runs go by, its own or that of one with the same options.
        results: seed to what `tfac.experiments.scoring` wrote, of those judged on the report's
            split.
        failures: seed to the reason.
        others: seed to why a result is not counted.
        workdirs: seed to the run's folder, of the results.
        split: the split that the results are judged on.
    """

    experiment: str
    protocol: str
    ran_as: str
    results: Mapping[int, dict[str, Any]]
    failures: Mapping[int, str]
    others: Mapping[int, str]
    workdirs: Mapping[int, Path]
    split: str

    def values(self, metric: tuple[str, str]) -> dict[int, float]:
        """Returns a metric by seed, percent; NaN where it is undefined."""
        thresholds, mean = metric
        reports = {seed: result["splits"][self.split] for seed, result in self.results.items()}
        return {seed: _number(report[thresholds].get(mean)) for seed, report in reports.items()}

    def spread(self, metric: tuple[str, str]) -> Spread:
        """Returns a metric over the seeds."""
        return Spread.of(list(self.values(metric).values()))

    def difference(self, other: "Outcome", metric: tuple[str, str]) -> Spread:
        """Returns by how much it is above another, seed by seed, over the seeds of both."""
        mine, theirs = self.values(metric), other.values(metric)
        return Spread.of([mine[seed] - theirs[seed] for seed in mine if seed in theirs])

    def by_attribute(self, metric: tuple[str, str]) -> dict[str, float]:
        """Returns each attribute's mean over the seeds, of "accuracy" and the like."""
        thresholds, name = metric
        reports = [result["splits"][self.split][thresholds] for result in self.results.values()]
        names = reports[0]["attributes"] if reports else ()
        return {
            attribute: Spread.of([_number(r["attributes"][attribute][name]) for r in reports]).mean
            for attribute in names
        }

    def cost(self, name: str) -> float:
        """Returns one of `COSTS`, its median over the seeds; NaN without a result."""
        values = [_number(result[name]) for result in self.results.values()]
        return float(np.median(values)) if values else math.nan

    def departures(self) -> dict[str, Any]:
        """Returns options of its results that are not the protocol's, but for what seeds change."""
        own = protocol_config(self.experiment, self.protocol).to_dict()
        return {
            name: value
            for result in self.results.values()
            for name, value in result["config"].items()
            if name not in ("seed", "initial_workdir") and own.get(name) != value
        }


def majority_accuracy(outcomes: Mapping[str, Outcome]) -> float:
    """Returns the accuracy of always giving the commoner answers of the split, percent.

    NaN where no result knows it.
    """
    metric = ("trained", "mean_majority_accuracy")
    return Spread.of([outcome.spread(metric).mean for outcome in outcomes.values()]).mean


def read_outcomes(output_dir: Path, protocol: str, split: str) -> dict[str, Outcome]:
    """Returns what became of every experiment of the protocol, by name, tried or not.

    Args:
        output_dir: the folder of all protocols.
        protocol: the protocol's name.
        split: results judged on another split do not count, and are said not to.
    """
    recipe = get_protocol(protocol)
    return {
        each.name: _read_outcome(output_dir, protocol, each.name, split)
        for each in EXPERIMENTS
        if has_experiment(recipe, each)
    }


def _read_outcome(output_dir: Path, protocol: str, experiment: str, split: str) -> Outcome:
    ran_as = canonical_name(experiment, protocol)
    results, failures, others, workdirs = {}, {}, {}, {}
    folder = workdir(output_dir, protocol, ran_as, 0).parent
    for path in sorted(folder.glob("seed_*"), key=lambda path: int(path.name.split("_")[1])):
        seed = int(path.name.split("_")[1])
        result = read_json(path / RESULT_FILE)
        if result is not None and result["split"] == split:
            results[seed], workdirs[seed] = result, path
        elif result is not None:
            others[seed] = f"judged on {result['split']}"
        failure = read_json(path / FAILURE_FILE)
        if failure is not None:  # of the latest try; an earlier one may have left a result
            failures[seed] = failure["reason"]
        elif result is None:
            others[seed] = "not finished"
    return Outcome(experiment, protocol, ran_as, results, failures, others, workdirs, split)


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)
