"""The local runner: one component after the other on this machine, each executed only if it has to.

A component writes into a folder aside, `<root>/<Component>/.running-...`. When it has returned, the
folder is renamed to `<root>/<Component>/<execution>/` and recorded. A process that is killed leaves
folders aside and records that say "running"; the next run on the root clears both up.
"""

import contextlib
import dataclasses
import functools
import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pipelines.engine.artifacts import ARTIFACT_TYPES, Artifact, Origin
from pipelines.engine.caching import (
    Work,
    code_version,
    explain_cached,
    explain_execution,
    is_as_recorded,
    read_contents,
)
from pipelines.engine.graph import LATEST_PUSHED, Node, Pipeline, Reference
from pipelines.engine.locks import Locks
from pipelines.engine.resolution import resolve
from pipelines.engine.store import (
    COMPLETE,
    FAILED,
    KILLED,
    RUNNING,
    ArtifactRecord,
    Artifacts,
    ExecutionRecord,
    MetadataStore,
)
from pipelines.runners.step import call_in_process_of_its_own
from tfac import errors
from tfac.files import put_in_place
from tfac.training.interruption import Interrupted

_ASIDE = ".running-"
_SAID_REASONS = 3  # of a refusal, where it is told that components are skipped
_KEY_LENGTH = 16  # digits of a cache key that name a folder aside


@dataclasses.dataclass(frozen=True)
class RunResult:
    """How a run went.

    Attributes:
        run_id: its number.
        executions: what became of each component, in order.
    """

    run_id: int
    executions: list[ExecutionRecord]

    @property
    def states(self) -> dict[str, str]:
        """Each component's state."""
        return {execution.component: execution.state for execution in self.executions}


class LocalRunner:
    """Runs pipelines on this machine.

    Args:
        root: the folder of all that components write, and of the locks' files.
        store: the records.
        isolate: run each component in a process of its own.
        report: is told what happens, a line at a time.
        on_end: is called with the run's number when it has ended, in any way but a kill.
        warm_up: is called once, before the first component that is executed in this process.
    """

    def __init__(
        self,
        root: Path,
        store: MetadataStore,
        *,
        isolate: bool = False,
        report: Callable[[str], None] = print,
        on_end: Callable[[int], None] = lambda run_id: None,
        warm_up: Callable[[], None] = lambda: None,
    ):
        self._root, self._store, self._report, self._on_end = Path(root), store, report, on_end
        warm_up = functools.cache(warm_up)

        def call(function, inputs, outputs, parameters) -> None:
            warm_up()
            function(**inputs, **outputs, **parameters)

        self._call = call_in_process_of_its_own if isolate else call
        self._locks = Locks(self._root / ".lock-files")

    def run(self, pipeline: Pipeline, config: Any = None) -> RunResult:
        """Runs a pipeline.

        Args:
            pipeline: what to run.
            config: what it was made from; kept in the records.

        Raises:
            Exception: what a component raised. It is in the records as well, and the components
                after it were not run.
        """
        with contextlib.ExitStack() as held:
            run_id = self._begin(pipeline, config, held)
            run = _Run(run_id, pipeline.name, held)
            try:
                for node in pipeline.nodes:
                    run.outputs[node.name] = self._run_node(node, run)
            except BaseException as error:
                self._store.end_run(run_id, _state_after(error), _words(error))
                self._on_end(run_id)
                raise
            self._store.end_run(run_id, COMPLETE)
            self._on_end(run_id)
        self._clear_asides(pipeline)
        return RunResult(run_id, self._store.executions(run_id))

    def _begin(self, pipeline: Pipeline, config: Any, held: contextlib.ExitStack) -> int:
        """Records the run, whose lock tells others that it is alive."""
        with self._locks.hold("runs"):
            for run in self._store.runs(pipeline.name, RUNNING):
                if lock := self._locks.take(f"run {run.id}"):  # it is dead
                    with lock:
                        self._bury(run.id)
            run_id = self._store.begin_run(
                pipeline.name, config, pipeline.describe(), code_version()
            )
            held.enter_context(self._locks.hold(f"run {run_id}"))
        return run_id

    def _bury(self, run_id: int) -> None:
        """Records that a run was killed, and removes what it was about to write."""
        for execution in self._store.executions(run_id):
            if execution.state == RUNNING:
                folder = self._root / execution.component
                shutil.rmtree(folder / str(execution.id), ignore_errors=True)
                shutil.rmtree(_aside(folder, execution.id), ignore_errors=True)
                self._store.fail_execution(execution.id, KILLED)
        self._store.end_run(run_id, KILLED)
        self._report(f"run {run_id} was killed; what it had finished is kept")

    def _run_node(self, node: Node, run: "_Run") -> Artifacts | None:
        """Returns the node's outputs; None if it was skipped."""
        inputs = {name: self._find_input(node, name, run) for name in node.spec.inputs}
        found = {name: each for name, each in inputs.items() if each is not None}
        skipped = _reason_to_skip(node, found)
        if skipped:
            self._store.record_skipped(run.id, node.name, skipped, node.all_parameters(), found)
            self._report(f"{node.name}: skipped: {skipped}")
            return None
        work = Work.of(node.spec, node.all_parameters(), found)

        def say_waiting() -> None:
            self._report(f"{node.name}: another run is at the same work; waiting for it")

        with self._locks.hold(work.cache_key, say_waiting):
            earlier, unusable = self._find_earlier(node, work, run.pipeline)
            if earlier:
                reason = explain_cached(earlier)
                self._store.record_cached(run.id, earlier, reason)
                self._report(f"{node.name}: not run again: {reason}")
                return self._store.outputs(earlier.id)
            last = self._store.last_execution(run.pipeline, node.name)
            last_inputs = self._store.inputs(last.id) if last else {}
            reason = explain_execution(work, last, last_inputs, unusable)
            return self._execute(node, work, reason, run.id)

    def _find_input(self, node: Node, name: str, run: "_Run") -> ArtifactRecord | None:
        source = node.inputs.get(name)
        if source is None:
            return None
        if isinstance(source, Reference):
            return (run.outputs[source.node] or {}).get(source.output)
        own = (run.outputs[source.other_than.node] or {}).get(source.other_than.output)
        if own is None:
            return None
        if source.rule == LATEST_PUSHED:
            run.keep_others_from_pushing(self._locks, self._report)
        return resolve(self._store, run.pipeline, source, own)

    def _find_earlier(
        self, node: Node, work: Work, pipeline: str
    ) -> tuple[ExecutionRecord | None, str | None]:
        """Returns an execution whose outputs can be taken, or None and why it is not taken."""
        unusable = None
        for execution in self._store.complete_executions(pipeline, work.cache_key):
            problem = self._find_problem(node, execution)
            if problem is None:
                return execution, None
            unusable = unusable or problem
        return None, unusable

    def _find_problem(self, node: Node, execution: ExecutionRecord) -> str | None:
        """Returns why the outputs of an earlier execution cannot be taken; None if they can."""
        outputs = self._store.outputs(execution.id)
        for name, output in outputs.items():
            folder = self._root / output.uri
            if not is_as_recorded(folder, output.properties, output.fingerprint):
                return f"output {name} of execution {execution.id} is gone or was changed"
        if node.spec.check is None:
            return None
        return node.spec.check({name: self._artifact(each) for name, each in outputs.items()})

    def _execute(self, node: Node, work: Work, reason: str, run_id: int) -> Artifacts:
        execution_id = self._store.begin_execution(
            run_id,
            node.name,
            cache_key=work.cache_key,
            reason=reason,
            code_version=work.code_version,
            parameters=work.parameters,
            external=work.external,
            inputs=work.inputs,
        )
        self._report(f"{node.name}: running: {reason}")
        started = time.monotonic()
        folder = self._root / node.name
        resumable = node.spec.resumable
        aside = _aside(folder, work.cache_key[:_KEY_LENGTH] if resumable else execution_id)
        try:
            outputs = self._write(node, work, aside)
            fields = _describe(outputs, f"{node.name}/{execution_id}")
            _rename(aside, folder / str(execution_id))
        except BaseException as error:
            self._store.fail_execution(execution_id, _state_after(error), _words(error))
            if not resumable:
                shutil.rmtree(aside, ignore_errors=True)
            raise
        self._store.complete_execution(execution_id, fields)
        self._report(f"{node.name}: done in {time.monotonic() - started:.1f} s")
        return self._store.outputs(execution_id)

    def _write(self, node: Node, work: Work, aside: Path) -> dict[str, Artifact]:
        outputs = {name: kind(aside / name) for name, kind in node.spec.outputs.items()}
        for output in outputs.values():
            output.path.mkdir(parents=True, exist_ok=True)
        inputs: dict[str, Artifact | None] = dict.fromkeys(node.spec.inputs)
        inputs |= {name: self._artifact(each) for name, each in work.inputs.items()}
        self._call(node.function, inputs, outputs, work.parameters)
        return outputs

    def _artifact(self, record: ArtifactRecord) -> Artifact:
        origin = Origin(self._store.url, record.id, record.fingerprint)
        path = self._root / record.uri
        return ARTIFACT_TYPES[record.type](path, dict(record.properties), origin)

    def _clear_asides(self, pipeline: Pipeline) -> None:
        """Removes what resumable components had begun and nobody has gone on with."""
        lock = self._locks.take("runs")
        if lock is None:
            return
        with lock:
            if not self._store.runs(pipeline.name, RUNNING):
                for node in pipeline.nodes:
                    for aside in (self._root / node.name).glob(f"{_ASIDE}*"):
                        shutil.rmtree(aside, ignore_errors=True)


@dataclasses.dataclass
class _Run:
    """A run under way: what its components have given so far, and the locks that it holds."""

    id: int
    pipeline: str
    held: contextlib.ExitStack
    outputs: dict[str, Artifacts | None] = dataclasses.field(default_factory=dict)
    may_push: bool = False

    def keep_others_from_pushing(self, locks: Locks, report: Callable[[str], None]) -> None:
        """Holds a lock to the run's end: what it compares with is not to be replaced meanwhile."""
        if self.may_push:
            return

        def say_waiting() -> None:
            report("another run may push a model; waiting for it to end")

        self.held.enter_context(locks.hold(f"push {self.pipeline}", say_waiting))
        self.may_push = True


def _reason_to_skip(node: Node, inputs: Mapping[str, ArtifactRecord]) -> str | None:
    for name, source in node.inputs.items():
        if name not in inputs and not node.spec.inputs[name].optional:
            return f"there is no {source}"
    for name in node.blessed_by:
        verdict = inputs[name].properties if name in inputs else {}
        if not verdict.get("blessed"):
            reasons = verdict.get("reasons") or ["no reason given"]
            more = len(reasons) - _SAID_REASONS
            said = [*reasons[:_SAID_REASONS], *([f"and {more} more"] if more > 0 else [])]
            return f"{node.inputs[name]} says no: {'; '.join(said)}"
    return None


def _describe(outputs: Mapping[str, Artifact], uri: str) -> dict[str, dict[str, Any]]:
    """Returns what the records say about outputs."""
    fields = {}
    for name, output in outputs.items():
        contents = read_contents(output.path, output.properties)
        fields[name] = {
            "type": type(output).__name__,
            "uri": f"{uri}/{name}",
            "properties": output.properties,
            **dataclasses.asdict(contents),
        }
    return fields


def _rename(aside: Path, folder: Path) -> None:
    if folder.exists():
        raise errors.DataError(
            f"expected no {folder}: it is of other records than those in use. Give the records "
            "back their place, or choose another root"
        )
    put_in_place(aside, folder)


def _aside(folder: Path, name: str | int) -> Path:
    return folder / f"{_ASIDE}{name}"


def _state_after(error: BaseException) -> str:
    interrupted = isinstance(error, Interrupted) or not isinstance(error, Exception)
    return KILLED if interrupted else FAILED


def _words(error: BaseException) -> str:
    text = str(error).strip() or type(error).__name__
    return text if isinstance(error, errors.TfacError) else f"{type(error).__name__}: {text}"
