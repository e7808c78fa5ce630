"""What a pipeline is to do: a JSON file, and single values changed on the command line.

::

    {
      "name": "faces",
      "root": "pipeline_runs/faces",
      "training": {"protocol": "small", "image_size": [64, 64], "options": {"epochs": 3}},
      "components": {
        "ExampleGen": {"dataset": "folder", "source_dir": "photos", "options": {...}},
        "Tuner": {}
      }
    }

A component's section holds parameters of its function in `pipelines.components`; what is left out
has its default. Tuner and BulkInferrer are part of the pipeline where they have a section.
"training" holds what Transform, Tuner and Trainer share.
"""

import dataclasses
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tfac.errors import ConfigError, DataError
from tfac.files import read_json

_NAME = re.compile(r"[a-z][a-z0-9_-]*")
_TRAINING = ("experiment", "protocol", "options", "image_size")
_BUILT_IN = Path(__file__).parent / "built_in_configs"


@dataclasses.dataclass(frozen=True)
class PipelineConfig:
    """What a pipeline is to do; checked when made.

    Attributes:
        name: of the pipeline and of the model that it pushes: small letters, digits, - and _.
        root: folder of all that its components write.
        saved_models_dir: folder that models are pushed to, each to `<name>/<version>` in it.
        metadata_url: the database of its records, as SQLAlchemy takes it; by default
            ``metadata.sqlite`` in `root`. There, a name belongs to one root.
        training: `experiment`, `protocol` and `options` of Tuner and Trainer, and Transform's
            `image_size`, height and width in pixels.
        components: component to its parameters.

    Raises:
        ConfigError: a name that cannot be used, or values of another type.
    """

    name: str = "faces"
    root: str = ""
    saved_models_dir: str = "saved_models"
    metadata_url: str | None = None
    training: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    components: Mapping[str, Mapping[str, Any]] = dataclasses.field(default_factory=dict)

    def __post_init__(self):
        """Checks it."""
        if not isinstance(self.name, str) or not _NAME.fullmatch(self.name):
            raise ConfigError(
                "name: expected small letters, digits, - and _, a letter first. "
                f"Received: {self.name!r}"
            )
        for option in ("root", "saved_models_dir"):
            if not isinstance(getattr(self, option), str):
                raise ConfigError(
                    f"{option}: expected a folder. Received: {getattr(self, option)!r}"
                )
        for name in _section(self.training, "training"):
            if name not in _TRAINING:
                raise ConfigError(f"training: expected {', '.join(_TRAINING)}. Received: {name}")
        for component, parameters in _section(self.components, "components").items():
            _section(parameters, f"components.{component}")
        if not self.root:
            object.__setattr__(self, "root", f"pipeline_runs/{self.name}")

    @property
    def store_url(self) -> str:
        """URL of the database of its records."""
        return self.metadata_url or f"sqlite:///{Path(self.root, 'metadata.sqlite')}"

    def to_dict(self) -> dict[str, Any]:
        """Returns the values as JSON can hold them, but the database's URL, which may be secret."""
        values = dataclasses.asdict(self)
        del values["metadata_url"]
        return values


def read_config(source: str | None = None, changes: Sequence[str] = ()) -> PipelineConfig:
    """Reads a configuration.

    Args:
        source: a JSON file, or the name of one in `pipelines/built_in_configs`; by default all
            values are the defaults.
        changes: values to change, "root=folder", "training.protocol=small" or
            "Evaluator.max_gap=5"; those that are no JSON are text.

    Raises:
        ConfigError: a file that cannot be read, or values that cannot be used.
    """
    values = _read_file(source) if source else {}
    for change in changes:
        _apply(change, values)
    known = [field.name for field in dataclasses.fields(PipelineConfig)]
    for name in values:
        if name not in known:
            raise ConfigError(
                f"{source or 'configuration'}: expected {', '.join(known)}. Received: {name}"
            )
    return PipelineConfig(**values)


def _read_file(source: str) -> dict[str, Any]:
    path = Path(source)
    if path.suffix != ".json":
        path = _BUILT_IN / f"{source}.json"
    if not path.exists():
        names = sorted(each.stem for each in _BUILT_IN.glob("*.json"))
        raise ConfigError(
            f"config: expected a JSON file or one of {', '.join(names)}. Received: {source}"
        )
    try:
        return read_json(path, "names and values in JSON")
    except DataError as error:
        raise ConfigError(str(error)) from error


def _apply(change: str, values: dict[str, Any]) -> None:
    """Changes a value; `change` is as `read_config` takes it."""
    place, equals, text = change.partition("=")
    names = place.split(".")
    if not equals or not all(names):
        raise ConfigError(f"set: expected NAME=VALUE or COMPONENT.NAME=VALUE. Received: {change}")
    if len(names) > 1 and names[0] != "training":
        names = ["components", *names]
    section = values
    for name in names[:-1]:
        section = _section(section.setdefault(name, {}), place)
    try:
        section[names[-1]] = json.loads(text)
    except ValueError:
        section[names[-1]] = text


def _section(value: Any, name: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ConfigError(f"{name}: expected names and values. Received: {value!r}")
    return value
