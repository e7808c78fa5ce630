import pytest
import tensorflow as tf
from model_samples import model_of

pytest.importorskip("tensorflow_serving")

from tensorflow_serving.apis import prediction_log_pb2

from pipelines.components.infra_validator import infra_validator
from pipelines.engine.artifacts import InfraBlessing

pytestmark = pytest.mark.slow  # starts processes that load TensorFlow


def validate(model, folder) -> InfraBlessing:
    blessing = InfraBlessing(folder)
    folder.mkdir()
    infra_validator(model, blessing)
    return blessing


def test_export_that_answers_is_blessed(tiny_export, tmp_path):
    blessing = validate(model_of(tiny_export, tmp_path / "model"), tmp_path / "b")
    assert blessing.properties["reasons"] == []
    assert blessing.properties["blessed"] and blessing.properties["requests"] >= 6
    assert [path.name for path in blessing.path.iterdir()] == ["INFRA_BLESSED"]


def test_broken_export_is_not_blessed_and_says_why(tiny_export, tmp_path):
    model = model_of(tiny_export, tmp_path / "model")
    (data,) = model.path.glob("saved_model/tiny/1/variables/variables.data*")
    data.write_bytes(data.read_bytes()[:1000])
    blessing = validate(model, tmp_path / "b")
    assert blessing.properties["blessed"] is False
    (reason,) = blessing.properties["reasons"]
    assert reason.startswith("TensorFlow alone cannot use it: ")
    assert (blessing.path / "INFRA_NOT_BLESSED").read_text() == f"{reason}\n"


def test_export_without_warm_up_requests_is_not_blessed(tiny_export, tmp_path):
    model = model_of(tiny_export, tmp_path / "model")
    (requests,) = model.path.glob("saved_model/tiny/1/assets.extra/tf_serving_warmup_requests")
    requests.unlink()
    (reason,) = validate(model, tmp_path / "b").properties["reasons"]
    assert reason.startswith("expected warm-up requests")


def test_export_with_too_many_warm_up_requests_is_not_blessed(tiny_export, tmp_path):
    model = model_of(tiny_export, tmp_path / "model")
    (requests,) = model.path.glob("saved_model/tiny/1/assets.extra/tf_serving_warmup_requests")
    requests.write_bytes(requests.read_bytes() * 101)
    (reason,) = validate(model, tmp_path / "b").properties["reasons"]
    assert "expected at most 1000 requests" in reason


def test_export_with_a_warm_up_request_for_an_unknown_signature_is_not_blessed(
    tiny_export, tmp_path
):
    model = model_of(tiny_export, tmp_path / "model")
    (requests,) = model.path.glob("saved_model/tiny/1/assets.extra/tf_serving_warmup_requests")
    log = prediction_log_pb2.PredictionLog.FromString(
        next(tf.data.TFRecordDataset(str(requests)).as_numpy_iterator())
    )
    log.predict_log.request.model_spec.signature_name = "unheard_of"
    with tf.io.TFRecordWriter(str(requests)) as writer:
        writer.write(log.SerializeToString())
    (reason,) = validate(model, tmp_path / "b").properties["reasons"]
    assert reason.startswith("TensorFlow alone cannot use it: ") and "unheard_of" in reason
