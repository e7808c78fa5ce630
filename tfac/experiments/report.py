"""The report of all runs under a protocol: the papers' tables and figures, the papers' and ours.

``output_dir/PROTOCOL/report/`` then has ``index.html`` with its pictures beside it, ``runs.csv``
with a line a run, and ``results.json`` with the means. The page needs no server and no script.
"""

import csv
import math
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from tfac.evaluation.report import write_report
from tfac.experiments.figures import (
    draw_attribute_bars,
    draw_attribute_weights,
    draw_thresholds,
    draw_validation_losses,
)
from tfac.experiments.page import Picture, render_page
from tfac.experiments.registry import select
from tfac.experiments.results import COSTS, METRICS, Outcome, majority_accuracy, read_outcomes
from tfac.experiments.scoring import AFFINITY_FILE, MASKS_FILE
from tfac.experiments.tables import ACCURACY, TABLES, Table
from tfac.files import whole_file
from tfac.training.curves import Series, changing_tags, read_series

Outcomes = Mapping[str, Outcome]

_COMMONER = "commoner answer"


def write_experiment_report(
    output_dir: Path, protocol: str, split: str, asked: Sequence[str] = ("all",)
) -> Path:
    """Writes the report of what is there, and returns its page.

    Args:
        output_dir: the folder of all protocols.
        protocol: the protocol's name.
        split: the split that counted results are judged on.
        asked: names of tables and experiments that the page is about, or "all". The files beside it
            have every run.
    """
    outcomes = read_outcomes(output_dir, protocol, split)
    folder = output_dir / protocol / "report"
    folder.mkdir(parents=True, exist_ok=True)
    _write_runs(outcomes, folder / "runs.csv")
    write_report(_means(outcomes), folder / "results.json")
    tables = asked_tables(asked)
    names = select(asked, protocol)
    outcomes = {name: outcome for name, outcome in outcomes.items() if name in names}
    pictures = [*_bars(tables, outcomes, folder), *_curves(outcomes, folder)]
    pictures += _attention(outcomes, folder)
    page = folder / "index.html"
    text = render_page(protocol, split, tables, outcomes, pictures)
    with whole_file(page) as aside:
        aside.write_text(text, encoding="utf-8")
    return page


def asked_tables(asked: Sequence[str]) -> list[Table]:
    """Returns the tables among the names of tables and experiments; all of them for "all"."""
    return [table for table in TABLES if table.name in asked or "all" in asked]


def format_outcomes(output_dir: Path, protocol: str, split: str, asked: Sequence[str]) -> str:
    """Returns what the runs of the experiments that were asked for are worth, a line each.

    For the arguments see `write_experiment_report`.
    """
    outcomes = read_outcomes(output_dir, protocol, split)
    outcomes = {name: outcomes[name] for name in select(asked, protocol)}
    width = max(map(len, [*outcomes, _COMMONER]))
    lines = [f"{'percent':{width}}  {'accuracy':>14}  {'balanced':>14}  seeds"]
    for name, outcome in outcomes.items():
        cells = [
            f"{_plain_spread(outcome, METRICS[metric]):>14}"
            for metric in ("accuracy", "balanced accuracy")
        ]
        lines.append(f"{name:{width}}  {'  '.join(cells)}  {len(outcome.results):>5}")
    majority = majority_accuracy(outcomes)
    if not math.isnan(majority):
        lines.append(f"{_COMMONER:{width}}  {majority:>14.2f}  {50:>14.2f}")
    return "\n".join(lines)


def _plain_spread(outcome: Outcome, metric: tuple[str, str]) -> str:
    spread = outcome.spread(metric)
    if math.isnan(spread.mean):
        return "-"
    text = f"{spread.mean:.2f}"
    return text if math.isnan(spread.deviation) else f"{text} ± {spread.deviation:.2f}"


def _bars(tables: Sequence[Table], outcomes: Outcomes, folder: Path) -> list[Picture]:
    """Accuracy by attribute of each table whose rows are methods, where two or more have run."""
    pictures = []
    for table in tables:
        bars = {
            row.label: outcomes[row.experiment].by_attribute((table.metric[0], name))
            for row in table.rows
            if row.experiment in outcomes and outcomes[row.experiment].results
            for name in [table.metric[1].removeprefix("mean_")]
        }
        if len(bars) < 2 or table.columns:
            continue
        what = "accuracy" if table.metric == ACCURACY else "balanced accuracy"
        caption = f"{what.capitalize()} by attribute: {table.title}"
        path = folder / f"{table.name}_attributes.png"
        draw_attribute_bars(bars, _titled(outcomes, what), path)
        pictures.append(Picture(path.name, caption))
    return pictures


def _curves(outcomes: Outcomes, folder: Path) -> list[Picture]:
    """Figures 5 to 7 of DMM-CNN, of the lowest seed that has a result."""
    pictures = []

    def draw(name: str, caption: str, title: str, function: Callable, series) -> None:
        function(series, _titled(outcomes, title), folder / name)
        pictures.append(Picture(name, caption))

    dynamic, fixed = _series(outcomes, "dmm_cnn"), _series(outcomes, "dmm_eq_at")
    if dynamic and fixed and _weighting(outcomes["dmm_cnn"]).startswith("dynamic"):
        draw(
            "validation_losses.png",
            "DMM-CNN, figure 5: validation loss with fixed (FIX) and dynamic weights (DW)",
            "validation loss",
            draw_validation_losses,
            {"FIX": fixed, "DW": dynamic},
        )
    if dynamic and _weighting(outcomes["dmm_cnn"]).startswith("dynamic"):
        draw(
            "attribute_weights.png",
            "DMM-CNN, figure 6: dynamic weights (grey: the other attributes)",
            "dynamic weights",
            draw_attribute_weights,
            dynamic,
        )
    if changing_tags(dynamic, "threshold_probabilities"):
        draw(
            "thresholds.png",
            "DMM-CNN, figure 7: thresholds, of the ten attributes whose moved most",
            "thresholds",
            draw_thresholds,
            dynamic,
        )
    return pictures


def _attention(outcomes: Outcomes, folder: Path) -> list[Picture]:
    """Figure 2 of MGG-Net and the affinities, as scoring drew them in the runs' folders."""
    kinds = {
        MASKS_FILE: "group attention over pictures of the split (MGG-Net, figure 2)",
        AFFINITY_FILE: "affinity between groups, the mean over 64 pictures",
    }
    pictures = []
    for name, outcome in outcomes.items():
        for file, what in kinds.items():
            seed = min(outcome.workdirs, default=None)
            if seed is None or outcome.ran_as != name:
                continue
            if (outcome.workdirs[seed] / file).exists():
                copy = folder / f"{name}_{file}"
                with whole_file(copy) as aside:
                    shutil.copyfile(outcome.workdirs[seed] / file, aside)
                pictures.append(Picture(copy.name, f"{name}, seed {seed}: {what}"))
    return pictures


def _series(outcomes: Outcomes, experiment: str) -> Series:
    workdirs = outcomes[experiment].workdirs if experiment in outcomes else {}
    folder = workdirs[min(workdirs)] / "tensorboard" if workdirs else None
    return read_series(folder) if folder and folder.exists() else {}


def _weighting(outcome: Outcome) -> str:
    return outcome.results[min(outcome.results)]["config"]["weighting"]


def _titled(outcomes: Outcomes, what: str) -> str:
    """The picture's title, which names the protocol wherever the picture goes."""
    return f"Protocol {next(iter(outcomes.values())).protocol}: {what}"


def _write_runs(outcomes: Outcomes, path: Path) -> None:
    with whole_file(path) as aside, open(aside, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["experiment", "seed", "state", *METRICS, *COSTS, "workdir"])
        for name, outcome in outcomes.items():
            if outcome.ran_as != name:
                continue
            for seed, result in outcome.results.items():
                values = [outcome.values(metric)[seed] for metric in METRICS.values()]
                values = ["" if math.isnan(value) else value for value in values]
                costs = [result[cost] for cost in COSTS]
                writer.writerow([name, seed, "done", *values, *costs, outcome.workdirs[seed]])
            for seed, reason in {**outcome.failures, **outcome.others}.items():
                state = "failed" if seed in outcome.failures else "not counted"
                writer.writerow([name, seed, f"{state}: {reason}"])


def _means(outcomes: Outcomes) -> dict:
    def spread(outcome: Outcome, metric: tuple[str, str]) -> dict:
        found = outcome.spread(metric)
        return {"mean": found.mean, "standard_deviation": found.deviation, "seeds": found.count}

    return {
        name: {
            "ran_as": outcome.ran_as,
            **{metric: spread(outcome, key) for metric, key in METRICS.items()},
            **{cost: outcome.cost(cost) for cost in COSTS},
            "failures": {str(seed): reason for seed, reason in outcome.failures.items()},
        }
        for name, outcome in outcomes.items()
        if outcome.results or outcome.failures
    }
