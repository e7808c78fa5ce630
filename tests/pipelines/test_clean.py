import pytest

pytest.importorskip("sqlalchemy")

from toy_pipeline import run_toys

from pipelines.clean import clean
from pipelines.engine.locks import Locks
from pipelines.engine.origin import ORIGIN_FILE
from pipelines.engine.store import FAILED, RUNNING, MetadataStore
from pipelines.lineage import describe
from tests.pipelines.test_lineage import steps_of
from tfac.errors import ConfigError, DataError


def artifacts(root):
    return {str(path.relative_to(root)) for path in root.glob("*/[0-9]*")}


@pytest.fixture
def store(toy_root):
    run_toys(toy_root)
    with MetadataStore(f"sqlite:///{toy_root / 'metadata.sqlite'}") as store:
        yield store


def test_what_newest_runs_and_served_versions_need_is_kept(toy_root, store):
    served = toy_root.parent / "served"
    pipeline = store.runs()[0].pipeline
    run_toys(toy_root, quality=7)
    run_toys(toy_root, quality=3)  # refused
    run_toys(toy_root, quality=8)
    before = artifacts(toy_root)
    assert clean(store, pipeline, toy_root, served, keep=4) == []
    removed = clean(store, pipeline, toy_root, served, keep=1)
    # The refused model and its evaluation alone: all others are in service.
    assert sorted({path.parent.name for path in removed}) == ["Evaluator", "Trainer"]
    assert artifacts(toy_root) == before - {str(path.relative_to(toy_root)) for path in removed}
    assert "Trainer" in describe(steps_of(served / "2"))
    assert set(run_toys(toy_root, quality=8).values()) == {"cached"}
    run_toys(toy_root, quality=3)  # is made again


def test_what_runs_that_did_not_end_have_written_is_kept_to_go_on_with(toy_root, store):
    pipeline, nowhere = store.runs()[0].pipeline, toy_root.parent / "nowhere"
    run_toys(toy_root, quality=7)
    store.end_run(2, FAILED)
    assert clean(store, pipeline, toy_root, nowhere, keep=1) == []
    store.end_run(1, FAILED)  # none is complete
    assert clean(store, pipeline, toy_root, nowhere, keep=1) == []
    store.begin_run(pipeline, {}, [], "code")  # and its process is gone
    assert clean(store, pipeline, toy_root, nowhere, keep=1) == []


def test_nothing_is_removed_where_a_served_version_cannot_say_where_it_is_from(toy_root, store):
    run_toys(toy_root, quality=7)
    served, before = toy_root.parent / "served", artifacts(toy_root)
    (served / "1" / ORIGIN_FILE).write_text("{")
    with pytest.raises(DataError, match="pipeline.json"):
        clean(store, store.runs()[0].pipeline, toy_root, served, keep=1)
    assert artifacts(toy_root) == before


def test_a_run_under_way_is_not_disturbed(toy_root, store):
    run = store.begin_run(store.runs()[0].pipeline, {}, [], "code")
    with Locks(toy_root / ".lock-files").hold(f"run {run}"):
        with pytest.raises(ConfigError, match=f"no run to be under way. Received: {run}"):
            clean(store, store.runs()[0].pipeline, toy_root, toy_root, keep=1)
    assert store.runs(state=RUNNING)
