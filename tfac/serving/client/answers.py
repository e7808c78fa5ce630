"""What a server's answers say about faces."""

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from tfac.errors import ServingError
from tfac.inference.prediction import Prediction, has_a_threshold_each
from tfac.serving.client.requests import Answer, Server


@dataclasses.dataclass(frozen=True, eq=False)
class Explanation:
    """What a model says about one face, and where it looked.

    Attributes:
        prediction: as a client's call returns it.
        groups: names of the G part groups, in the order of the masks; none where the model has no
            group attention.
        masks: level, such as "P3", to float32 [h, w, G], 0 or more, at the image size of training.
        affinity: level to float32 [G, G] in [0, 1], what row receives from column; empty where the
            model has no graph.
    """

    prediction: Prediction
    groups: tuple[str, ...]
    masks: dict[str, np.ndarray]
    affinity: dict[str, np.ndarray]


class Rows:
    """The answer about a batch of pictures, with the shapes that the model's metadata promise.

    Args:
        outputs: by name, as the server gave them.
        count: number of pictures.
        metadata: the model's.
        server: whom to name.

    Attributes:
        valid: bool [B], whether the server could decode each picture.

    Raises:
        ServingError: an output is missing or has another shape.
    """

    def __init__(
        self,
        outputs: Mapping[str, np.ndarray],
        count: int,
        metadata: Mapping[str, Any],
        server: Server,
    ):
        self._outputs, self._count, self._server = outputs, count, server
        self._attributes, self._explain = metadata["attributes"], metadata.get("explain")
        num_attributes = len(self._attributes)
        self.valid = self._array("valid", bool)
        self._answers = {
            "scores": self._array("scores", np.float32, num_attributes),
            "probabilities": self._array("probabilities", np.float32, num_attributes),
            "predictions": self._array("predictions", np.int32, num_attributes),
        }
        if "landmarks" in outputs:
            self._answers["landmarks"] = self._array("landmarks", np.float32, None, 2)

    def prediction(self, row: int) -> Prediction:
        """Returns what is said about a valid picture."""
        return Prediction.from_outputs(self._attributes, self._answers, row)

    def explanation(self, row: int) -> Explanation:
        """Returns what is said about a valid picture by the signature ``explain``."""
        levels, groups = self._explain["levels"], tuple(self._explain["groups"])
        size = len(groups)

        def by_level(kind: str, *shape: int | None) -> dict[str, np.ndarray]:
            return {
                level: self._array(f"{kind}_{level}", np.float32, *shape)[row] for level in levels
            }

        return Explanation(
            prediction=self.prediction(row),
            groups=groups,
            masks=by_level("masks", None, None, size),
            affinity=by_level("affinity", size, size) if self._explain["affinity"] else {},
        )

    def _array(self, name: str, dtype: type, *shape: int | None) -> np.ndarray:
        """Returns an output of shape [B, *shape], where None stands for any length."""
        array = np.asarray(self._outputs.get(name))
        wanted = (self._count, *shape)
        fits = len(wanted) == array.ndim and all(
            want in (None, have) for want, have in zip(wanted, array.shape, strict=True)
        )
        if not fits or array.dtype.kind not in "bif":
            raise self._server.error(
                ServingError,
                f"expected numbers {list(wanted)} in the output {name}. "
                f"Received: {array.dtype} {list(array.shape)}",
            )
        return array.astype(dtype)


def read_metadata(answer: Answer, server: Server) -> dict[str, Any]:
    """Returns the contents of ``tfac.json`` from the only output of ``tfac_metadata``."""
    try:
        (value,) = answer.outputs.values()
        metadata = json.loads(value.item())
        understood = has_a_threshold_each(metadata)
        if metadata.get("explain") is not None:
            explain = metadata["explain"]
            understood &= {"levels", "groups", "affinity"} <= set(explain)
    except (AttributeError, KeyError, RecursionError, TypeError, ValueError) as error:
        raise server.error(ServingError, f"expected tfac.json. Received: {error!r}") from error
    if not understood:
        raise server.error(
            ServingError, "expected tfac.json with as many threshold_probabilities as attributes"
        )
    return metadata
