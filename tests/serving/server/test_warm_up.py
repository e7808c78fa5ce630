from pathlib import Path

import pytest
import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2

from tests.serving.server.running_server import FakeEngine, predict_request
from tfac.errors import DataError
from tfac.serving.server import warmup
from tfac.serving.server.refusals import Refusal
from tfac.serving.server.warmup import warm_up


def write_requests(folder: Path, *requests) -> Path:
    extra = folder / "assets.extra"
    extra.mkdir()
    with tf.io.TFRecordWriter(str(extra / "tf_serving_warmup_requests")) as writer:
        for request in requests:
            log = prediction_log_pb2.PredictionLog()
            log.predict_log.request.CopyFrom(request)
            writer.write(log.SerializeToString())
    return folder


def test_requests_of_the_export_run_in_order(tmp_path):
    engine = FakeEngine()
    sizes = (1, 2, 4)
    requests = [predict_request(image_bytes=[b"a"] * size) for size in sizes]
    warm_up(engine, write_requests(tmp_path, *requests))
    assert engine.batches == list(sizes)


def test_export_without_requests_is_not_warmed_up(tmp_path):
    engine = FakeEngine()
    warm_up(engine, tmp_path)
    assert not engine.batches


def test_requests_for_unknown_signatures_fail_the_version_but_where_they_may_lack(tmp_path):
    engine = FakeEngine()
    requests = [predict_request(signature="explain", image_bytes=[b"a"]), predict_request()]
    requests[1].inputs["image_bytes"].CopyFrom(tf.make_tensor_proto([b"a"]))
    folder = write_requests(tmp_path, *requests)
    warm_up(engine, folder, may_lack=["explain"])
    assert engine.batches == [1]
    with pytest.raises(DataError, match="Received: one for explain"):
        warm_up(engine, folder)


def test_more_requests_than_tensorflow_serving_takes_fail_the_version(tmp_path, monkeypatch):
    monkeypatch.setattr(warmup, "MOST_REQUESTS", 2)
    requests = [predict_request(image_bytes=[b"a"])] * 3
    with pytest.raises(DataError, match="at most 2 requests"):
        warm_up(FakeEngine(), write_requests(tmp_path, *requests))


def test_request_that_is_wrong_fails_the_version(tmp_path):
    with pytest.raises(Refusal, match="Received: float32"):
        warm_up(FakeEngine(), write_requests(tmp_path, predict_request(image_bytes=[1.0])))


def test_file_that_is_cut_off_fails_the_version(tmp_path):
    folder = write_requests(tmp_path, predict_request(image_bytes=[b"a"]))
    path = folder / "assets.extra" / "tf_serving_warmup_requests"
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(tf.errors.DataLossError):
        warm_up(FakeEngine(), folder)
