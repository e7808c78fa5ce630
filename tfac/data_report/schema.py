"""A schema of a data set (tensorflow-metadata), and how later data differs from it.

`labels/NAME` of each attribute is 0 or 1 and annotated in at least 0.95 of the share that it was;
`image/height` and `image/width` are in the range that they were in; `landmarks` has a shape, and
`landmark_scheme` is one.
"""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import numpy as np
from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2

from tfac.data_report.summary import SplitSummary
from tfac.errors import DataError
from tfac.files import whole_file
from tfac.landmarks import LandmarkScheme

_LABEL = "labels/"
_SIDES = ("image/height", "image/width")
_SLACK = 0.95  # of the annotated share


class Described(Protocol):
    """A data set: `RecordsInfo` or `DataSetSummary`."""

    attributes: tuple[str, ...]
    landmark_scheme: LandmarkScheme


@dataclasses.dataclass(frozen=True)
class SchemaAnomaly:
    """What is not as the schema says.

    Attributes:
        feature: which feature, by its name in the schema.
        kind: tensorflow-metadata's name of such, of `AnomalyInfo.Type`.
        message: a sentence.
    """

    feature: str
    kind: str
    message: str


def create_schema(info: Described, splits: Mapping[str, SplitSummary]) -> schema_pb2.Schema:
    """Returns the schema that the data set fits."""
    schema = schema_pb2.Schema()
    annotated = _annotated_shares(splits)
    for name, share in zip(info.attributes, annotated, strict=True):
        feature = schema.feature.add(name=_LABEL + name, type=schema_pb2.INT)
        feature.int_domain.min, feature.int_domain.max = 0, 1
        feature.int_domain.is_categorical = True
        feature.presence.min_fraction = _SLACK * share
    for side, (lowest, highest) in zip(_SIDES, _size_ranges(splits), strict=True):
        feature = schema.feature.add(name=side, type=schema_pb2.INT)
        feature.int_domain.min, feature.int_domain.max = lowest, highest
        feature.presence.min_fraction = 1
    landmarks = schema.feature.add(name="landmarks", type=schema_pb2.FLOAT)
    landmarks.float_domain.min, landmarks.float_domain.max = 0, 1
    for size in (info.landmark_scheme.num_landmarks, 2):
        landmarks.shape.dim.add(size=size)
    scheme = schema.feature.add(name="landmark_scheme", type=schema_pb2.BYTES)
    scheme.string_domain.value.append(info.landmark_scheme.name)
    return schema


def find_anomalies(
    schema: schema_pb2.Schema, info: Described, splits: Mapping[str, SplitSummary]
) -> list[SchemaAnomaly]:
    """Returns what of the data set is not as the schema says."""
    features = {feature.name: feature for feature in schema.feature}
    return [
        *_attribute_anomalies(features, info, splits),
        *_size_anomalies(features, splits),
        *_landmark_anomalies(features, info),
    ]


def _attribute_anomalies(features, info, splits) -> list[SchemaAnomaly]:
    anomalies = []
    expected = [name.removeprefix(_LABEL) for name in features if name.startswith(_LABEL)]
    for name in expected:
        if name not in info.attributes:
            message = f"attribute {name}: expected, but it is missing"
            anomalies.append(SchemaAnomaly(_LABEL + name, "SCHEMA_MISSING_COLUMN", message))
    for name, share in zip(info.attributes, _annotated_shares(splits), strict=True):
        if name not in expected:
            message = f"attribute {name}: not expected, but it is there"
            anomalies.append(SchemaAnomaly(_LABEL + name, "SCHEMA_NEW_COLUMN", message))
        elif share < features[_LABEL + name].presence.min_fraction:
            message = (
                f"attribute {name}: expected to be annotated in "
                f"{features[_LABEL + name].presence.min_fraction:.1%} of the pictures or more. "
                f"Received: {share:.1%}"
            )
            kind = "FEATURE_TYPE_LOW_FRACTION_PRESENT" if share else "FEATURE_TYPE_NOT_PRESENT"
            anomalies.append(SchemaAnomaly(_LABEL + name, kind, message))
    return anomalies


def _size_anomalies(features, splits) -> list[SchemaAnomaly]:
    anomalies = []
    for side, (lowest, highest) in zip(_SIDES, _size_ranges(splits), strict=True):
        domain = features[side].int_domain if side in features else None
        if domain and not domain.min <= lowest <= highest <= domain.max:
            message = (
                f"{side}: expected {domain.min} to {domain.max} pixels. "
                f"Received: {lowest} to {highest}"
            )
            kind = "INT_TYPE_SMALL_INT" if lowest < domain.min else "INT_TYPE_BIG_INT"
            anomalies.append(SchemaAnomaly(side, kind, message))
    return anomalies


def _landmark_anomalies(features, info) -> list[SchemaAnomaly]:
    name = "landmark_scheme"
    schemes = features[name].string_domain.value if name in features else ()
    if not schemes or info.landmark_scheme.name in schemes:
        return []
    message = f"{name}: expected {', '.join(schemes)}. Received: {info.landmark_scheme.name}"
    return [SchemaAnomaly(name, "ENUM_TYPE_UNEXPECTED_STRING_VALUES", message)]


def write_schema(schema: schema_pb2.Schema, path: Path) -> None:
    """Writes the schema as text, whole."""
    with whole_file(path) as aside:
        aside.write_text(text_format.MessageToString(schema), encoding="utf-8")


def read_schema(path: Path) -> schema_pb2.Schema:
    """Reads a schema that `write_schema` wrote, or another of tensorflow-metadata.

    Raises:
        DataError: the file cannot be read, or is no schema.
    """
    try:
        return text_format.Parse(path.read_text(encoding="utf-8"), schema_pb2.Schema())
    except (OSError, UnicodeDecodeError, text_format.ParseError) as error:
        raise DataError(f"{path}: expected a schema as text. {error}") from error


def _annotated_shares(splits: Mapping[str, SplitSummary]) -> np.ndarray:
    annotated = sum(split.annotated_counts for split in splits.values())
    return annotated / sum(split.num_pictures for split in splits.values())  # [A]


def _size_ranges(splits: Mapping[str, SplitSummary]) -> list[tuple[int, int]]:
    ranges = np.array([split.size_range for split in splits.values()])  # [S, 2, 2]
    return [(int(side[:, 0].min()), int(side[:, 1].max())) for side in ranges.swapaxes(0, 1)]
