"""The report's page: tables as HTML."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from html import escape

from markupsafe import Markup

from tfac.experiments.registry import get_experiment, get_protocol
from tfac.experiments.results import METRICS, Outcome, Spread, majority_accuracy
from tfac.experiments.tables import ACCURACY, CELEBA, LFWA, Row, Table
from tfac.pages import create_templates

_TEMPLATES = create_templates("tfac.experiments")
_NOTHING = "&ndash;"


@dataclasses.dataclass(frozen=True)
class Picture:
    """A picture of the page: its file beside the page, and what it shows."""

    file: str
    caption: str


def render_page(
    protocol: str,
    split: str,
    tables: Sequence[Table],
    outcomes: Mapping[str, Outcome],
    pictures: Sequence[Picture],
) -> str:
    """Returns the page as HTML.

    Args:
        protocol: the protocol's name.
        split: the split that results are judged on.
        tables: those that the page has, where they have runs.
        outcomes: by experiment, see `tfac.experiments.results`.
        pictures: what to show below the tables.
    """
    shown = [_table(table, outcomes, protocol) for table in tables if _has_runs(table, outcomes)]
    majority = majority_accuracy(outcomes)
    data_sets = {r["data"]["name"] for each in outcomes.values() for r in each.results.values()}
    return _TEMPLATES.get_template("experiments.html").render(
        protocol=get_protocol(protocol),
        split=split,
        data_sets=sorted(data_sets),
        warnings=_warnings(outcomes),
        majority=None if math.isnan(majority) else majority,
        tables=[Markup(table) for table in shown],
        tried=any(outcome.results or outcome.failures for outcome in outcomes.values()),
        pictures=pictures,
        runs=Markup(_all_runs(outcomes)),
    )


def _has_runs(table: Table, outcomes: Mapping[str, Outcome]) -> bool:
    own = [outcomes[row.experiment] for row in table.rows if row.experiment in outcomes]
    return any(outcome.results or outcome.failures for outcome in own)


def _table(table: Table, outcomes: Mapping[str, Outcome], protocol: str) -> str:
    return (
        f"<h2>{escape(table.title)}</h2>\n"
        + (_grid(table, outcomes, protocol) if table.columns else "")
        + _rows(table, outcomes, protocol)
        + "".join(
            _by_attribute(row, outcomes[row.experiment], protocol)
            for row in table.rows
            if row.by_attribute and row.experiment in outcomes and outcomes[row.experiment].results
        )
    )


def _grid(table: Table, outcomes: Mapping[str, Outcome], protocol: str) -> str:
    """The table in the paper's form: the paper's figure, then ours."""
    cells = {(row.label, row.column): row for row in table.rows}
    lines = [_line([escape(table.title.split(":")[0]), *map(escape, table.columns)], "th")]
    for label in dict.fromkeys(row.label for row in table.rows):
        line = [escape(label)]
        for column in table.columns:
            row = cells[label, column]
            outcome = outcomes.get(row.experiment)
            ours = _spread(outcome.spread(table.metric)) if outcome else _NOTHING
            line.append(f"paper, {LFWA}: {_figure(row.published.get(LFWA))}<br>ours: {ours}")
        lines.append(_line(line))
    return _html_table(lines, f"In the paper's form (protocol {protocol})")


def _rows(table: Table, outcomes: Mapping[str, Outcome], protocol: str) -> str:
    names = {data_set for row in table.rows for data_set in row.published}
    data_sets = [name for name in (CELEBA, LFWA) if name in names]
    metrics = [name for name, metric in METRICS.items() if metric == table.metric]
    metrics += [name for name in METRICS if name not in metrics]
    costs = ["weights", "multiply-adds", "images/s", "minutes of training"]
    headings = [
        "",
        *table.mark_names,
        *(f"paper, {data_set}" for data_set in data_sets),
        *metrics,
        "seeds",
        *costs,
        "note",
    ]
    reference = outcomes.get(table.reference)
    lines = [_line(map(escape, headings), "th")]
    for row in table.rows:
        label = escape(f"{row.label}, {row.column}" if row.column else row.label)
        bold = ' class="reference"' if row.experiment == table.reference else ""
        cells = [f"<span{bold}>{label}</span>"]
        cells += ["&#10003;" if mark in row.marks else "" for mark in table.mark_names]
        cells += [_figure(row.published.get(data_set)) for data_set in data_sets]
        cells += _own_cells(row, outcomes.get(row.experiment), reference, metrics)
        lines.append(_line(cells))
    caption = f"Protocol {protocol}"
    if data_sets:
        own = "accuracy" if table.metric == ACCURACY else "balanced accuracy"
        caption = f"The paper's figures are {own} (protocol {protocol})"
    return _html_table(lines, caption)


def _by_attribute(row: Row, outcome: Outcome, protocol: str) -> str:
    """Accuracy by attribute: the paper's where it is known, then ours."""
    headings = ["", *(f"paper, {data_set}" for data_set in row.by_attribute), "ours"]
    lines = [_line(map(escape, headings), "th")]
    for attribute, accuracy in outcome.by_attribute(("trained", "accuracy")).items():
        figures = [_figure(of_paper.get(attribute)) for of_paper in row.by_attribute.values()]
        lines.append(_line([escape(attribute), *figures, _figure(accuracy)]))
    return _html_table(lines, f"{row.label}, accuracy by attribute (protocol {protocol})")


def _own_cells(
    row: Row, outcome: Outcome | None, reference: Outcome | None, metrics: Sequence[str]
) -> list[str]:
    notes = [escape(row.note)] if row.note else []
    if outcome is None:
        return [""] * (len(metrics) + 5) + [_remark(notes)]
    cells = []
    for name in metrics:
        cell = _spread(outcome.spread(METRICS[name]))
        if reference is not None and reference.ran_as != outcome.ran_as:
            difference = outcome.difference(reference, METRICS[name])
            if difference.count:
                cell += f'<br><span class="delta">{_spread(difference, "+.2f")}</span>'
        cells.append(cell)
    cells.append(str(len(outcome.results)))
    cells += [
        _scaled(outcome.cost("weights"), 1e-6, "{:.2f} M"),
        _scaled(outcome.cost("multiply_adds"), 1e-6, "{:.0f} M"),
        _scaled(outcome.cost("images_per_second"), 1, "{:.0f}"),
        _scaled(outcome.cost("training_seconds"), 1 / 60, "{:.1f}"),
    ]
    if outcome.ran_as != outcome.experiment:
        notes.append(f"same options as {outcome.ran_as}: the same runs")
    notes += [_failed(seed, reason) for seed, reason in outcome.failures.items()]
    notes += [escape(f"seed {seed}: {reason}") for seed, reason in outcome.others.items()]
    return [*cells, _remark(notes)]


def _remark(notes: Sequence[str]) -> str:
    return f'<div class="remark">{"; ".join(notes)}</div>' if notes else ""


def _all_runs(outcomes: Mapping[str, Outcome]) -> str:
    lines = [
        _line(["experiment", "what it is", *map(escape, METRICS), "seeds", "not counted"], "th")
    ]
    for name, outcome in outcomes.items():
        if not (outcome.results or outcome.failures or outcome.others):
            continue
        spreads = [_spread(outcome.spread(metric)) for metric in METRICS.values()]
        problems = [_failed(seed, reason) for seed, reason in outcome.failures.items()]
        problems += [escape(f"seed {seed}: {reason}") for seed, reason in outcome.others.items()]
        about = escape(get_experiment(name).about)
        lines.append(
            _line([escape(name), about, *spreads, len(outcome.results), "; ".join(problems)])
        )
    return _html_table(lines, "Every experiment that was tried")


def _warnings(outcomes: Mapping[str, Outcome]) -> str:
    """What of the runs is not as the protocol says."""
    by_departure: dict[str, list[str]] = {}
    for name, outcome in outcomes.items():
        for option, value in outcome.departures().items():
            by_departure.setdefault(f"{option}={value}", []).append(name)
    lines = [f"{key}: {', '.join(names)}" for key, names in by_departure.items()]
    return "; ".join(lines)


def _failed(seed: int, reason: str) -> str:
    return f'<span class="failed">seed {seed} failed: {escape(reason)}</span>'


def _spread(spread: Spread, form: str = ".2f") -> str:
    if math.isnan(spread.mean):
        return _NOTHING
    text = format(spread.mean, form)
    return text if math.isnan(spread.deviation) else f"{text} &plusmn; {spread.deviation:.2f}"


def _figure(value: float | None) -> str:
    return _NOTHING if value is None else f"{value:.2f}"


def _scaled(value: float, factor: float, form: str) -> str:
    return _NOTHING if math.isnan(value) else form.format(factor * value)


def _line(cells, kind: str = "td") -> str:
    return "<tr>" + "".join(f"<{kind}>{cell}</{kind}>" for cell in cells) + "</tr>"


def _html_table(lines: Sequence[str], caption: str) -> str:
    body = "\n".join(lines)
    return (
        f'<div class="scroll"><table><caption>{escape(caption)}</caption>\n{body}\n</table></div>\n'
    )
