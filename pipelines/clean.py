"""Removes what old runs have written: ``python -m pipelines.clean --config=mine.json --keep=3``.

Kept are the artifacts of the newest complete runs and of all since, and those that a version in
service follows from. The records stay, so that what is removed can be described still; a run that
needs it makes it again.
"""

import shutil
from collections.abc import Iterator
from pathlib import Path

from absl import flags

from pipelines.configs import read_config
from pipelines.engine.locks import Locks
from pipelines.engine.origin import ORIGIN_FILE, read_origin
from pipelines.engine.store import COMPLETE, RUNNING, MetadataStore
from pipelines.lineage import find_push, find_steps
from pipelines.run import FLAGS
from tfac.cli import run_program
from tfac.errors import ConfigError, DataError
from tfac.files import version_folders

flags.declare_key_flag("config")  # of pipelines.run, as is --set
flags.declare_key_flag("set")
_KEEP = flags.DEFINE_integer("keep", 3, "complete runs whose artifacts are kept", lower_bound=1)


def clean(store: MetadataStore, pipeline: str, root: Path, served: Path, keep: int) -> list[Path]:
    """Removes the folders of executions that nothing kept needs; returns them.

    Args:
        store: the pipeline's records.
        pipeline: its name.
        root: the folder that its components write into.
        served: the folder with the versions of its model.
        keep: how many of the newest complete runs keep what they have.

    Raises:
        ConfigError: a run is under way.
        DataError: a version in service does not say where it is from; nothing is removed.
    """
    locks, runs = Locks(root / ".lock-files"), store.runs(pipeline)
    with locks.hold("runs"):  # none begins
        for run in store.runs(pipeline, RUNNING):
            lock = locks.take(f"run {run.id}")
            if lock is None:
                raise ConfigError(f"{root}: expected no run to be under way. Received: {run.id}")
            with lock:
                pass  # it was killed
        complete = [run.id for run in runs if run.state == COMPLETE]
        oldest = complete[-keep] if len(complete) >= keep else 0
        kept = {
            _folder(artifact.uri)
            for run in runs
            if run.id >= oldest  # one that did not end may be gone on with
            for execution in store.executions(run.id)
            for artifacts in (store.inputs(execution.id), store.outputs(execution.id))
            for artifact in artifacts.values()
        }
        kept |= set(_followed_by(store, served))
        made = {
            Path(execution.component, str(execution.id))
            for run in runs
            for execution in store.executions(run.id)
        }
        removed = sorted(root / path for path in made - kept if (root / path).is_dir())
        for path in removed:
            shutil.rmtree(path)
    return removed


def _followed_by(store: MetadataStore, served: Path) -> Iterator[Path]:
    """Yields the executions that versions in service follow from."""
    for version, folder in version_folders(served).items():
        if not (folder / ORIGIN_FILE).is_file():  # no pipeline pushed it
            continue
        origin = read_origin(folder)
        try:
            push = find_push(store, origin.artifact_id, origin.fingerprint, version)
        except DataError:  # not of these records
            continue
        for step in find_steps(store, push):
            for artifact in (*step.inputs.values(), *step.outputs.values()):
                yield _folder(artifact.uri)


def _folder(uri: str) -> Path:
    return Path(*Path(uri).parts[:2])  # component and execution


def main() -> None:
    """Cleans up after the pipeline that the flags describe."""
    config = read_config(FLAGS.config, FLAGS.set)
    root, served = Path(config.root), Path(config.saved_models_dir, config.name)
    if not root.is_dir():
        raise ConfigError(f"root: expected the folder of a pipeline's runs. Received: {root}")
    with MetadataStore(config.store_url) as store:
        removed = clean(store, config.name, root, served, _KEEP.value)
    print("".join(f"removed {path}\n" for path in removed) + f"{len(removed)} folders removed")


def run() -> None:
    """Runs the program."""
    run_program(main)


if __name__ == "__main__":
    run()
