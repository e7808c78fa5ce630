"""What was run, from what, and what came of it: the records of a pipeline, in a database.

SQLite by default, any database that SQLAlchemy knows by its URL. What an execution gave is recorded
in one transaction, after its folders were renamed to where they stay: an artifact that is in the
store is whole.
"""

import contextlib
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import orm
from sqlalchemy.orm import Mapped, mapped_column

from tfac.errors import ConfigError, DataError

# States of a run, and of an execution of one of its components.
RUNNING, COMPLETE, FAILED, KILLED = "running", "complete", "failed", "killed"
CACHED, SKIPPED = "cached", "skipped"  # of executions alone

_SQLITE_WAIT = 60  # seconds that a writer waits for another
_INPUT, _OUTPUT = "input", "output"


class _Record(orm.MappedAsDataclass, orm.DeclarativeBase, kw_only=True):
    """A row of a table. It is read whole, and no longer tied to the database then."""

    __table_args__ = {"sqlite_autoincrement": True}
    type_annotation_map = {
        **{str: sa.Text, float: sa.Float},
        **{dict[str, Any]: sa.JSON, list[dict[str, Any]]: sa.JSON},
    }


class RunRecord(_Record):
    """A run of a pipeline."""

    __tablename__ = "runs"

    id: Mapped[int] = mapped_column(primary_key=True, default=None)
    pipeline: Mapped[str] = mapped_column(sa.String(255), index=True)
    state: Mapped[str] = mapped_column(sa.String(16))  # RUNNING, COMPLETE, FAILED or KILLED
    config: Mapped[dict[str, Any]]  # what it was started with
    nodes: Mapped[list[dict[str, Any]]]  # see `pipelines.engine.graph.Pipeline.describe`
    code_version: Mapped[str] = mapped_column(sa.String(64))
    started: Mapped[float]  # seconds since 1970
    ended: Mapped[float | None] = mapped_column(default=None)  # None where it was killed, too
    error: Mapped[str | None] = mapped_column(default=None)


class ExecutionRecord(_Record):
    """A component in a run: executed, or taken from the cache, or skipped."""

    __tablename__ = "executions"

    id: Mapped[int] = mapped_column(primary_key=True, default=None)
    run_id: Mapped[int] = mapped_column(sa.ForeignKey("runs.id"), index=True)
    component: Mapped[str] = mapped_column(sa.String(255))
    state: Mapped[str] = mapped_column(sa.String(16))
    cache_key: Mapped[str | None] = mapped_column(sa.String(64), index=True, default=None)
    reason: Mapped[str]  # why it was run, or was not
    code_version: Mapped[str | None] = mapped_column(sa.String(64), default=None)
    parameters: Mapped[dict[str, Any]]  # all of them
    external: Mapped[str | None] = mapped_column(default=None)  # see `component`
    cached_from: Mapped[int | None] = mapped_column(sa.ForeignKey("executions.id"), default=None)
    started: Mapped[float]
    ended: Mapped[float | None] = mapped_column(default=None)
    error: Mapped[str | None] = mapped_column(default=None)


class ArtifactRecord(_Record):
    """A folder that a component has written."""

    __tablename__ = "artifacts"

    id: Mapped[int] = mapped_column(primary_key=True, default=None)
    type: Mapped[str] = mapped_column(sa.String(64), index=True)  # a class of engine.artifacts
    uri: Mapped[str]  # relative to the pipeline's root
    fingerprint: Mapped[str] = mapped_column(sa.String(64), index=True)  # of files and properties
    num_files: Mapped[int]
    num_bytes: Mapped[int] = mapped_column(sa.BigInteger)
    properties: Mapped[dict[str, Any]]


class _Event(_Record):
    """That an execution read or wrote an artifact, and as what."""

    __tablename__ = "events"

    id: Mapped[int] = mapped_column(primary_key=True, default=None)
    execution_id: Mapped[int] = mapped_column(sa.ForeignKey("executions.id"), index=True)
    artifact_id: Mapped[int] = mapped_column(sa.ForeignKey("artifacts.id"), index=True)
    direction: Mapped[str] = mapped_column(sa.String(8))
    name: Mapped[str] = mapped_column(sa.String(255))


Artifacts = dict[str, ArtifactRecord]


class MetadataStore:
    """The records of pipelines.

    Args:
        url: the database, as SQLAlchemy takes it (``sqlite:///folder/metadata.sqlite``,
            ``postgresql://...``). Its tables are made if they are not there.

    Raises:
        ConfigError: no such kind of database, or its driver is not installed.
        DataError: it cannot be opened, or is none.
    """

    def __init__(self, url: str):
        try:
            self._url = sa.make_url(url)
            self._engine = _create_engine(self._url)
        except (sa.exc.ArgumentError, ImportError) as error:
            raise ConfigError(f"metadata_url: expected a database's URL. {error}") from error
        self.url = self._url.render_as_string(hide_password=True)
        with self._transaction() as session:
            _Record.metadata.create_all(session.connection())

    def close(self) -> None:
        """Closes the connections."""
        self._engine.dispose()

    def __enter__(self) -> "MetadataStore":
        """Returns itself, to be closed at the block's end."""
        return self

    def __exit__(self, *_) -> None:
        """Closes it."""
        self.close()

    def begin_run(self, pipeline: str, config: Any, nodes: list, code_version: str) -> int:
        """Records a run that begins; returns its number."""
        run = RunRecord(
            pipeline=pipeline,
            state=RUNNING,
            config=config,
            nodes=nodes,
            code_version=code_version,
            started=time.time(),
        )
        with self._transaction() as session:
            session.add(run)
        return run.id

    def end_run(self, run_id: int, state: str, error: str | None = None) -> None:
        """Records how a run ended."""
        self._end(RunRecord, run_id, state, error)

    def begin_execution(
        self, run_id: int, component: str, *, inputs: Mapping[str, ArtifactRecord], **fields: Any
    ) -> int:
        """Records an execution that begins; returns its number.

        Args:
            run_id: the run.
            component: the component's name.
            inputs: what it reads, by name.
            **fields: what else `ExecutionRecord` has: `cache_key`, `reason`, `code_version`,
                `parameters` and `external`.
        """
        return self._add({_INPUT: inputs}, RUNNING, run_id=run_id, component=component, **fields)

    def complete_execution(
        self, execution_id: int, outputs: Mapping[str, Mapping[str, Any]]
    ) -> None:
        """Records that an execution is complete, and all of its outputs at once.

        Args:
            execution_id: the execution.
            outputs: the fields of `ArtifactRecord` but its id, by name.
        """
        artifacts = {name: ArtifactRecord(**fields) for name, fields in outputs.items()}
        with self._transaction() as session:
            session.add_all(artifacts.values())
            session.flush()
            session.add_all(_events(execution_id, artifacts, _OUTPUT))
            execution = session.get_one(ExecutionRecord, execution_id)
            execution.state, execution.ended = COMPLETE, time.time()

    def fail_execution(self, execution_id: int, state: str, error: str | None = None) -> None:
        """Records that an execution FAILED or was KILLED."""
        self._end(ExecutionRecord, execution_id, state, error)

    def record_cached(self, run_id: int, earlier: ExecutionRecord, reason: str) -> int:
        """Records that a run takes the inputs and outputs of an earlier execution; its number."""
        return self._add(
            {_INPUT: self.inputs(earlier.id), _OUTPUT: self.outputs(earlier.id)},
            CACHED,
            run_id=run_id,
            component=earlier.component,
            cache_key=earlier.cache_key,
            reason=reason,
            code_version=earlier.code_version,
            parameters=earlier.parameters,
            external=earlier.external,
            cached_from=earlier.id,
        )

    def record_skipped(
        self,
        run_id: int,
        component: str,
        reason: str,
        parameters: dict[str, Any],
        inputs: Mapping[str, ArtifactRecord],
    ) -> int:
        """Records that a run leaves a component out, and why; returns its number."""
        fields = {"component": component, "reason": reason, "parameters": parameters}
        return self._add({_INPUT: inputs}, SKIPPED, run_id=run_id, **fields)

    def run(self, run_id: int) -> RunRecord | None:
        """Returns a run."""
        with self._transaction() as session:
            return session.get(RunRecord, run_id)

    def runs(self, pipeline: str | None = None, state: str | None = None) -> list[RunRecord]:
        """Returns the runs (of one pipeline, in one state), the oldest first."""
        wanted = {"pipeline": pipeline, "state": state}
        wanted = {name: value for name, value in wanted.items() if value is not None}
        return self._select(sa.select(RunRecord).filter_by(**wanted).order_by(RunRecord.id))

    def execution(self, execution_id: int) -> ExecutionRecord | None:
        """Returns an execution."""
        with self._transaction() as session:
            return session.get(ExecutionRecord, execution_id)

    def executions(self, run_id: int) -> list[ExecutionRecord]:
        """Returns the executions of a run, in order."""
        return self._executions(ExecutionRecord.run_id == run_id)

    def complete_executions(self, pipeline: str, cache_key: str) -> list[ExecutionRecord]:
        """Returns the executions that did this very work, the newest first."""
        return self._executions(
            RunRecord.pipeline == pipeline,
            ExecutionRecord.cache_key == cache_key,
            ExecutionRecord.state == COMPLETE,
        )[::-1]

    def last_execution(self, pipeline: str, component: str) -> ExecutionRecord | None:
        """Returns a component's newest execution that has begun and ended, in any way."""
        found = self._executions(
            RunRecord.pipeline == pipeline,
            ExecutionRecord.component == component,
            ExecutionRecord.state.in_((COMPLETE, CACHED, FAILED, KILLED)),
        )
        return found[-1] if found else None

    def inputs(self, execution_id: int) -> Artifacts:
        """Returns the inputs of an execution by name."""
        return self._artifacts_of(execution_id, _INPUT)

    def outputs(self, execution_id: int) -> Artifacts:
        """Returns the outputs of an execution by name."""
        return self._artifacts_of(execution_id, _OUTPUT)

    def producer(self, artifact_id: int) -> tuple[ExecutionRecord, str]:
        """Returns the execution that wrote an artifact, and the output's name."""
        query = (
            sa.select(ExecutionRecord, _Event.name)
            .join(_Event)
            .where(
                _Event.artifact_id == artifact_id,
                _Event.direction == _OUTPUT,
                ExecutionRecord.state == COMPLETE,
            )
        )
        with self._transaction() as session:
            return tuple(session.execute(query).first())

    def readers(self, artifact_id: int) -> list[ExecutionRecord]:
        """Returns the complete executions that read an artifact, the oldest first."""
        reading = sa.select(_Event.execution_id).where(
            _Event.artifact_id == artifact_id, _Event.direction == _INPUT
        )
        return self._executions(ExecutionRecord.id.in_(reading), ExecutionRecord.state == COMPLETE)

    def artifacts(self, pipeline: str, artifact_type: str) -> list[ArtifactRecord]:
        """Returns the artifacts of a type that a pipeline has written, the newest first."""
        query = (
            sa.select(ArtifactRecord)
            .join(_Event)
            .join(ExecutionRecord)
            .join(RunRecord)
            .where(
                RunRecord.pipeline == pipeline,
                ArtifactRecord.type == artifact_type,
                _Event.direction == _OUTPUT,
                ExecutionRecord.state == COMPLETE,
            )
            .order_by(ArtifactRecord.id.desc())
        )
        return self._select(query)

    def _artifacts_of(self, execution_id: int, direction: str) -> Artifacts:
        query = (
            sa.select(_Event.name, ArtifactRecord)
            .join(ArtifactRecord)
            .where(_Event.execution_id == execution_id, _Event.direction == direction)
            .order_by(_Event.id)
        )
        with self._transaction() as session:
            return dict(session.execute(query).all())

    def _executions(self, *conditions) -> list[ExecutionRecord]:
        query = sa.select(ExecutionRecord).join(RunRecord).where(*conditions)
        return self._select(query.order_by(ExecutionRecord.id))

    def _select(self, query) -> list:
        with self._transaction() as session:
            return list(session.scalars(query))

    def _add(
        self, artifacts: Mapping[str, Mapping[str, ArtifactRecord]], state: str, **fields: Any
    ) -> int:
        """Records an execution with its artifacts, by direction and name; returns its number."""
        now = time.time()
        ended = None if state == RUNNING else now
        execution = ExecutionRecord(state=state, started=now, ended=ended, **fields)
        with self._transaction() as session:
            session.add(execution)
            session.flush()
            for direction, named in artifacts.items():
                session.add_all(_events(execution.id, named, direction))
        return execution.id

    def _end(self, kind: type[_Record], number: int, state: str, error: str | None) -> None:
        with self._transaction() as session:
            record = session.get_one(kind, number)
            record.state, record.error = state, error
            record.ended = None if state == KILLED else time.time()

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[orm.Session]:
        try:
            with orm.Session(self._engine, expire_on_commit=False) as session, session.begin():
                yield session
        except sa.exc.DatabaseError as error:
            raise DataError(f"{self.url}: the pipeline's records: {error.orig}") from error


def _events(
    execution_id: int, artifacts: Mapping[str, ArtifactRecord], direction: str
) -> list[_Event]:
    return [
        _Event(execution_id=execution_id, artifact_id=each.id, direction=direction, name=name)
        for name, each in artifacts.items()
    ]


def _create_engine(url: sa.URL) -> sa.Engine:
    if url.get_backend_name() != "sqlite":
        return sa.create_engine(url, pool_pre_ping=True)
    if url.database:
        Path(url.database).parent.mkdir(parents=True, exist_ok=True)
    engine = sa.create_engine(url, connect_args={"timeout": _SQLITE_WAIT})

    # SQLAlchemy's documented way to have whole transactions on SQLite: its driver would begin one
    # only at the first write, and two that then both want to write cannot wait for each other.
    @sa.event.listens_for(engine, "connect")
    def _take_over(connection, _):
        connection.isolation_level = None
        connection.execute("PRAGMA foreign_keys = ON")

    @sa.event.listens_for(engine, "begin")
    def _begin(connection):
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine
