"""What components take and give: typed folders with a few properties, by TFX's names.

A component's annotations say which is which::

    def statistics_gen(examples: Input[Examples], statistics: Output[ExampleStatistics]) -> None

An input is read and never changed. An output's `path` is an empty folder to fill, and its
`properties` may be set; nobody sees it before the component has returned.
"""

import dataclasses
from pathlib import Path
from typing import Annotated, Any, TypeVar


@dataclasses.dataclass(frozen=True)
class Origin:
    """Where the records of an artifact are; see `pipelines.engine.origin`.

    Attributes:
        store: URL of the database, without its password.
        artifact_id: the artifact's number there.
        fingerprint: SHA-256 of its files and properties.
    """

    store: str
    artifact_id: int
    fingerprint: str


@dataclasses.dataclass(eq=False)
class Artifact:
    """A folder that a component has written, or is to write.

    Attributes:
        path: the folder.
        properties: what others need to know without opening it, as JSON can hold it.
        origin: of an input in a run that keeps records; None otherwise.
    """

    path: Path
    properties: dict[str, Any] = dataclasses.field(default_factory=dict)
    origin: Origin | None = None


class Examples(Artifact):
    """A prepared data set, as tfac-prepare writes it."""


class ExampleStatistics(Artifact):
    """Statistics of each split: statistics.json and <split>/statistics.pb."""


class Schema(Artifact):
    """What examples have to look like: schema.pbtxt."""


class ExampleAnomalies(Artifact):
    """What is wrong with examples; `blocking` says that nothing may be trained on them."""


class TransformGraph(Artifact):
    """The preprocessing that training and serving share: saved_model/, transform.json."""


class HyperParameters(Artifact):
    """Options of a training run that were searched for: hyperparameters.json."""


class Model(Artifact):
    """A trained model: workdir/ as tfac-train leaves it, and saved_model/."""


class ModelEvaluation(Artifact):
    """A model's metrics: metrics.json as tfac-evaluate writes it, validation.json, tfma/."""


class ModelBlessing(Artifact):
    """Whether a model is good enough: `blessed`, and the `reasons` where it is not."""


class InfraBlessing(Artifact):
    """Whether a model can be loaded and served: `blessed`, and the `reasons` where it cannot."""


class PushedModel(Artifact):
    """Where a model was pushed to: `destination` and `version`."""


class InferenceResult(Artifact):
    """A model's predictions: Parquet files."""


T = TypeVar("T", bound=Artifact)
Input = Annotated[T, "input"]
Output = Annotated[T, "output"]

ARTIFACT_TYPES: dict[str, type[Artifact]] = {
    each.__name__: each for each in (Artifact, *Artifact.__subclasses__())
}
