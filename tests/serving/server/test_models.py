import logging
import shutil
from pathlib import Path

import pytest

from tests.serving.server.running_server import load_fake, write_versions
from tfac.serving.server.configuration import ModelConfig, VersionPolicy
from tfac.serving.server.metrics import Metrics
from tfac.serving.server.models import ModelStore, State
from tfac.serving.server.refusals import Refusal


def store_of(base: Path, policy: VersionPolicy | None = None, **labels: int) -> ModelStore:
    store = ModelStore(load_fake, Metrics())
    store.configure([ModelConfig("faces", base, policy or VersionPolicy(), labels)])
    store.poll()
    return store


def states(store: ModelStore) -> dict[int, State]:
    return {entry.version: entry.state for entry in store.status("faces")}


def test_newest_version_is_served(tmp_path):
    store = store_of(write_versions(tmp_path / "faces", 2, 10))
    assert states(store) == {10: State.AVAILABLE}
    with store.get("faces") as loaded:
        assert (loaded.name, loaded.version) == ("faces", 10)
        assert loaded.metadata == {"attributes": ["a", "b"]}
    assert store.names() == ["faces"]


def test_new_version_takes_over_and_old_one_ends_once_its_requests_are_answered(tmp_path):
    base = write_versions(tmp_path / "faces", 1)
    store = store_of(base)
    with store.get("faces") as in_flight:
        write_versions(base, 2)
        store.poll()
        assert states(store) == {1: State.UNLOADING, 2: State.AVAILABLE}
        with store.get("faces") as loaded:
            assert loaded.version == 2
        with pytest.raises(Refusal):
            store.get("faces", version=1).__enter__()
        store.poll()
        assert in_flight.engine is not None
        assert states(store)[1] == State.UNLOADING
    store.poll()
    assert states(store) == {1: State.END, 2: State.AVAILABLE}


def test_removing_the_newest_folder_rolls_back(tmp_path):
    base = write_versions(tmp_path / "faces", 1, 2)
    store = store_of(base)
    shutil.rmtree(base / "2")
    store.poll()
    assert states(store) == {1: State.AVAILABLE, 2: State.END}


def test_version_wanted_again_before_it_was_gone_is_kept(tmp_path):
    base = write_versions(tmp_path / "faces", 1)
    store = store_of(base)
    with store.get("faces") as in_flight:
        write_versions(base, 2)
        store.poll()
        shutil.rmtree(base / "2")
        store.poll()
        with store.get("faces") as loaded:
            assert loaded is in_flight


@pytest.mark.parametrize("content", [None, "corrupt"])
def test_broken_version_is_refused_once_and_retried_when_its_files_change(
    tmp_path, caplog, content
):
    base = write_versions(tmp_path / "faces", 1)
    store = store_of(base)
    (base / "2").mkdir()
    if content:
        (base / "2" / "saved_model.pb").write_text(content)
    with caplog.at_level(logging.ERROR):
        for _ in range(3):
            store.poll()
    (message,) = [record.getMessage() for record in caplog.records]
    assert "faces version 2 is refused" in message and "good saved_model.pb" in message
    old, new = store.status("faces")
    assert (old.state, new.state) == (State.AVAILABLE, State.END)
    assert "good saved_model.pb" in new.error and not old.error
    (base / "2" / "saved_model.pb").write_text("good")
    store.poll()
    assert states(store)[2] == State.AVAILABLE
    assert not store.status("faces", 2)[0].error


def test_broken_version_is_not_tried_at_every_look(tmp_path):
    base = write_versions(tmp_path / "faces", 1)
    (base / "2").mkdir()
    tried = []
    store = ModelStore(lambda folder: (tried.append(folder.name), load_fake(folder))[1], Metrics())
    store.configure([ModelConfig("faces", base)])
    store.poll()
    store.poll()
    assert sorted(tried) == ["1", "2"]


def test_server_that_starts_with_a_broken_newest_version_serves_the_one_before(tmp_path):
    base = write_versions(tmp_path / "faces", 1, 2)
    (base / "2" / "saved_model.pb").write_text("corrupt")
    assert states(store_of(base)) == {1: State.AVAILABLE, 2: State.END}


def test_broken_version_that_is_removed_is_forgotten(tmp_path):
    base = write_versions(tmp_path / "faces", 1)
    (base / "2").mkdir()
    store = store_of(base)
    shutil.rmtree(base / "2")
    store.poll()
    assert states(store) == {1: State.AVAILABLE}


def test_model_whose_folder_is_gone_serves_on(tmp_path, caplog):
    base = write_versions(tmp_path / "faces", 1)
    store = store_of(base)
    shutil.rmtree(base)
    with caplog.at_level(logging.ERROR):
        store.poll()
        store.poll()
    assert states(store) == {1: State.AVAILABLE}
    assert len(caplog.records) == 1


def test_several_versions_are_served_by_policy(tmp_path):
    base = write_versions(tmp_path / "faces", 1, 2, 3)
    store = store_of(base, VersionPolicy(specific=frozenset({1, 3})), stable=1, canary=3, next=4)
    assert store.available("faces") == [1, 3]
    for label, version in {"stable": 1, "canary": 3}.items():
        with store.get("faces", label=label) as loaded:
            assert loaded.version == version
        assert [entry.version for entry in store.status("faces", label=label)] == [version]
    with pytest.raises(Refusal, match=r"Specific\(faces, 4\)"):
        store.get("faces", label="next").__enter__()


@pytest.mark.parametrize(
    "which, status, message",
    [
        (("other",), 404, r"Servable not found for request: Latest\(other\)"),
        (("faces", 9), 404, r"Specific\(faces, 9\)"),
        (("faces", None, "x"), 400, "Unrecognized servable version label: x"),
        (("faces", 1, "x"), 400, "Received: both"),
    ],
)
def test_what_is_not_served_is_refused(tmp_path, which, status, message):
    store = store_of(write_versions(tmp_path / "faces", 1))
    with pytest.raises(Refusal, match=message) as refused:
        store.get(*which).__enter__()
    assert refused.value.http_status == status


def test_status_of_what_is_not_there_is_refused(tmp_path):
    store = store_of(write_versions(tmp_path / "faces", 1))
    with pytest.raises(Refusal, match="Could not find any versions of model other"):
        store.status("other")
    with pytest.raises(Refusal, match="Could not find version 7 of model faces"):
        store.status("faces", 7)


def test_model_that_is_not_configured_any_more_is_unloaded(tmp_path):
    store = store_of(write_versions(tmp_path / "faces", 1))
    store.configure([ModelConfig("other", write_versions(tmp_path / "other", 5))])
    store.poll()
    assert store.names() == ["other"] and store.available("other") == [5]
    assert states(store) == {1: State.END}
    with pytest.raises(Refusal):
        store.get("faces").__enter__()


def test_label_moves_with_the_configuration(tmp_path):
    base = write_versions(tmp_path / "faces", 1, 2)
    policy = VersionPolicy(num_latest=2)
    store = store_of(base, policy, stable=1)
    store.configure([ModelConfig("faces", base, policy, {"stable": 2})])
    with store.get("faces", label="stable") as loaded:
        assert loaded.version == 2
