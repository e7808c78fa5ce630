"""Whether a component has to run: what its outputs follow from, and how that changed."""

import dataclasses
import functools
import hashlib
import importlib.metadata
import json
import os
import platform
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pipelines
import tfac
from pipelines.engine.component import ComponentSpec
from pipelines.engine.store import COMPLETE, FAILED, Artifacts, ExecutionRecord

# Libraries whose version changes what components write.
_LIBRARIES = (
    "apache-beam",
    "dlib-bin",
    "keras",
    "keras-hub",
    "numpy",
    "tensorflow",
    "tensorflow-datasets",
    "tensorflow-model-analysis",
)


@dataclasses.dataclass(frozen=True)
class Work:
    """What the outputs of an execution follow from.

    Attributes:
        component: the component's name.
        code_version: see `code_version`.
        parameters: all parameters by name.
        neutral: those of them that the outputs do not follow from.
        external: fingerprint of what it reads outside of the pipeline.
        inputs: the artifacts it reads, by name.
    """

    component: str
    code_version: str
    parameters: dict[str, Any]
    neutral: tuple[str, ...]
    external: str | None
    inputs: Artifacts

    @classmethod
    def of(cls, spec: ComponentSpec, parameters: Mapping[str, Any], inputs: Artifacts) -> "Work":
        """Returns the work of a component with these parameters and inputs."""
        return cls(
            component=spec.name,
            code_version=code_version(),
            parameters=dict(parameters),
            neutral=spec.neutral,
            external=None if spec.external is None else spec.external(parameters),
            inputs=inputs,
        )

    @property
    def cache_key(self) -> str:
        """SHA-256 of all that it follows from; equal where the outputs would be."""
        inputs = {name: artifact.fingerprint for name, artifact in self.inputs.items()}
        parts = [self.component, self.code_version, self._keyed(), self.external, inputs]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()

    def changes(self, earlier: ExecutionRecord, earlier_inputs: Artifacts) -> list[str]:
        """Returns what is not as it was in an earlier execution, in words."""
        changes = []
        if earlier.code_version != self.code_version:
            changes.append("the code or a library changed")
        before = {name: earlier.parameters.get(name) for name in self._keyed()}
        changes += [
            f"parameter {name}: {_short(before[name])} -> {_short(value)}"
            for name, value in self._keyed().items()
            if before[name] != value
        ]
        if earlier.external != self.external:
            changes.append("what it reads outside of the pipeline changed")
        names = [*self.inputs, *(name for name in earlier_inputs if name not in self.inputs)]
        for name in names:
            now, then = self.inputs.get(name), earlier_inputs.get(name)
            if now is None or then is None:
                changes.append(f"input {name} is {'no longer' if now is None else 'now'} there")
            elif now.fingerprint != then.fingerprint:
                changes.append(f"input {name} changed")
        return changes

    def _keyed(self) -> dict[str, Any]:
        return {name: v for name, v in self.parameters.items() if name not in self.neutral}


def explain_execution(
    work: Work, last: ExecutionRecord | None, last_inputs: Artifacts, unusable: str | None
) -> str:
    """Returns why a component has to run.

    Args:
        work: what is to be done.
        last: its newest execution that has ended; None if there is none.
        last_inputs: that execution's inputs.
        unusable: why the outputs of an execution that did the same cannot be taken, if one did.
    """
    if unusable:
        return unusable
    if last is None:
        return "first execution"
    changes = work.changes(last, last_inputs)
    if changes:
        return "; ".join(changes)
    ending = "failed" if last.state == FAILED else "was killed"
    return f"execution {last.id} of run {last.run_id} {ending}"


def explain_cached(earlier: ExecutionRecord) -> str:
    """Returns why a component does not have to run."""
    assert earlier.state == COMPLETE
    return (
        f"inputs, code and parameters are those of execution {earlier.id} in run {earlier.run_id}"
    )


@functools.cache
def code_version() -> str:
    """Returns SHA-256 of tfac's and the pipeline's source files and their libraries' versions."""
    versions = {"python": platform.python_version()}
    for name in _LIBRARIES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = None
    sources = []
    for package in (tfac, pipelines):
        folder = Path(package.__file__).parent
        for path in sorted(folder.rglob("*.py")):
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            sources.append([package.__name__, path.relative_to(folder).as_posix(), digest])
    return hashlib.sha256(json.dumps([versions, sources]).encode()).hexdigest()


@dataclasses.dataclass(frozen=True)
class Contents:
    """What is in a folder: how many files of how many bytes, and their fingerprint."""

    num_files: int
    num_bytes: int
    fingerprint: str


def read_contents(folder: Path, properties: Mapping[str, Any]) -> Contents:
    """Reads all files of a folder.

    Args:
        folder: the folder.
        properties: enter the fingerprint as well.
    """
    digest = hashlib.sha256(json.dumps(dict(properties), sort_keys=True).encode())
    num_files = num_bytes = 0
    for path in sorted(_files(folder), key=lambda path: path.relative_to(folder).as_posix()):
        with path.open("rb") as file:
            own = hashlib.file_digest(file, "sha256").hexdigest()
        digest.update(f"{path.relative_to(folder).as_posix()}\0{own}\n".encode())
        num_files += 1
        num_bytes += path.stat().st_size
    return Contents(num_files, num_bytes, digest.hexdigest())


def is_as_recorded(folder: Path, properties: Mapping[str, Any], fingerprint: str) -> bool:
    """Reads a folder, and returns whether every byte in it is as it was."""
    return folder.is_dir() and read_contents(folder, properties).fingerprint == fingerprint


def _files(folder: Path) -> Iterator[Path]:
    for parent, _, names in os.walk(folder):
        yield from (Path(parent, name) for name in names)


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
