import pytest

pytest.importorskip("sqlalchemy")

import sqlalchemy as sa

from pipelines.engine.store import COMPLETE, FAILED, KILLED, RUNNING, MetadataStore
from tfac.errors import ConfigError, DataError

EXAMPLES = {
    "type": "Examples",
    "uri": "ExampleGen/1/examples",
    "fingerprint": "f" * 64,
    "num_files": 3,
    "num_bytes": 2**40,
    "properties": {"splits": {"train": 3}},
}


@pytest.fixture(params=["sqlite", "postgresql"])
def store(request, tmp_path):
    if request.param == "postgresql":
        url = request.getfixturevalue("postgresql_url")
        _empty(url)
    else:
        url = f"sqlite:///{tmp_path}/below/metadata.sqlite"
    with MetadataStore(url) as store:
        yield store


def _empty(url: str) -> None:
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        connection.execute(sa.text("DROP SCHEMA public CASCADE"))
        connection.execute(sa.text("CREATE SCHEMA public"))
    engine.dispose()


def begin(store, run_id, component="ExampleGen", key="k", inputs=None, **parameters) -> int:
    return store.begin_execution(
        run_id,
        component,
        cache_key=key,
        reason="first execution",
        code_version="c",
        parameters=parameters,
        external=None,
        inputs=inputs or {},
    )


def test_run_and_its_executions_are_read_as_written(store):
    run_id = store.begin_run("faces", {"root": "r"}, [{"name": "ExampleGen"}], "c")
    execution_id = begin(store, run_id, dataset="celeba")
    assert store.execution(execution_id).state == RUNNING
    assert store.execution(execution_id).ended is None
    store.complete_execution(execution_id, {"examples": EXAMPLES})
    store.end_run(run_id, COMPLETE)
    run, (execution,) = store.run(run_id), store.executions(run_id)
    assert (run.state, run.config, run.nodes) == (COMPLETE, {"root": "r"}, [{"name": "ExampleGen"}])
    assert (execution.state, execution.parameters) == (COMPLETE, {"dataset": "celeba"})
    assert execution.ended >= execution.started
    (examples,) = store.outputs(execution_id).values()
    assert {name: getattr(examples, name) for name in EXAMPLES} == EXAMPLES
    assert store.producer(examples.id) == (execution, "examples")


def test_execution_without_its_outputs_is_never_complete(store):
    run_id = store.begin_run("faces", {}, [], "c")
    execution_id = begin(store, run_id)
    with pytest.raises(DataError):
        store.complete_execution(
            execution_id, {"examples": EXAMPLES, "other": {**EXAMPLES, "uri": None}}
        )
    assert store.execution(execution_id).state == RUNNING
    assert store.outputs(execution_id) == {} and store.artifacts("faces", "Examples") == []


def test_execution_from_the_cache_has_the_artifacts_of_the_earlier(store):
    run_id = store.begin_run("faces", {}, [], "c")
    first = begin(store, run_id)
    store.complete_execution(first, {"examples": EXAMPLES})
    reader = begin(store, run_id, "Trainer", "t", inputs=store.outputs(first))
    store.complete_execution(reader, {})
    again = store.begin_run("faces", {}, [], "c")
    cached = store.record_cached(again, store.execution(reader), "unchanged")
    assert store.inputs(cached) == store.outputs(first)
    assert store.execution(cached).cached_from == reader
    # What was only taken from the cache is neither a source of the cache nor who wrote it.
    assert [each.id for each in store.complete_executions("faces", "t")] == [reader]
    (examples,) = store.outputs(first).values()
    assert [each.id for each in store.readers(examples.id)] == [reader]
    assert store.producer(examples.id)[0].id == first


def test_pipelines_in_one_database_do_not_see_each_other(store):
    run_id = store.begin_run("faces", {}, [], "c")
    store.complete_execution(begin(store, run_id), {"examples": EXAMPLES})
    assert store.complete_executions("others", "k") == []
    assert store.last_execution("others", "ExampleGen") is None
    assert store.artifacts("others", "Examples") == [] and store.runs("others") == []


def test_last_execution_has_ended(store):
    run_id = store.begin_run("faces", {}, [], "c")
    failed, killed, _ = (begin(store, run_id) for _ in range(3))
    store.fail_execution(failed, FAILED, "ValueError: x")
    store.fail_execution(killed, KILLED)
    assert store.last_execution("faces", "ExampleGen").id == killed
    assert store.execution(failed).error == "ValueError: x"
    assert store.execution(killed).ended is None


def test_database_is_opened_again(tmp_path):
    url = f"sqlite:///{tmp_path}/metadata.sqlite"
    with MetadataStore(url) as store:
        store.begin_run("faces", {}, [], "c")
    with MetadataStore(url) as store:
        assert [run.pipeline for run in store.runs(state=RUNNING)] == ["faces"]


@pytest.mark.parametrize("url", ["no url", "nodatabase://host/name"])
def test_unknown_database_is_refused(url):
    with pytest.raises(ConfigError, match="metadata_url"):
        MetadataStore(url)


def test_file_that_is_no_database_is_refused(tmp_path):
    (tmp_path / "metadata.sqlite").write_text("no database, but long enough to be read as one " * 9)
    with pytest.raises(DataError, match="metadata.sqlite"):
        MetadataStore(f"sqlite:///{tmp_path}/metadata.sqlite")
