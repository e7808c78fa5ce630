import pytest

pytest.importorskip("sqlalchemy")

from pipelines.engine.artifacts import ExampleStatistics, Model, Schema
from pipelines.engine.graph import LATEST_PUSHED, LATEST_VALID, Reference, Resolve
from pipelines.engine.resolution import resolve
from pipelines.engine.store import ArtifactRecord, MetadataStore


@pytest.fixture
def store(tmp_path):
    with MetadataStore(f"sqlite:///{tmp_path}/metadata.sqlite") as store:
        yield store


class Recorder:
    """Records complete executions of one run."""

    def __init__(self, store):
        self.store, self.run_id = store, store.begin_run("faces", {}, [], "c")

    def record(self, artifact_type, fingerprint, inputs=(), **properties) -> ArtifactRecord:
        execution_id = self.store.begin_execution(
            self.run_id,
            "Any",
            cache_key="k",
            reason="",
            code_version="c",
            parameters={},
            external=None,
            inputs={str(i): each for i, each in enumerate(inputs)},
        )
        fields = {"uri": "u", "fingerprint": fingerprint, "num_files": 0, "num_bytes": 0}
        fields |= {"type": artifact_type, "properties": properties}
        self.store.complete_execution(execution_id, {"output": fields})
        return self.store.outputs(execution_id)["output"]


OWN = Reference("Any", "output")


def test_latest_pushed_is_of_the_newest_push_of_another_model(store):
    recorder = Recorder(store)
    wanted = Resolve(Model, LATEST_PUSHED, OWN)
    first, second, third = (recorder.record("Model", each) for each in "abc")
    assert resolve(store, "faces", wanted, first) is None
    recorder.record("PushedModel", "p", [first])
    assert resolve(store, "faces", wanted, first) is None
    recorder.record("PushedModel", "q", [third])
    assert resolve(store, "faces", wanted, third) == first  # the second was never pushed
    assert resolve(store, "faces", wanted, second) == third
    assert resolve(store, "faces", wanted, first) == third
    assert resolve(store, "others", wanted, second) is None


@pytest.mark.parametrize("artifact_type", [ExampleStatistics, Schema])
def test_latest_valid_was_found_to_be_without_fault(store, artifact_type):
    recorder, name = Recorder(store), artifact_type.__name__
    wanted = Resolve(artifact_type, LATEST_VALID, OWN)
    good = recorder.record(name, "a")
    recorder.record("ExampleAnomalies", "x", [good], blocking=False)
    bad = recorder.record(name, "b")
    recorder.record("ExampleAnomalies", "y", [bad], blocking=True)
    unknown = recorder.record(name, "c")
    recorder.record("Schema", "z", [unknown])
    own = recorder.record(name, "d")
    assert resolve(store, "faces", wanted, own) == good
    recorder.record("ExampleAnomalies", "w", [own], blocking=False)
    assert resolve(store, "faces", wanted, own) == good  # the same again, and not itself
    assert resolve(store, "faces", wanted, good) is None  # what came later is not before


def test_unknown_rule_is_refused(store):
    with pytest.raises(ValueError, match="Received: oldest"):
        resolve(store, "faces", Resolve(Model, "oldest", OWN), Recorder(store).record("Model", "a"))
