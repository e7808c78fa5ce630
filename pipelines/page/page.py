"""A page for each run, which opens without a server: `<root>/runs/<run>.html`."""

from collections.abc import Iterator
from pathlib import Path

from jinja2 import TemplateError
from markupsafe import Markup

from pipelines.engine.store import (
    CACHED,
    COMPLETE,
    Artifacts,
    ExecutionRecord,
    MetadataStore,
    RunRecord,
)
from pipelines.page.graph_picture import COLOURS, Box, draw_graph
from pipelines.page.rendering import TEMPLATES, as_duration, inline_svg
from pipelines.page.sections import HEADINGS, show
from tfac.errors import DataError
from tfac.files import whole_file

_NOT_RUN = "not run"


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
    html = TEMPLATES.get_template("run.html").render(
        run=run,
        executions=executions,
        outputs=outputs,
        summary=_summary(run, executions),
        graph=inline_svg(_draw(store, run, executions)),
        sections=_sections(root, executions, outputs),
        colours=COLOURS,
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
        return f" ({as_duration(store.execution(execution.cached_from))} once)"
    return f", {as_duration(execution)}"


def _summary(run: RunRecord, executions: dict[str, ExecutionRecord]) -> str:
    states = [execution.state for execution in executions.values()]
    parts = [f"{states.count(state)} {state}" for state in dict.fromkeys(states)]
    missing = len(run.nodes) - len(executions)
    parts += [f"{missing} {_NOT_RUN}"] * bool(missing)
    return f"{len(run.nodes)} components: {', '.join(parts)}"


def _sections(
    root: Path, executions: dict[str, ExecutionRecord], outputs: dict[str, Artifacts]
) -> Iterator[tuple[str, Markup]]:
    """Yields a heading and what there is to show for each artifact of a type that is shown."""
    for name, artifacts in outputs.items():
        for artifact in artifacts.values():
            if artifact.type in HEADINGS:
                try:
                    content = show(artifact, root / artifact.uri, executions[name])
                except (OSError, ValueError, LookupError, TypeError, TemplateError) as error:
                    # A run is not to fail for its page.
                    content = Markup('<p class="found">cannot be shown: {}</p>').format(repr(error))
                yield HEADINGS[artifact.type], content
