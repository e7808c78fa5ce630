import json

import numpy as np
import pytest
from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import anomalies_pb2

from pipelines.components.example_validator import example_validator
from pipelines.components.schema_gen import schema_gen
from pipelines.engine.artifacts import ExampleAnomalies, Schema
from tests.pipelines.components.summary_samples import (
    NAMES,
    draw_labels,
    make_summary,
    write_statistics,
)
from tfac.data_report.schema import read_schema
from tfac.landmarks import CELEBA_5


@pytest.fixture
def validate(tmp_path):
    """Validates splits, by default against the schema and statistics of good data."""
    good = write_statistics(tmp_path / "good", make_splits(seed=0), fingerprint="good")
    schema = Schema(tmp_path / "schema")
    schema_gen(good, schema)

    def run(splits, previous=good, *, thresholds=None, attributes=NAMES, **options):
        parameters = {"attributes": attributes, "scheme": options.pop("scheme", None)}
        parameters = {name: value for name, value in parameters.items() if value}
        statistics = write_statistics(tmp_path / "new", splits, **parameters)
        anomalies = ExampleAnomalies(tmp_path / "anomalies")
        if thresholds:
            change_schema(schema, thresholds)
        example_validator(statistics, schema, anomalies, previous, **options)
        return anomalies

    return run


def make_splits(seed, *, train=2000, validation=500, flipped=(), among=("train",), share=1.0):
    """Splits; the labels `flipped` are turned over in this share of the splits' pictures."""
    splits = {}
    for number, (split, count) in enumerate({"train": train, "validation": validation}.items()):
        labels = draw_labels(count, [seed, number])
        for name in flipped if split in among else ():
            rows = slice(0, round(share * count))
            labels[rows, NAMES.index(name)] = 1 - labels[rows, NAMES.index(name)]
        splits[split] = make_summary(labels, seed=seed)
    return splits


def change_schema(schema, thresholds):
    path = schema.path / "schema.pbtxt"
    described = read_schema(path)
    for feature in described.feature:
        if feature.name in thresholds:
            feature.drift_comparator.infinity_norm.threshold = thresholds[feature.name]
    path.write_text(text_format.MessageToString(described))


def test_other_pictures_of_the_same_kind_are_good(validate):
    anomalies = validate(make_splits(seed=1))
    assert anomalies.properties == {"blocking": False, "found": [], "compared_with": "good"}
    assert json.loads((anomalies.path / "anomalies.json").read_text()) == []


@pytest.mark.parametrize("name", NAMES)
def test_flipped_labels_block(validate, name):
    both = ("train", "validation")
    anomalies = validate(make_splits(seed=1, flipped=(name,), among=both))
    assert anomalies.properties["blocking"]
    assert anomalies.properties["found"][0].startswith(f"attribute {name}: expected ")
    proto = anomalies_pb2.Anomalies.FromString((anomalies.path / "anomalies.pb").read_bytes())
    assert proto.anomaly_info[f"labels/{name}"].severity == anomalies_pb2.AnomalyInfo.ERROR
    assert len(proto.baseline.feature) == len(NAMES) + 4
    half = validate(make_splits(seed=1, flipped=(name,), share=0.5)).properties
    assert half["blocking"] and f"attribute {name}" in half["found"][0]


@pytest.mark.parametrize("name", NAMES)
def test_without_an_earlier_run_the_splits_tell(validate, name):
    assert validate(make_splits(seed=1), None).properties["found"] == []
    found = validate(make_splits(seed=1, flipped=(name,)), None).properties
    assert found["blocking"] and found["compared_with"] is None
    assert f"attribute {name}" in found["found"][0]
    assert "in split train and in validation" in found["found"][0]


def test_how_often_an_attribute_is_shown_is_told(validate):
    found = validate(make_splits(seed=1, flipped=("Bald",))).properties["found"]
    assert any(
        text.startswith("attribute Bald: expected about as many in split train and in the earlier")
        for text in found
    )


def test_a_limit_of_the_schema_goes_before_the_parameter(validate):
    splits = make_splits(seed=1, flipped=("Bald",), among=("train", "validation"))
    options = {"min_agreement": -2.0}
    assert validate(splits, **options).properties["blocking"]
    assert not validate(splits, max_drift=95.0, **options).properties["blocking"]
    allowed = validate(splits, thresholds={"labels/Bald": 0.95}, **options)
    assert not allowed.properties["blocking"]
    refused = validate(splits, thresholds={"labels/Bald": 0.5}, max_drift=95.0, **options)
    assert refused.properties["blocking"]


def test_few_pictures_do_not_differ_by_chance(validate):
    for seed in range(1, 6):
        found = validate(make_splits(seed=seed, train=100, validation=20)).properties
        assert not found["blocking"]
        assert all("expected about as many pictures" in text for text in found["found"])


def test_attributes_that_come_or_go_block(validate):
    names = (*NAMES[:-1], "Chubby")
    anomalies = validate(make_splits(seed=1), attributes=names)
    assert anomalies.properties["blocking"]
    assert "attribute Bald: expected, but it is missing" in anomalies.properties["found"]
    assert "attribute Chubby: not expected, but it is there" in anomalies.properties["found"]
    proto = anomalies_pb2.Anomalies.FromString((anomalies.path / "anomalies.pb").read_bytes())
    types = anomalies_pb2.AnomalyInfo.Type
    assert proto.anomaly_info["labels/Bald"].reason[0].type == types.Value("SCHEMA_MISSING_COLUMN")
    assert proto.anomaly_info["labels/Chubby"].reason[0].type == types.Value("SCHEMA_NEW_COLUMN")


def test_a_new_attribute_among_the_others_is_alone_to_blame(validate):
    splits = {
        split: make_summary(np.insert(draw_labels(count, [1, count]), 2, 1, axis=1))
        for split, count in {"train": 2000, "validation": 500}.items()
    }
    names = (*NAMES[:2], "Attractive", *NAMES[2:])
    found = validate(splits, attributes=names).properties["found"]
    assert found == ["attribute Attractive: not expected, but it is there"]


def test_other_landmarks_and_attributes_without_labels_block(validate):
    found = validate(make_splits(seed=1), scheme=CELEBA_5).properties
    assert found["blocking"] and found["found"] == [
        "landmark_scheme: expected dlib_72. Received: celeba_5"
    ]
    mask = np.ones((2000, len(NAMES)), bool)
    mask[:, 1] = False
    splits = make_splits(seed=1)
    unlabelled = {name: make_summary(draw_labels(2000, 3), mask=mask) for name in splits}
    found = validate(unlabelled).properties
    assert found["blocking"] and found["found"][0].startswith("attribute No_Beard: expected to be")


def test_a_missing_split_blocks(validate):
    found = validate({"train": make_splits(seed=1)["train"]}).properties
    assert found["blocking"] and found["found"] == [
        "split validation: expected pictures. Received: none"
    ]


def test_other_pictures_are_told_and_do_not_block(validate):
    mask = np.ones((500, len(NAMES)), bool)
    mask[:200, 1] = False
    labels = draw_labels(500, 5)
    splits = {
        "train": make_summary(labels, mask=mask, size=(64, 80), brightness=(0, 40)),
        "validation": make_summary(draw_labels(500, 6)),
    }
    anomalies = validate(splits)
    assert not anomalies.properties["blocking"]
    starts = [text.partition(": ")[0] for text in anomalies.properties["found"]]
    assert starts == [
        "attribute No_Beard",
        "image/width",
        "expected about as many pictures in split train and in the earlier run's. Received",
        "image/brightness",
    ]
    proto = anomalies_pb2.Anomalies.FromString((anomalies.path / "anomalies.pb").read_bytes())
    warning = anomalies_pb2.AnomalyInfo.WARNING
    assert {info.severity for info in proto.anomaly_info.values()} == {warning}
    assert proto.dataset_anomaly_info.severity == warning
