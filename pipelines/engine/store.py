"""What was run, from what, and what came of it: the records of a pipeline, in a database.

SQLite by default, any database that SQLAlchemy knows by its URL. What an execution gave is recorded
in one transaction, after its folders were renamed to where they stay: an artifact that is in the
store is whole.
"""

import contextlib
import dataclasses
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from tfac.errors import ConfigError, DataError

# States of a run, and of an execution of one of its components.
RUNNING, COMPLETE, FAILED, KILLED = "running", "complete", "failed", "killed"
CACHED, SKIPPED = "cached", "skipped"  # of executions alone

_SQLITE_WAIT = 60  # seconds that a writer waits for another

_METADATA = sa.MetaData()
_RUNS = sa.Table(
    "runs",
    _METADATA,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("pipeline", sa.String(255), nullable=False, index=True),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("config", sa.JSON, nullable=False),
    sa.Column("nodes", sa.JSON, nullable=False),
    sa.Column("code_version", sa.String(64), nullable=False),
    sa.Column("started", sa.Float, nullable=False),
    sa.Column("ended", sa.Float),
    sa.Column("error", sa.Text),
    sqlite_autoincrement=True,
)
_EXECUTIONS = sa.Table(
    "executions",
    _METADATA,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("run_id", sa.ForeignKey("runs.id"), nullable=False, index=True),
    sa.Column("component", sa.String(255), nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("cache_key", sa.String(64), index=True),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("code_version", sa.String(64)),
    sa.Column("parameters", sa.JSON, nullable=False),
    sa.Column("external", sa.Text),
    sa.Column("cached_from", sa.ForeignKey("executions.id")),
    sa.Column("started", sa.Float, nullable=False),
    sa.Column("ended", sa.Float),
    sa.Column("error", sa.Text),
    sqlite_autoincrement=True,
)
_ARTIFACTS = sa.Table(
    "artifacts",
    _METADATA,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("type", sa.String(64), nullable=False, index=True),
    sa.Column("uri", sa.Text, nullable=False),
    sa.Column("fingerprint", sa.String(64), nullable=False, index=True),
    sa.Column("num_files", sa.Integer, nullable=False),
    sa.Column("num_bytes", sa.BigInteger, nullable=False),
    sa.Column("properties", sa.JSON, nullable=False),
    sqlite_autoincrement=True,
)
_EVENTS = sa.Table(
    "events",
    _METADATA,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("execution_id", sa.ForeignKey("executions.id"), nullable=False, index=True),
    sa.Column("artifact_id", sa.ForeignKey("artifacts.id"), nullable=False, index=True),
    sa.Column("direction", sa.String(8), nullable=False),
    sa.Column("name", sa.String(255), nullable=False),
    sqlite_autoincrement=True,
)
_INPUT, _OUTPUT = "input", "output"


@dataclasses.dataclass(frozen=True)
class RunRecord:
    """A run of a pipeline.

    Attributes:
        id: its number.
        pipeline: the pipeline's name.
        state: RUNNING, COMPLETE, FAILED or KILLED.
        config: what it was started with.
        nodes: its components in order, each with `name` and `inputs` (argument to what gives it).
        code_version: see `pipelines.engine.caching.code_version`.
        started: seconds since 1970.
        ended: likewise; None while it runs and where it was killed.
        error: what went wrong.
    """

    id: int
    pipeline: str
    state: str
    config: dict[str, Any]
    nodes: list[dict[str, Any]]
    code_version: str
    started: float
    ended: float | None
    error: str | None


@dataclasses.dataclass(frozen=True)
class ExecutionRecord:
    """A component in a run: executed, or taken from the cache, or skipped.

    Attributes:
        id: its number.
        run_id: the run's.
        component: the component's name.
        state: RUNNING, COMPLETE, CACHED, SKIPPED, FAILED or KILLED.
        cache_key: see `pipelines.engine.caching.cache_key`; None where it was skipped.
        reason: why it was run, or was not.
        code_version: see `pipelines.engine.caching.code_version`.
        parameters: all of them, by name.
        external: fingerprint of what it reads outside of the pipeline.
        cached_from: the execution whose outputs were taken.
        started: seconds since 1970.
        ended: likewise.
        error: what went wrong.
    """

    id: int
    run_id: int
    component: str
    state: str
    cache_key: str | None
    reason: str
    code_version: str | None
    parameters: dict[str, Any]
    external: str | None
    cached_from: int | None
    started: float
    ended: float | None
    error: str | None


@dataclasses.dataclass(frozen=True)
class ArtifactRecord:
    """A folder that a component has written.

    Attributes:
        id: its number.
        type: the name of its class in `pipelines.engine.artifacts`.
        uri: the folder, relative to the pipeline's root.
        fingerprint: SHA-256 of its files and properties.
        num_files: files in it.
        num_bytes: and their size.
        properties: see `pipelines.engine.artifacts.Artifact`.
    """

    id: int
    type: str
    uri: str
    fingerprint: str
    num_files: int
    num_bytes: int
    properties: dict[str, Any]


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
        with self._transaction() as connection:
            _METADATA.create_all(connection)

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
        return self._insert(
            _RUNS,
            pipeline=pipeline,
            state=RUNNING,
            config=config,
            nodes=nodes,
            code_version=code_version,
            started=time.time(),
        )

    def end_run(self, run_id: int, state: str, error: str | None = None) -> None:
        """Records how a run ended."""
        ended = None if state == KILLED else time.time()
        self._update(_RUNS, run_id, state=state, error=error, ended=ended)

    def begin_execution(
        self,
        run_id: int,
        component: str,
        *,
        cache_key: str,
        reason: str,
        code_version: str,
        parameters: Mapping[str, Any],
        external: str | None,
        inputs: Mapping[str, ArtifactRecord],
    ) -> int:
        """Records an execution that begins; returns its number."""
        values = {"cache_key": cache_key, "code_version": code_version, "external": external}
        with self._transaction() as connection:
            execution_id = _insert_execution(
                connection, run_id, component, RUNNING, reason, parameters, values
            )
            _insert_events(connection, execution_id, inputs, _INPUT)
        return execution_id

    def complete_execution(
        self, execution_id: int, outputs: Mapping[str, Mapping[str, Any]]
    ) -> None:
        """Records that an execution is complete, and all of its outputs at once.

        Args:
            execution_id: the execution.
            outputs: the fields of `ArtifactRecord` but its id, by name.
        """
        with self._transaction() as connection:
            for name, fields in outputs.items():
                artifact_id = connection.execute(
                    sa.insert(_ARTIFACTS).values(**fields)
                ).inserted_primary_key[0]
                connection.execute(
                    sa.insert(_EVENTS).values(
                        execution_id=execution_id,
                        artifact_id=artifact_id,
                        direction=_OUTPUT,
                        name=name,
                    )
                )
            connection.execute(
                sa.update(_EXECUTIONS)
                .where(_EXECUTIONS.c.id == execution_id)
                .values(state=COMPLETE, ended=time.time())
            )

    def fail_execution(self, execution_id: int, state: str, error: str | None = None) -> None:
        """Records that an execution FAILED or was KILLED."""
        ended = None if state == KILLED else time.time()
        self._update(_EXECUTIONS, execution_id, state=state, error=error, ended=ended)

    def record_cached(self, run_id: int, earlier: ExecutionRecord, reason: str) -> int:
        """Records that a run takes the inputs and outputs of an earlier execution; its number."""
        values = {
            "cache_key": earlier.cache_key,
            "code_version": earlier.code_version,
            "external": earlier.external,
            "cached_from": earlier.id,
        }
        with self._transaction() as connection:
            execution_id = _insert_execution(
                connection, run_id, earlier.component, CACHED, reason, earlier.parameters, values
            )
            events = sa.select(
                sa.literal(execution_id), _EVENTS.c.artifact_id, _EVENTS.c.direction, _EVENTS.c.name
            ).where(_EVENTS.c.execution_id == earlier.id)
            columns = ["execution_id", "artifact_id", "direction", "name"]
            connection.execute(sa.insert(_EVENTS).from_select(columns, events))
        return execution_id

    def record_skipped(
        self,
        run_id: int,
        component: str,
        reason: str,
        parameters: Mapping[str, Any],
        inputs: Mapping[str, ArtifactRecord],
    ) -> int:
        """Records that a run leaves a component out, and why; returns its number."""
        with self._transaction() as connection:
            execution_id = _insert_execution(
                connection, run_id, component, SKIPPED, reason, parameters, {}
            )
            _insert_events(connection, execution_id, inputs, _INPUT)
        return execution_id

    def run(self, run_id: int) -> RunRecord | None:
        """Returns a run."""
        rows = self._select(sa.select(_RUNS).where(_RUNS.c.id == run_id))
        return RunRecord(**rows[0]) if rows else None

    def runs(self, pipeline: str | None = None, state: str | None = None) -> list[RunRecord]:
        """Returns the runs (of one pipeline, in one state), the oldest first."""
        query = sa.select(_RUNS).order_by(_RUNS.c.id)
        if pipeline is not None:
            query = query.where(_RUNS.c.pipeline == pipeline)
        if state is not None:
            query = query.where(_RUNS.c.state == state)
        return [RunRecord(**row) for row in self._select(query)]

    def execution(self, execution_id: int) -> ExecutionRecord | None:
        """Returns an execution."""
        found = self._executions(_EXECUTIONS.c.id == execution_id)
        return found[0] if found else None

    def executions(self, run_id: int) -> list[ExecutionRecord]:
        """Returns the executions of a run, in order."""
        return self._executions(_EXECUTIONS.c.run_id == run_id)

    def complete_executions(self, pipeline: str, cache_key: str) -> list[ExecutionRecord]:
        """Returns the executions that did this very work, the newest first."""
        return self._executions(
            _RUNS.c.pipeline == pipeline,
            _EXECUTIONS.c.cache_key == cache_key,
            _EXECUTIONS.c.state == COMPLETE,
        )[::-1]

    def last_execution(self, pipeline: str, component: str) -> ExecutionRecord | None:
        """Returns a component's newest execution that has begun and ended, in any way."""
        found = self._executions(
            _RUNS.c.pipeline == pipeline,
            _EXECUTIONS.c.component == component,
            _EXECUTIONS.c.state.in_((COMPLETE, CACHED, FAILED, KILLED)),
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
            sa.select(_EVENTS.c.execution_id, _EVENTS.c.name)
            .join(_EXECUTIONS, _EXECUTIONS.c.id == _EVENTS.c.execution_id)
            .where(
                _EVENTS.c.artifact_id == artifact_id,
                _EVENTS.c.direction == _OUTPUT,
                _EXECUTIONS.c.state == COMPLETE,
            )
        )
        row = self._select(query)[0]
        return self.execution(row["execution_id"]), row["name"]

    def readers(self, artifact_id: int) -> list[ExecutionRecord]:
        """Returns the complete executions that read an artifact, the oldest first."""
        reading = sa.select(_EVENTS.c.execution_id).where(
            _EVENTS.c.artifact_id == artifact_id, _EVENTS.c.direction == _INPUT
        )
        return self._executions(_EXECUTIONS.c.id.in_(reading), _EXECUTIONS.c.state == COMPLETE)

    def artifacts(self, pipeline: str, artifact_type: str) -> list[ArtifactRecord]:
        """Returns the artifacts of a type that a pipeline has written, the newest first."""
        query = (
            sa.select(_ARTIFACTS)
            .join(_EVENTS, _EVENTS.c.artifact_id == _ARTIFACTS.c.id)
            .join(_EXECUTIONS, _EXECUTIONS.c.id == _EVENTS.c.execution_id)
            .join(_RUNS, _RUNS.c.id == _EXECUTIONS.c.run_id)
            .where(
                _RUNS.c.pipeline == pipeline,
                _ARTIFACTS.c.type == artifact_type,
                _EVENTS.c.direction == _OUTPUT,
                _EXECUTIONS.c.state == COMPLETE,
            )
            .order_by(_ARTIFACTS.c.id.desc())
        )
        return [ArtifactRecord(**row) for row in self._select(query)]

    def _artifacts_of(self, execution_id: int, direction: str) -> Artifacts:
        query = (
            sa.select(_EVENTS.c.name.label("event_name"), _ARTIFACTS)
            .join(_EVENTS, _EVENTS.c.artifact_id == _ARTIFACTS.c.id)
            .where(_EVENTS.c.execution_id == execution_id, _EVENTS.c.direction == direction)
            .order_by(_EVENTS.c.id)
        )
        rows = self._select(query)
        return {row.pop("event_name"): ArtifactRecord(**row) for row in rows}

    def _executions(self, *conditions) -> list[ExecutionRecord]:
        query = (
            sa.select(_EXECUTIONS)
            .join(_RUNS, _RUNS.c.id == _EXECUTIONS.c.run_id)
            .where(*conditions)
            .order_by(_EXECUTIONS.c.id)
        )
        return [ExecutionRecord(**row) for row in self._select(query)]

    def _select(self, query) -> list[dict[str, Any]]:
        with self._transaction() as connection:
            return [dict(row) for row in connection.execute(query).mappings()]

    def _insert(self, table: sa.Table, **values) -> int:
        with self._transaction() as connection:
            return connection.execute(sa.insert(table).values(**values)).inserted_primary_key[0]

    def _update(self, table: sa.Table, row_id: int, **values) -> None:
        with self._transaction() as connection:
            connection.execute(sa.update(table).where(table.c.id == row_id).values(**values))

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sa.Connection]:
        try:
            with self._engine.begin() as connection:
                yield connection
        except (sa.exc.OperationalError, sa.exc.DatabaseError) as error:
            raise DataError(f"{self.url}: the pipeline's records: {error.orig}") from error


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


def _insert_execution(
    connection: sa.Connection,
    run_id: int,
    component: str,
    state: str,
    reason: str,
    parameters: Mapping[str, Any],
    values: Mapping[str, Any],
) -> int:
    now = time.time()
    statement = sa.insert(_EXECUTIONS).values(
        run_id=run_id,
        component=component,
        state=state,
        reason=reason,
        parameters=dict(parameters),
        started=now,
        ended=None if state == RUNNING else now,
        **values,
    )
    return connection.execute(statement).inserted_primary_key[0]


def _insert_events(
    connection: sa.Connection,
    execution_id: int,
    artifacts: Mapping[str, ArtifactRecord],
    direction: str,
) -> None:
    for name, artifact in artifacts.items():
        connection.execute(
            sa.insert(_EVENTS).values(
                execution_id=execution_id,
                artifact_id=artifact.id,
                direction=direction,
                name=name,
            )
        )
