"""What is served, and within which limits."""

import dataclasses
import os
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from tfac.errors import ConfigError, DataError
from tfac.files import version_number


def _option(default: Any, help: str, lower_bound: float | None, upper_bound=None) -> Any:
    """A field with its meaning and range, from which `tfac.cli.serve` makes a flag."""
    limits = {"lower_bound": lower_bound, "upper_bound": upper_bound}
    limits = {name: bound for name, bound in limits.items() if bound is not None}
    return dataclasses.field(default=default, metadata={"help": help, "limits": limits})


@dataclasses.dataclass(frozen=True)
class ServerOptions:
    """Addresses, batching and limits; the names of TensorFlow Serving's flags where it has them."""

    host: str = _option("127.0.0.1", "address to listen on; 0.0.0.0 for all", None)
    port: int = _option(8500, "port for gRPC; 0 takes a free one", 0, 65535)
    rest_api_port: int = _option(8501, "port for REST; 0 takes a free one", 0, 65535)
    file_system_poll_wait_seconds: float = _option(
        1.0, "seconds between looks for new versions; 0 looks once", 0
    )
    max_batch_size: int = _option(32, "pictures that run at once, and the most of one request", 1)
    batch_timeout_micros: int = _option(
        0, "time that a batch waits to be filled while the engine is idle", 0
    )
    max_enqueued_batches: int = _option(
        16, "batches that wait; requests beyond are answered 'busy'", 1
    )
    num_batch_threads: int = _option(1, "batches that run at once", 1)
    max_request_bytes: int = _option(32 * 2**20, "largest request, as it comes over the wire", 1)
    max_concurrent_requests: int = _option(256, "requests at once whose body is there", 1)
    rest_api_timeout_in_ms: int = _option(
        30_000,
        "time for a REST request to come in and be answered, and for a gRPC request to come in",
        1,
    )
    trusted_hosts: str = _option(
        "",
        "comma-separated names under which clients reach REST and the page, beside --host, "
        "localhost and all addresses; * for any",
        None,
    )
    grace: float = _option(30.0, "seconds for requests in flight when the server is stopped", 0)
    idle_timeout_seconds: float = 60.0  # for a REST connection that sends no whole header


@dataclasses.dataclass(frozen=True)
class VersionPolicy:
    """Which of the versions on disk are served.

    Attributes:
        num_latest: this many, the highest numbers; None serves all.
        specific: these alone; None goes by `num_latest`.
    """

    num_latest: int | None = 1
    specific: frozenset[int] | None = None

    def choose(self, versions: Collection[int]) -> set[int]:
        """Returns those among `versions` that are to be served."""
        if self.specific is not None:
            return self.specific & set(versions)
        if self.num_latest is None:
            return set(versions)
        return set(sorted(versions)[-self.num_latest :])


@dataclasses.dataclass(frozen=True)
class ModelConfig:
    """A model to serve.

    Attributes:
        name: what clients call it.
        base_path: folder that holds a folder for each version.
        policy: which versions are served.
        labels: version by label, such as stable and canary.
    """

    name: str
    base_path: Path
    policy: VersionPolicy = VersionPolicy()
    labels: Mapping[str, int] = dataclasses.field(default_factory=dict)


def model_at(path: str | os.PathLike) -> ModelConfig:
    """Returns the model in a folder, by the folder's name.

    Args:
        path: ``saved_models/NAME``, or ``saved_models/NAME/VERSION`` to serve one version alone.

    Raises:
        DataError: there is no folder at `path`.
    """
    folder = Path(path).resolve()
    if not folder.is_dir():
        raise DataError(f"expected the folder of an exported model, but there is none at {path}")
    if version_number(folder.name) is not None and (folder / "saved_model.pb").is_file():
        policy = VersionPolicy(specific=frozenset({int(folder.name)}))
        return ModelConfig(folder.parent.name, folder.parent, policy)
    return ModelConfig(folder.name, folder)


def read_model_config(path: str | os.PathLike) -> list[ModelConfig]:
    """Reads TensorFlow Serving's ``models.config``, a ``ModelServerConfig`` in text form.

    A relative ``base_path`` is taken from the folder of the file.

    Raises:
        DataError: the file cannot be read or is no such text.
        ConfigError: it names no model, a model twice or without a path, or another platform.
    """
    from google.protobuf import text_format
    from tensorflow_serving.config import model_server_config_pb2  # imports TensorFlow

    path = Path(path)
    try:
        parsed = text_format.Parse(
            path.read_text("utf-8"), model_server_config_pb2.ModelServerConfig()
        )
    except (OSError, ValueError, text_format.ParseError) as error:
        raise DataError(f"{path}: expected a ModelServerConfig in text form: {error}") from error
    configs = [_model_config(entry, path) for entry in parsed.model_config_list.config]
    check_names([config.name for config in configs], str(path))
    return configs


def check_names(names: Sequence[str], source: str) -> None:
    """Makes sure that every model has a name of its own, and that there is a model.

    Raises:
        ConfigError: not so; names `source`.
    """
    if not names:
        raise ConfigError(f"{source}: expected at least one model. Received: none")
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ConfigError(f"{source}: expected each model once. Received twice: {', '.join(twice)}")


def _model_config(entry: Any, path: Path) -> ModelConfig:
    if not entry.name or not entry.base_path:
        raise ConfigError(f"{path}: expected a name and a base_path for each model")
    if entry.model_platform not in ("", "tensorflow"):
        raise ConfigError(
            f"{path}: {entry.name}: model_platform: expected tensorflow. "
            f"Received: {entry.model_platform}"
        )
    return ModelConfig(
        name=entry.name,
        base_path=(path.parent / entry.base_path).resolve(),
        policy=_policy(entry.model_version_policy),
        labels=dict(entry.version_labels),
    )


def _policy(policy: Any) -> VersionPolicy:
    match policy.WhichOneof("policy_choice"):
        case "all":
            return VersionPolicy(num_latest=None)
        case "specific":
            return VersionPolicy(specific=frozenset(policy.specific.versions))
        case _:
            return VersionPolicy(num_latest=policy.latest.num_versions or 1)
