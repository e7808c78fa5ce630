"""A schema of a data set (tensorflow-metadata), and how later data differs from it.

`labels/NAME` of each attribute is 0 or 1 and annotated in at least 0.95 of the share that it was;
`image/height` and `image/width` are in the range that they were in; `landmarks` has a shape, and
`landmark_scheme` is one.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2

from tfac.data.records import RecordsInfo
from tfac.data_report.statistics import SplitStatistics
from tfac.errors import DataError
from tfac.files import whole_file

_LABEL = "labels/"
_SIDES = ("image/height", "image/width")
_SLACK = 0.95  # of the annotated share


def create_schema(
    info: RecordsInfo, statistics: Mapping[str, SplitStatistics]
) -> schema_pb2.Schema:
    """Returns the schema that the data set fits."""
    schema = schema_pb2.Schema()
    annotated = _annotated_shares(statistics)
    for name, share in zip(info.attributes, annotated, strict=True):
        feature = schema.feature.add(name=_LABEL + name, type=schema_pb2.INT)
        feature.int_domain.min, feature.int_domain.max = 0, 1
        feature.int_domain.is_categorical = True
        feature.presence.min_fraction = _SLACK * share
    for side, (lowest, highest) in zip(_SIDES, _size_ranges(statistics), strict=True):
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
    schema: schema_pb2.Schema, info: RecordsInfo, statistics: Mapping[str, SplitStatistics]
) -> list[str]:
    """Returns what of the data set is not as the schema says, a sentence each."""
    features = {feature.name: feature for feature in schema.feature}
    anomalies = []
    expected = [name.removeprefix(_LABEL) for name in features if name.startswith(_LABEL)]
    anomalies += [
        f"attribute {name}: expected, but it is missing"
        for name in expected
        if name not in info.attributes
    ]
    for name, share in zip(info.attributes, _annotated_shares(statistics), strict=True):
        if name not in expected:
            anomalies.append(f"attribute {name}: not expected, but it is there")
        elif share < features[_LABEL + name].presence.min_fraction:
            least = features[_LABEL + name].presence.min_fraction
            anomalies.append(
                f"attribute {name}: expected to be annotated in {least:.1%} of the pictures or "
                f"more. Received: {share:.1%}"
            )
    for side, (lowest, highest) in zip(_SIDES, _size_ranges(statistics), strict=True):
        domain = features[side].int_domain if side in features else None
        if domain and not domain.min <= lowest <= highest <= domain.max:
            anomalies.append(
                f"{side}: expected {domain.min} to {domain.max} pixels. "
                f"Received: {lowest} to {highest}"
            )
    schemes = (
        features["landmark_scheme"].string_domain.value if "landmark_scheme" in features else ()
    )
    if schemes and info.landmark_scheme.name not in schemes:
        anomalies.append(
            f"landmark_scheme: expected {', '.join(schemes)}. Received: {info.landmark_scheme.name}"
        )
    return anomalies


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


def _annotated_shares(statistics: Mapping[str, SplitStatistics]) -> np.ndarray:
    mask = [split.label_mask for split in statistics.values()]
    return np.concatenate(mask).mean(axis=0)  # [A]


def _size_ranges(statistics: Mapping[str, SplitStatistics]) -> list[tuple[int, int]]:
    sizes = np.concatenate([split.sizes for split in statistics.values()])
    return [(int(side.min()), int(side.max())) for side in sizes.T]
