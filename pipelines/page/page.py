"""A page for each run, which opens without a server: `<root>/runs/<run>.html`."""

import datetime
import string
from collections.abc import Iterator
from html import escape
from pathlib import Path

from pipelines.engine.store import (
    CACHED,
    COMPLETE,
    SKIPPED,
    Artifacts,
    ExecutionRecord,
    MetadataStore,
    RunRecord,
)
from pipelines.page import sections
from pipelines.page.graph_picture import COLOURS, Box, draw_graph
from pipelines.page.parts import as_table, inline_svg
from tfac.errors import DataError
from tfac.files import whole_file

_NOT_RUN = "not run"

_PAGE = string.Template("""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>$pipeline, run $number: $state</title>
<style>
body { font: 15px/1.45 system-ui, sans-serif; margin: 2em auto; max-width: 1400px; padding: 0 1em;
  color: #1c1f24; }
h1 small { font-weight: normal; font-size: 60%; color: #555; }
h2 { margin-top: 1.8em; border-bottom: 1px solid #ddd; padding-bottom: .2em; }
table { border-collapse: collapse; margin: .5em 0 1em; }
th, td { border: 1px solid #d5d8dd; padding: .25em .6em; text-align: right; vertical-align: top; }
th { background: #f3f4f6; } td:first-child, th:first-child, .text { text-align: left; }
.state { border-radius: .6em; padding: .05em .6em; border: 1px solid; white-space: nowrap; }
.time { white-space: nowrap; }
.found { color: #b00020; } .good { color: #2e7d32; } .note { color: #555; }
.scroll { overflow-x: auto; } svg { max-width: 100%; height: auto; }
code { font-size: 88%; } details { margin: .4em 0; }
summary { cursor: pointer; } td ul { margin: 0; padding-left: 1.1em; }
.faces { display: flex; flex-wrap: wrap; gap: 1em; }
.face { width: 190px; border: 1px solid #d5d8dd; border-radius: .5em; padding: .6em; }
.face img { width: 96px; height: 96px; object-fit: contain; display: block; margin: 0 auto .4em; }
.face div { font-size: 85%; overflow-wrap: anywhere; }
.face meter { width: 45%; float: right; margin-top: .25em; }
$styles
</style>
</head>
<body>
<h1>$pipeline, run $number <small>$started, $duration</small></h1>
<p><span class="state $class_name">$state</span> $summary</p>
$error
<h2>Components</h2>
<div class="scroll">$graph</div>
<div class="scroll">$steps</div>
$sections
<h2>Configuration</h2>
<p>Code version <code>$code</code>.</p>
<details><summary>Parameters of each component</summary><div class="scroll">$parameters</div>
</details>
</body>
</html>
""")


def write_page(store: MetadataStore, root: Path, run_id: int) -> Path:
    """Writes the page of a run that has ended, whole, and returns its path.

    Args:
        store: the records.
        root: the pipeline's root.
        run_id: the run.

    Raises:
        DataError: there is no such run.
    """
    run = store.run(run_id)
    if run is None:
        raise DataError(f"{store.url}: expected run {run_id}. Received: no such record")
    executions = {each.component: each for each in store.executions(run_id)}
    outputs = {name: store.outputs(each.id) for name, each in executions.items()}
    html = _PAGE.substitute(
        pipeline=escape(run.pipeline),
        number=run.id,
        started=_time(run.started),
        duration=_duration(run.started, run.ended),
        state=run.state,
        class_name=_class_name(run.state),
        summary=_summary(run, executions),
        error=f'<p class="found">{escape(run.error)}</p>' if run.error else "",
        graph=inline_svg(_draw(store, run, executions)),
        steps=_steps(run, executions, outputs),
        sections="\n".join(_sections(store, root, executions, outputs)),
        code=run.code_version[:16],
        parameters=_parameters(executions),
        styles=_styles(),
    )
    path = root / "runs" / f"{run_id}.html"
    with whole_file(path) as aside:
        aside.write_text(html, encoding="utf-8")
    return path


def _draw(store: MetadataStore, run: RunRecord, executions: dict[str, ExecutionRecord]):
    boxes, edges = {}, []
    for node in run.nodes:
        execution = executions.get(node["name"])
        state = execution.state if execution else _NOT_RUN
        lines = (f"{state}{_took(store, execution)}",)
        boxes[node["name"]] = Box(node["name"], lines, state)
        edges += [(source.split(".")[0], node["name"]) for source in node["inputs"].values()]
    return draw_graph(boxes, edges)


def _took(store: MetadataStore, execution: ExecutionRecord | None) -> str:
    """How long a component took; of one from the cache, how long it had taken."""
    if execution is None or execution.state not in (COMPLETE, CACHED):
        return ""
    if execution.state == CACHED:
        earlier = store.execution(execution.cached_from)
        return f" ({_duration(earlier.started, earlier.ended)} once)"
    return f", {_duration(execution.started, execution.ended)}"


def _summary(run: RunRecord, executions: dict[str, ExecutionRecord]) -> str:
    states = [execution.state for execution in executions.values()]
    parts = [f"{states.count(state)} {state}" for state in dict.fromkeys(states)]
    missing = len(run.nodes) - len(executions)
    parts += [f"{missing} {_NOT_RUN}"] * bool(missing)
    return f"{len(run.nodes)} components: {', '.join(parts)}"


def _steps(
    run: RunRecord, executions: dict[str, ExecutionRecord], outputs: dict[str, Artifacts]
) -> str:
    rows = []
    for node in run.nodes:
        execution = executions.get(node["name"])
        if execution is None:
            rows.append([escape(node["name"]), _state(_NOT_RUN), "", "", ""])
            continue
        why = escape(execution.reason)
        if execution.error:
            why += f'<br><span class="found">{escape(execution.error)}</span>'
        rows.append(
            [
                escape(node["name"]),
                _state(execution.state),
                f'<span class="time">{_executed_for(execution)}</span>',
                why,
                _links(outputs[node["name"]]),
            ]
        )
    return as_table(["", "state", "time", "why it was run, or was not", "outputs"], rows, (1, 3, 4))


def _executed_for(execution: ExecutionRecord) -> str:
    if execution.state in (CACHED, SKIPPED):
        return ""
    return _duration(execution.started, execution.ended)


def _links(outputs: Artifacts) -> str:
    items = [
        f'<li><a href="../{escape(each.uri)}">{escape(name)}</a> {_count(each.num_files, "file")}, '
        f"{_size(each.num_bytes)}, <code>{each.fingerprint[:12]}</code></li>"
        for name, each in outputs.items()
    ]
    return f"<ul>{''.join(items)}</ul>" if items else ""


def _sections(
    store: MetadataStore,
    root: Path,
    executions: dict[str, ExecutionRecord],
    outputs: dict[str, Artifacts],
) -> Iterator[str]:
    """Yields what there is to show of each type of artifact."""
    for name, artifacts in outputs.items():
        for artifact in artifacts.values():
            show = sections.SECTIONS.get(artifact.type)
            if show:
                try:
                    content = show(root / artifact.uri, artifact.properties, executions[name])
                except (OSError, ValueError, LookupError, TypeError) as error:
                    # A run is not to fail for its page.
                    content = f'<p class="found">cannot be shown: {escape(repr(error))}</p>'
                yield f"<h2>{escape(show.__doc__.split('.')[0])}</h2>\n{content}"


def _parameters(executions: dict[str, ExecutionRecord]) -> str:
    rows = [
        [escape(component), escape(name), f"<code>{escape(repr(value))}</code>"]
        for component, execution in executions.items()
        for name, value in execution.parameters.items()
    ]
    return as_table(["component", "parameter", "value"], rows, (1, 2))


def _state(state: str) -> str:
    return f'<span class="state {_class_name(state)}">{state}</span>'


def _class_name(state: str) -> str:
    return f"state-{state.replace(' ', '-')}"


def _styles() -> str:
    return "\n".join(
        f".{_class_name(state)} {{ background: {fill}; border-color: {frame}; color: {frame}; }}"
        for state, (fill, frame) in COLOURS.items()
    )


def _time(seconds: float) -> str:
    moment = datetime.datetime.fromtimestamp(seconds, datetime.UTC)
    return moment.strftime("%Y-%m-%d %H:%M:%S UTC")


def _duration(started: float, ended: float | None) -> str:
    if ended is None:
        return "not ended"
    seconds = ended - started
    return f"{seconds:.1f} s" if seconds < 100 else f"{seconds / 60:.1f} min"


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _size(num_bytes: int) -> str:
    for unit in ("B", "kB", "MB"):
        if num_bytes < 1000:
            return f"{num_bytes:.3g} {unit}"
        num_bytes /= 1000
    return f"{num_bytes:.3g} GB"
