"""What a data set holds, in a fixed amount of memory however many pictures there are.

Batches are summed up, and sums of batches, shards and splits are merged by adding them.
"""

import dataclasses
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tfac.errors import DataError
from tfac.files import read_json, write_json
from tfac.landmarks import LandmarkScheme, get_landmark_scheme

# Feature to the edges of its histogram; what is beyond the last is counted with the last.
EDGES: Mapping[str, tuple[int, ...]] = {
    "image/height": (0, 16, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 2048, 4096, 8192),
    "image/width": (0, 16, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 2048, 4096, 8192),
    "image/brightness": tuple(range(0, 257, 16)),
    "image/contrast": tuple(range(0, 129, 8)),
}


@dataclasses.dataclass(frozen=True, eq=False)
class ValueSummary:
    """Values of a feature, one a picture.

    Attributes:
        lowest: of the values; infinite where there are none.
        highest: of the values.
        total: their sum.
        total_squares: the sum of their squares.
        counts: int64 [E - 1], values between each two of the feature's E edges.
    """

    lowest: float
    highest: float
    total: float
    total_squares: float
    counts: np.ndarray

    @classmethod
    def of(cls, values: np.ndarray, edges: tuple[int, ...]) -> "ValueSummary":
        """Returns the summary of values [N]."""
        values = values.astype(np.float64)
        inside = np.clip(values, edges[0], edges[-1])
        return cls(
            lowest=float(values.min(initial=math.inf)),
            highest=float(values.max(initial=-math.inf)),
            total=float(values.sum()),
            total_squares=float(np.square(values).sum()),
            counts=np.histogram(inside, edges)[0].astype(np.int64),
        )

    def __add__(self, other: "ValueSummary") -> "ValueSummary":
        """Returns the summary of the values of both."""
        return ValueSummary(
            min(self.lowest, other.lowest),
            max(self.highest, other.highest),
            self.total + other.total,
            self.total_squares + other.total_squares,
            self.counts + other.counts,
        )

    @property
    def mean(self) -> float:
        """The mean of the values, of which there is one at least."""
        return self.total / int(self.counts.sum())

    @property
    def deviation(self) -> float:
        """Their standard deviation."""
        return math.sqrt(max(0, self.total_squares / int(self.counts.sum()) - self.mean**2))


@dataclasses.dataclass(frozen=True, eq=False)
class SplitSummary:
    """What is known of the pictures of a split, or of a part of it.

    Attributes:
        num_pictures: how many there are.
        num_bytes: of the encoded pictures.
        annotated: int64 [A, A], pictures where both attributes are annotated; the one on the
            diagonal.
        shown: int64 [A, A], those of them where the row's attribute is shown.
        both_shown: int64 [A, A], those of them where both are.
        values: feature to its values; the keys of EDGES.
        with_landmarks: pictures that have landmarks.
        landmark_totals: float64 [K, 2], the sum of those.
    """

    num_pictures: int
    num_bytes: int
    annotated: np.ndarray
    shown: np.ndarray
    both_shown: np.ndarray
    values: Mapping[str, ValueSummary]
    with_landmarks: int
    landmark_totals: np.ndarray

    @classmethod
    def of(cls, batch: Mapping[str, np.ndarray]) -> "SplitSummary":
        """Returns the summary of a batch; see `tfac.data_report.summarizing`."""
        mask = batch["label_mask"].astype(np.int64)  # [B, A]
        labels = batch["labels"] * mask
        valid = batch["landmarks_valid"]
        return cls(
            num_pictures=len(mask),
            num_bytes=int(batch["bytes"].sum()),
            annotated=mask.T @ mask,
            shown=labels.T @ mask,
            both_shown=labels.T @ labels,
            values={name: ValueSummary.of(batch[name], edges) for name, edges in EDGES.items()},
            with_landmarks=int(valid.sum()),
            landmark_totals=batch["landmarks"][valid].sum(axis=0, dtype=np.float64),
        )

    def __add__(self, other: "SplitSummary") -> "SplitSummary":
        """Returns the summary of the pictures of both."""
        values = {name: value + other.values[name] for name, value in self.values.items()}
        sums = {
            field.name: getattr(self, field.name) + getattr(other, field.name)
            for field in dataclasses.fields(self)
            if field.name != "values"
        }
        return SplitSummary(values=values, **sums)

    @property
    def annotated_counts(self) -> np.ndarray:
        """int64 [A], pictures where each attribute is annotated."""
        return self.annotated.diagonal()

    @property
    def shown_counts(self) -> np.ndarray:
        """int64 [A], pictures where each attribute is shown."""
        return self.shown.diagonal()

    @property
    def size_range(self) -> tuple[tuple[int, int], tuple[int, int]]:
        """The lowest and the highest height, and width, pixels."""
        height, width = self.values["image/height"], self.values["image/width"]
        return tuple((int(side.lowest), int(side.highest)) for side in (height, width))

    @property
    def mean_landmarks(self) -> np.ndarray:
        """float64 [K, 2], of the pictures that have landmarks; NaN if none has."""
        with np.errstate(invalid="ignore"):
            return self.landmark_totals / np.float64(self.with_landmarks)

    @property
    def correlations(self) -> np.ndarray:
        """float64 [A, A], phi of each two attributes; NaN where it has none."""
        return phi(self.both_shown, self.annotated, self.shown)

    def to_dict(self) -> dict[str, Any]:
        """Returns the summary as JSON can hold it."""
        content = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        content["values"] = {name: vars(value) for name, value in self.values.items()}
        return _as_lists(content)

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> "SplitSummary":
        """Returns the summary that `to_dict` described."""
        content = dict(content)
        for name in ("annotated", "shown", "both_shown"):
            content[name] = np.array(content[name], np.int64)
        content["landmark_totals"] = np.array(content["landmark_totals"], np.float64)
        content["values"] = {
            name: ValueSummary(**{**value, "counts": np.array(value["counts"], np.int64)})
            for name, value in content["values"].items()
        }
        return cls(**content)


@dataclasses.dataclass(frozen=True, eq=False)
class DataSetSummary:
    """What is known of a data set.

    Attributes:
        name: the data set's name.
        fingerprint: the data set's; see `RecordsInfo`.
        attributes: names of the A attributes.
        landmark_scheme: of the K landmarks.
        splits: split to its summary; splits without pictures are left out.
    """

    name: str
    fingerprint: str
    attributes: tuple[str, ...]
    landmark_scheme: LandmarkScheme
    splits: Mapping[str, SplitSummary]


def write_summary(summary: DataSetSummary, path: Path) -> None:
    """Writes a summary as JSON, whole."""
    content = {
        "name": summary.name,
        "fingerprint": summary.fingerprint,
        "attributes": list(summary.attributes),
        "landmark_scheme": summary.landmark_scheme.name,
        "splits": {name: split.to_dict() for name, split in summary.splits.items()},
    }
    write_json(path, content, indent=None)


def read_summary(path: Path) -> DataSetSummary:
    """Reads a summary that `write_summary` wrote.

    Raises:
        DataError: the file cannot be read, or is none.
    """
    content = read_json(path, "statistics of a data set")
    try:
        return DataSetSummary(
            name=content["name"],
            fingerprint=content["fingerprint"],
            attributes=tuple(content["attributes"]),
            landmark_scheme=get_landmark_scheme(content["landmark_scheme"]),
            splits={
                name: SplitSummary.from_dict(split) for name, split in content["splits"].items()
            },
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{path}: expected statistics of a data set. {error!r}") from error


def phi(both: np.ndarray, count: np.ndarray, first: np.ndarray) -> np.ndarray:
    """Returns the correlation of each two attributes [A, A]; NaN where it has none.

    Args:
        both: pictures where both are shown.
        count: pictures where both are annotated.
        first: those of them where the row's is shown.
    """
    both, count, first = (np.asarray(counts, np.float64) for counts in (both, count, first))
    with np.errstate(invalid="ignore", divide="ignore"):
        covariance = count * both - first * first.T
        variance = first * (count - first)
        return covariance / np.sqrt(variance * variance.T)


def _as_lists(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _as_lists(each) for name, each in value.items()}
    return value.tolist() if isinstance(value, np.ndarray) else value
