import dataclasses

import numpy as np
import pytest

from tests.data_report.statistics_samples import make_split
from tfac.data.records.info import read_info
from tfac.data_report.schema import create_schema, find_anomalies, read_schema, write_schema
from tfac.errors import DataError
from tfac.landmarks import CELEBA_5

NAMES = ("Smiling", "Male", "Young")


def messages(schema, info, statistics):
    return [anomaly.message for anomaly in find_anomalies(schema, info, statistics)]


@pytest.fixture
def info(tiny_records):
    return dataclasses.replace(read_info(tiny_records), attributes=NAMES)


@pytest.fixture
def schema(info, tmp_path):
    path = tmp_path / "schema.pbtxt"
    write_schema(create_schema(info, {"train": make_split(100).summary}), path)
    return read_schema(path)


def test_the_data_itself_fits(info, schema):
    assert find_anomalies(schema, info, {"train": make_split(100).summary}) == []
    assert [feature.name for feature in schema.feature] == [
        *(f"labels/{name}" for name in NAMES),
        "image/height",
        "image/width",
        "landmarks",
        "landmark_scheme",
    ]


def test_attributes_that_come_or_go_are_named(info, schema):
    other = dataclasses.replace(info, attributes=("Smiling", "Male", "Bald"))
    assert messages(schema, other, {"train": make_split(100).summary}) == [
        "attribute Young: expected, but it is missing",
        "attribute Bald: not expected, but it is there",
    ]


def test_fewer_annotations_other_sizes_and_landmarks_are_named(info, schema):
    mask, sizes = np.ones((100, 3), bool), np.full((100, 2), 64)
    mask[:6, 1] = False
    mask[:5, 2] = False  # within the slack
    sizes[3] = (64, 65)
    split = make_split(100, label_mask=mask, sizes=sizes).summary
    other = dataclasses.replace(info, landmark_scheme=CELEBA_5)
    assert messages(schema, other, {"train": split}) == [
        "attribute Male: expected to be annotated in 95.0% of the pictures or more. "
        "Received: 94.0%",
        "image/width: expected 64 to 64 pixels. Received: 64 to 65",
        "landmark_scheme: expected dlib_72. Received: celeba_5",
    ]


def test_a_schema_may_leave_things_open(info):
    from tensorflow_metadata.proto.v0 import schema_pb2

    schema = schema_pb2.Schema()
    for name in NAMES:
        schema.feature.add(name=f"labels/{name}")
    split = make_split(10, sizes=np.array([[9, 9]] * 10, np.int32)).summary
    assert find_anomalies(schema, info, {"train": split}) == []


def test_files_that_are_no_schema_are_refused(tmp_path):
    with pytest.raises(DataError, match="none.pbtxt: expected a schema as text"):
        read_schema(tmp_path / "none.pbtxt")
    (tmp_path / "bad.pbtxt").write_text("no schema {")
    with pytest.raises(DataError, match="bad.pbtxt: expected a schema as text"):
        read_schema(tmp_path / "bad.pbtxt")
