"""Versions of models on disk: loaded as they appear, switched, drained, and refused when broken."""

import contextlib
import dataclasses
import enum
import gc
import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from tfac.files import version_folders
from tfac.inference.engines import Engine
from tfac.serving.server.configuration import ModelConfig
from tfac.serving.server.metrics import Metrics
from tfac.serving.server.refusals import invalid, not_found

_LOGGER = logging.getLogger(__name__)


class State(enum.IntEnum):
    """Where a version stands; the numbers of TensorFlow Serving's ``ModelVersionStatus``."""

    LOADING = 20
    AVAILABLE = 30
    UNLOADING = 40
    END = 50


@dataclasses.dataclass(frozen=True)
class VersionStatus:
    """State of a version, and why it could not be loaded (else empty)."""

    version: int
    state: State
    error: str


@dataclasses.dataclass(eq=False)
class LoadedVersion:
    """A version that answers requests.

    Attributes:
        name: of its model.
        version: its number.
        engine: what runs it.
    """

    name: str
    version: int
    engine: Engine

    @property
    def metadata(self) -> Mapping[str, Any]:
        """The contents of its ``tfac.json``."""
        return self.engine.metadata


@dataclasses.dataclass(eq=False)
class _Version:
    state: State = State.LOADING
    loaded: LoadedVersion | None = None
    pins: int = 0  # requests in flight
    error: str = ""
    files: tuple = ()  # as they were when it could not be loaded


class ModelStore:
    """The models that are served.

    `poll` does all the work: it looks at the disk, loads what is new aside, and only then retires
    what is not wanted any more; a retired version goes once its last request is answered. A version
    that cannot be loaded is left out, as if it were not on disk, until its files change. A model
    whose folder is gone or empty keeps the versions that it has.

    Args:
        load: makes an engine from a version's folder; whatever it raises refuses the version.
        metrics: where loads are counted.
    """

    def __init__(self, load: Callable[[Path], Engine], metrics: Metrics):
        self._load = load
        self._metrics = metrics
        self._lock = threading.Lock()  # of everything below
        self._configs: dict[str, ModelConfig] = {}
        self._versions: dict[str, dict[int, _Version]] = {}
        self._empty: set[str] = set()  # models that were logged to have no version on disk
        self._polling = threading.Lock()

    def configure(self, configs: Iterable[ModelConfig]) -> None:
        """Sets what is to be served from the next `poll` on; labels hold at once."""
        with self._lock:
            self._configs = {config.name: config for config in configs}
            for name in self._configs:
                self._versions.setdefault(name, {})

    def names(self) -> list[str]:
        """Returns the names of the models."""
        with self._lock:
            return list(self._configs)

    @contextlib.contextmanager
    def get(
        self, name: str, version: int | None = None, label: str | None = None
    ) -> Iterator[LoadedVersion]:
        """Yields a version, which stays loaded in the meantime.

        Args:
            name: of the model.
            version: its number; by default the highest that is available.
            label: instead of `version`, as the configuration assigns it.

        Raises:
            Refusal: no such model, label, or version that is available.
        """
        with self._lock:
            version = self._resolve(name, version, label)
            entry = self._available(name, version)
            entry.pins += 1
        try:
            yield entry.loaded
        finally:
            with self._lock:
                entry.pins -= 1

    def available(self, name: str) -> list[int]:
        """Returns the versions of a model that answer requests, in rising order."""
        return [entry.version for entry in self.status(name) if entry.state is State.AVAILABLE]

    def status(
        self, name: str, version: int | None = None, label: str | None = None
    ) -> list[VersionStatus]:
        """Returns the state of the versions of a model, in rising order, or of one of them.

        Raises:
            Refusal: no such model, label or version.
        """
        with self._lock:
            version = self._resolve(name, version, label)
            entries = self._versions.get(name, {})
            if version is not None:
                entries = {version: entries[version]} if version in entries else {}
            statuses = [
                VersionStatus(number, entry.state, entry.error)
                for number, entry in sorted(entries.items())
            ]
        if not statuses:
            what = "any versions" if version is None else f"version {version}"
            raise not_found(f"Could not find {what} of model {name}")
        return statuses

    def poll(self) -> None:
        """Brings what is loaded in line with what is on disk; returns once it is."""
        with self._polling:
            with self._lock:
                configs, known = dict(self._configs), list(self._versions)
            for name in known:
                if name in configs:
                    self._update(configs[name])
                else:
                    self._retire(name, wanted=set())
            if self._unload():
                gc.collect()  # engines hold cycles

    def _resolve(self, name: str, version: int | None, label: str | None) -> int | None:
        if version is not None and label is not None:
            raise invalid("expected a version or a version label. Received: both")
        if label is None:
            return version
        config = self._configs.get(name)
        if config is None or label not in config.labels:
            raise invalid(f"Unrecognized servable version label: {label}")
        return config.labels[label]

    def _available(self, name: str, version: int | None) -> _Version:
        entries = self._versions.get(name, {}) if name in self._configs else {}
        available = [v for v, entry in entries.items() if entry.state is State.AVAILABLE]
        if version is None and available:
            return entries[max(available)]
        if version in available:
            return entries[version]
        what = f"Latest({name})" if version is None else f"Specific({name}, {version})"
        raise not_found(f"Servable not found for request: {what}")

    def _update(self, config: ModelConfig) -> None:
        folders = version_folders(config.base_path)
        if not folders:
            if config.name not in self._empty:
                self._empty.add(config.name)
                _LOGGER.error("%s: no versions found in %s", config.name, config.base_path)
            return
        self._empty.discard(config.name)
        entries = self._versions[config.name]
        while True:
            refused = self._still_refused(entries, folders)
            wanted = config.policy.choose(set(folders) - refused)
            missing = [v for v in wanted if not self._is_available(entries, v)]
            if not missing:
                break
            self._load_version(config, max(missing), folders[max(missing)])
        if wanted:
            self._retire(config.name, wanted)

    def _still_refused(self, entries: dict[int, _Version], folders: dict[int, Path]) -> set[int]:
        refused = {v for v, entry in entries.items() if entry.error}
        for version in refused - set(folders):
            with self._lock:
                del entries[version]
        return {v for v in refused & set(folders) if entries[v].files == _files(folders[v])}

    def _is_available(self, entries: dict[int, _Version], version: int) -> bool:
        with self._lock:
            entry = entries.get(version)
            if entry is not None and entry.state is State.UNLOADING:
                entry.state = State.AVAILABLE  # wanted again before it was gone
            return entry is not None and entry.state is State.AVAILABLE

    def _load_version(self, config: ModelConfig, version: int, folder: Path) -> None:
        entry, name, path = _Version(), config.name, str(config.base_path)
        files = _files(folder)  # before the load: what is written meanwhile counts as a change
        with self._lock:
            before = self._versions[name].get(version)
            self._versions[name][version] = entry
        start = time.perf_counter()
        try:
            engine = self._load(folder)
        except Exception as error:  # a broken version must not stop the others
            with self._lock:
                entry.state, entry.error, entry.files = State.END, f"{error}" or repr(error), files
            self._metrics.loads.labels(path, "fail").inc()
            if before is None or before.error != entry.error:
                _LOGGER.error("%s version %d is refused: %s", name, version, entry.error)
            return
        with self._lock:
            entry.loaded = LoadedVersion(name, version, engine)
            entry.state = State.AVAILABLE
        self._metrics.loads.labels(path, "success").inc()
        self._metrics.load_latency.labels(path).observe((time.perf_counter() - start) * 1e6)
        _LOGGER.info("%s version %d is available", name, version)

    def _retire(self, name: str, wanted: set[int]) -> None:
        with self._lock:
            for version, entry in self._versions[name].items():
                if entry.state is State.AVAILABLE and version not in wanted:
                    entry.state = State.UNLOADING

    def _unload(self) -> bool:
        """Lets go of retired versions that answer no request any more; True if there were any."""
        found = False
        with self._lock:
            for name, entries in self._versions.items():
                for version, entry in entries.items():
                    if entry.state is State.UNLOADING and not entry.pins:
                        entry.state, entry.loaded, found = State.END, None, True
                        _LOGGER.info("%s version %d is unloaded", name, version)
        return found


def _files(folder: Path) -> tuple:
    """Returns what tells whether a folder's files changed: names, sizes and times."""
    found = []
    for path in sorted(folder.rglob("*")):
        with contextlib.suppress(OSError):  # gone meanwhile
            entry = path.stat()
            found.append((str(path), entry.st_size, entry.st_mtime_ns))
    return tuple(found)
