import json

import numpy as np
import pytest
import tensorflow as tf

from pipelines.components import transform_graph as module
from pipelines.components.transform import transform
from pipelines.engine.artifacts import Examples, TransformGraph
from tfac.data.records.info import read_info
from tfac.data.records.pipeline import evaluation_dataset, serialized_records
from tfac.errors import ConfigError, DataError

SIZE = (36, 30)


@pytest.fixture(scope="module")
def graph(tiny_records, tmp_path_factory):
    made = TransformGraph(tmp_path_factory.mktemp("transform"))
    transform(Examples(tiny_records), made, image_size=list(SIZE))
    return made


def test_the_graph_gives_what_evaluation_reads(graph, tiny_records):
    info = read_info(tiny_records)
    signature = tf.saved_model.load(str(graph.path / "saved_model")).signatures["serving_default"]
    (records,) = serialized_records(info, "validation").batch(12)
    (expected,) = evaluation_dataset(info, "validation", image_size=SIZE, batch_size=12)
    found = signature(records=records)
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        np.testing.assert_array_equal(found[name].numpy(), values.numpy())
    assert found["images"].shape == (12, *SIZE, 3)


def test_the_record_says_what_was_asked_for(graph, tiny_records):
    info = read_info(tiny_records)
    about = json.loads((graph.path / "transform.json").read_text())
    assert about == graph.properties
    assert about["image_size"] == list(SIZE) and about["attributes"] == list(info.attributes)
    assert about["landmark_scheme"] == "dlib_72" and about["fingerprint"] == info.fingerprint


@pytest.mark.slow
def test_a_path_with_other_pictures_is_told(tiny_records, tmp_path, monkeypatch):
    def darker(encoded, image_size):
        pictures, valid = read_each(encoded, image_size)
        return pictures - tf.cast(tf.range(24) == 5, tf.uint8)[:, None, None, None], valid

    read_each = module.read_each
    monkeypatch.setattr(module, "read_each", darker)
    with pytest.raises(
        DataError, match="images of an export: .*others for 1 of 24 records.*train-"
    ):
        transform(Examples(tiny_records), TransformGraph(tmp_path), image_size=list(SIZE))


def test_sizes_that_cannot_be_used_are_named(tiny_records, tmp_path):
    for size in ([64], [64, 64, 3], [64.0, 64.0]):
        with pytest.raises(ConfigError, match="image_size: expected height and width"):
            transform(Examples(tiny_records), TransformGraph(tmp_path), image_size=size)
