"""ExampleValidator: what is wrong with examples, and whether anything may be trained on them."""

import dataclasses
import itertools
from collections.abc import Iterator, Sequence

import numpy as np
from scipy.spatial.distance import jensenshannon
from tensorflow_metadata.proto.v0 import anomalies_pb2, schema_pb2

from pipelines.components.features import REQUIRED_SPLITS, TRAIN, label_feature
from pipelines.components.schema_gen import SCHEMA_FILE
from pipelines.components.statistics_gen import read_statistics
from pipelines.engine.artifacts import ExampleAnomalies, ExampleStatistics, Input, Output, Schema
from pipelines.engine.component import component
from tfac.data.records.frequencies import frequency_difference
from tfac.data_report.schema import find_anomalies, read_schema
from tfac.data_report.summary import DataSetSummary, SplitSummary
from tfac.files import whole_file, write_json

ANOMALIES_FILE, PROTO_FILE = "anomalies.json", "anomalies.pb"

_Type = anomalies_pb2.AnomalyInfo.Type
# What of the schema's nothing may be trained on; the others are told.
_BLOCKING = (
    "SCHEMA_MISSING_COLUMN",
    "SCHEMA_NEW_COLUMN",
    "FEATURE_TYPE_NOT_PRESENT",
    "ENUM_TYPE_UNEXPECTED_STRING_VALUES",
)
# An attribute's correlations count as known where their squares' sum is so often what chance gives.
_OVER_CHANCE = 12
_LEAST_PICTURES = 0.5  # of an earlier run's
_MOST_DISTANCE = 0.3  # between histograms, Jensen and Shannon's, in [0, 1]
_CONTENTS = ("image/brightness", "image/contrast")


@dataclasses.dataclass(frozen=True)
class Anomaly:
    """Something that is not as expected.

    Attributes:
        feature: which feature, by its name in the schema; empty for a split as a whole.
        check: "schema", "splits", "drift" (since an earlier run) or "skew" (between splits).
        kind: tensorflow-metadata's name of such, of `AnomalyInfo.Type`.
        message: a sentence.
        blocking: whether nothing may be trained.
    """

    feature: str
    check: str
    kind: str
    message: str
    blocking: bool


@dataclasses.dataclass(frozen=True)
class Limits:
    """How far apart attributes may be; see `example_validator`."""

    points: float
    deviations: float
    agreement: float


@dataclasses.dataclass(frozen=True, eq=False)
class Compared:
    """Two summaries of pictures whose attributes should be alike.

    Attributes:
        check: "drift" or "skew".
        where: what they are, in words.
        attributes: names of the attributes that both have.
        now: the one.
        then: what it is held against.
        now_rows: where the attributes stand in `now`.
        then_rows: and in `then`.
    """

    check: str
    where: str
    attributes: Sequence[str]
    now: SplitSummary
    then: SplitSummary
    now_rows: Sequence[int]
    then_rows: Sequence[int]


@component
def example_validator(
    statistics: Input[ExampleStatistics],
    schema: Input[Schema],
    anomalies: Output[ExampleAnomalies],
    previous_statistics: Input[ExampleStatistics] | None = None,
    *,
    max_drift: float = 10.0,
    max_skew: float = 10.0,
    min_deviations: float = 8.0,
    min_agreement: float = 0.15,
) -> None:
    """Holds examples against the schema, an earlier run's, and their splits against each other.

    An attribute's labels are compared in two ways. How often it is shown tells labels that were
    turned over, unless it is shown in about half of the pictures; then its correlations with the
    other attributes turn over, too.

    Blocking are attributes that come, go, differ so or have no labels at all, other landmarks, and
    a missing split. Sizes, missing annotations, brightness, contrast and fewer pictures are told.

    Args:
        statistics: of the examples.
        schema: what they should look like.
        anomalies: anomalies.json (a list of `Anomaly`) and anomalies.pb (`Anomalies` of
            tensorflow-metadata); its properties are `blocking`, `found` (a sentence each, the
            blocking ones first) and `compared_with`, the earlier data's fingerprint or None.
        previous_statistics: of an earlier run whose examples were found to be good.
        max_drift: by how many points of percent an attribute's frequency in a split may differ from
            what it was. The schema may have another limit for an attribute in its
            `drift_comparator.infinity_norm`, a share.
        max_skew: the same between the training split and another; `skew_comparator`.
        min_deviations: the least number of standard deviations of such a difference that is no
            chance. Several pictures of each person make it seem larger than it is.
        min_agreement: how much at least has to be left of an attribute's correlations with the
            others: about 1 if nothing changed, 0 if half of the labels were turned over, -1 if all.
    """
    summary, described = read_statistics(statistics), read_schema(schema.path / SCHEMA_FILE)
    previous = read_statistics(previous_statistics) if previous_statistics else None
    drift_limits = Limits(max_drift, min_deviations, min_agreement)
    skew_limits = Limits(max_skew, min_deviations, min_agreement)
    found = [*_schema_anomalies(described, summary), *_missing_splits(summary)]
    for pair in _across_splits(summary):
        found += _label_anomalies(pair, skew_limits, described)
    for pair in _since(previous, summary) if previous else ():
        found += _label_anomalies(pair, drift_limits, described)
        found += _content_anomalies(pair)
    found.sort(key=lambda anomaly: not anomaly.blocking)
    _write(found, described, anomalies)
    anomalies.properties |= {
        "blocking": any(anomaly.blocking for anomaly in found),
        "found": [anomaly.message for anomaly in found],
        "compared_with": previous.fingerprint if previous else None,
    }


def _schema_anomalies(schema: schema_pb2.Schema, summary: DataSetSummary) -> Iterator[Anomaly]:
    for each in find_anomalies(schema, summary, summary.splits):
        yield Anomaly(each.feature, "schema", each.kind, each.message, each.kind in _BLOCKING)


def _missing_splits(summary: DataSetSummary) -> Iterator[Anomaly]:
    for split in REQUIRED_SPLITS:
        if split not in summary.splits:
            message = f"split {split}: expected pictures. Received: none"
            yield Anomaly("", "splits", "DATASET_LOW_NUM_EXAMPLES", message, True)


def _across_splits(summary: DataSetSummary) -> Iterator[Compared]:
    rows = range(len(summary.attributes))
    for split, about in summary.splits.items():
        if split != TRAIN and TRAIN in summary.splits:
            where = f"in split {TRAIN} and in {split}"
            train = summary.splits[TRAIN]
            yield Compared("skew", where, summary.attributes, train, about, rows, rows)


def _since(previous: DataSetSummary, summary: DataSetSummary) -> Iterator[Compared]:
    names = [name for name in summary.attributes if name in previous.attributes]
    rows = [summary.attributes.index(name) for name in names]
    then_rows = [previous.attributes.index(name) for name in names]
    for split, now in summary.splits.items():
        if split in previous.splits:
            where = f"in split {split} and in the earlier run's"
            yield Compared("drift", where, names, now, previous.splits[split], rows, then_rows)


def _label_anomalies(
    pair: Compared, limits: Limits, schema: schema_pb2.Schema
) -> Iterator[Anomaly]:
    features = {feature.name: feature for feature in schema.feature}
    agreements = _agreements(pair)
    # The attribute whose labels are wrong comes before those that resemble it.
    for i in np.argsort(agreements):
        name, row, then_row = pair.attributes[i], pair.now_rows[i], pair.then_rows[i]
        feature = label_feature(name)
        now, then = _counts(pair.now, row), _counts(pair.then, then_row)
        points, deviations = frequency_difference(now, then)
        most = _most_points(features.get(feature), pair.check, limits)
        if points > most and deviations > limits.deviations:
            message = (
                f"attribute {name}: expected about as many {pair.where}, {most:g} points apart at "
                f"most. Received: {now[0] / now[1]:.1%} and {then[0] / then[1]:.1%}"
            )
            yield Anomaly(feature, pair.check, "COMPARATOR_L_INFTY_HIGH", message, True)
        if agreements[i] < limits.agreement:
            message = (
                f"attribute {name}: expected it to go with the same attributes {pair.where}, "
                f"{limits.agreement:g} or more of the correlations. Received: {agreements[i]:.2f}"
            )
            yield Anomaly(feature, pair.check, "CUSTOM_VALIDATION", message, True)


def _agreements(pair: Compared) -> np.ndarray:
    """What is left of each attribute's correlations [A]; 1 where too few of them are known.

    It is the factor that the correlations of then fit those of now with best.
    """
    now = _correlations(pair.now, pair.now_rows)
    then = _correlations(pair.then, pair.then_rows)
    strength = np.square(then).sum(axis=1)
    chance = len(pair.attributes) / min(pair.now.num_pictures, pair.then.num_pictures)
    known = strength > _OVER_CHANCE * chance
    return np.divide((now * then).sum(axis=1), strength, np.ones_like(strength), where=known)


def _correlations(summary: SplitSummary, rows: Sequence[int]) -> np.ndarray:
    correlations = np.nan_to_num(summary.correlations[np.ix_(rows, rows)])
    np.fill_diagonal(correlations, 0)
    return correlations


def _counts(summary: SplitSummary, row: int) -> tuple[int, int]:
    return int(summary.shown_counts[row]), int(summary.annotated_counts[row])


def _most_points(feature: schema_pb2.Feature | None, check: str, limits: Limits) -> float:
    comparator = getattr(feature, f"{check}_comparator", None)
    if comparator is None or not comparator.infinity_norm.HasField("threshold"):
        return limits.points
    return 100 * comparator.infinity_norm.threshold


def _content_anomalies(pair: Compared) -> Iterator[Anomaly]:
    """What the pictures look like and how many there are; nothing of it is blocking."""
    now, then = pair.now.num_pictures, pair.then.num_pictures
    if now < _LEAST_PICTURES * then:
        message = f"expected about as many pictures {pair.where}. Received: {now} and {then}"
        yield Anomaly("", pair.check, "COMPARATOR_LOW_NUM_EXAMPLES", message, False)
    for name in _CONTENTS:
        # Base 2: 0 for equal histograms, 1 for those that share nothing.
        distance = jensenshannon(pair.now.values[name].counts, pair.then.values[name].counts, 2)
        chance = np.sqrt(len(pair.now.values[name].counts) * (1 / now + 1 / then))
        if distance > max(_MOST_DISTANCE, chance):
            message = (
                f"{name}: expected it to be spread alike {pair.where}. Received: means of "
                f"{pair.now.values[name].mean:.0f} and {pair.then.values[name].mean:.0f}"
            )
            kind = "COMPARATOR_JENSEN_SHANNON_DIVERGENCE_HIGH"
            yield Anomaly(name, pair.check, kind, message, False)


def _write(
    found: Sequence[Anomaly], schema: schema_pb2.Schema, anomalies: ExampleAnomalies
) -> None:
    write_json(anomalies.path / ANOMALIES_FILE, [dataclasses.asdict(each) for each in found])
    with whole_file(anomalies.path / PROTO_FILE) as aside:
        aside.write_bytes(_as_proto(found, schema).SerializeToString(deterministic=True))


def _as_proto(found: Sequence[Anomaly], schema: schema_pb2.Schema) -> anomalies_pb2.Anomalies:
    proto = anomalies_pb2.Anomalies(baseline=schema)
    by_feature = sorted(found, key=lambda anomaly: anomaly.feature)
    for feature, group in itertools.groupby(by_feature, key=lambda anomaly: anomaly.feature):
        group = list(group)
        info = proto.anomaly_info[feature] if feature else proto.dataset_anomaly_info
        info.severity = max(_severity(anomaly) for anomaly in group)
        info.description = "; ".join(anomaly.message for anomaly in group)
        info.short_description = group[0].message if len(group) == 1 else "Multiple errors"
        for anomaly in group:
            info.reason.add(
                type=_Type.Value(anomaly.kind),
                short_description=anomaly.check,
                description=anomaly.message,
            )
    return proto


def _severity(anomaly: Anomaly) -> int:
    info = anomalies_pb2.AnomalyInfo
    return info.ERROR if anomaly.blocking else info.WARNING
