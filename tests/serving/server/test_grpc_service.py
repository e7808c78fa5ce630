import threading

import grpc
import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
)

from tests.serving.server.running_server import (
    FakeEngine,
    predict_request,
    running,
    write_versions,
)
from tfac.serving.server.configuration import ModelConfig, VersionPolicy

LABELS = {"stable": 1, "canary": 2}


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    base = write_versions(tmp_path_factory.mktemp("models") / "faces", 1, 2)
    config = ModelConfig("faces", base, VersionPolicy(num_latest=2), LABELS)
    with running(configs=[config], max_request_bytes=100_000) as server:
        yield server


def scores(response) -> list[float]:
    return tf.make_ndarray(response.outputs["scores"])[:, 0].tolist()


def refused(call, request) -> tuple[str, str]:
    with pytest.raises(grpc.RpcError) as error:
        call(request, timeout=10)
    return error.value.code().name, error.value.details()


def test_official_stub_is_answered(served):
    request = predict_request(image_bytes=[b"12345", b"123\x00"])
    response = served.predictions.Predict(request, timeout=10)
    assert scores(response) == [2005.0, 2004.0]
    assert response.model_spec.name == "faces"
    assert response.model_spec.version.value == 2
    assert response.model_spec.signature_name == "serving_default"
    # Clients in other languages read the lists of values, as TensorFlow Serving fills them.
    assert list(response.outputs["scores"].float_val) == [2005.0, 2005.5, 2004.0, 2004.5]


@pytest.mark.parametrize(
    "which, version", [({"version": 1}, 1), ({"label": "stable"}, 1), ({"label": "canary"}, 2)]
)
def test_version_is_chosen_by_number_and_by_label(served, which, version):
    response = served.predictions.Predict(predict_request(image_bytes=[b"a"], **which), timeout=10)
    assert scores(response) == [1000.0 * version + 1]
    assert response.model_spec.version.value == version


def test_arrays_and_other_signatures_are_taken(served):
    pictures = np.full((3, 4, 5, 3), 7, np.uint8)
    request = predict_request(signature="images", images=pictures)
    assert scores(served.predictions.Predict(request, timeout=10)) == [2007.0] * 3
    request = predict_request(signature="two", a_bytes=[b"x"], n=np.array([21]))
    response = served.predictions.Predict(request, timeout=10)
    assert tf.make_ndarray(response.outputs["double"]).tolist() == [42]
    assert tf.make_ndarray(response.outputs["a_bytes"]).tolist() == [b"x"]


def test_output_filter_is_honoured(served):
    request = predict_request(signature="two", a_bytes=[b"x"], n=np.array([21]))
    request.output_filter.append("double")
    assert list(served.predictions.Predict(request, timeout=10).outputs) == ["double"]
    request.output_filter.append("other")
    code, message = refused(served.predictions.Predict, request)
    assert code == "INVALID_ARGUMENT" and "output tensor alias not found" in message


@pytest.mark.parametrize(
    "request_, code, message",
    [
        (predict_request("other", image_bytes=["a"]), "NOT_FOUND", "Latest(other)"),
        (predict_request(version=9, image_bytes=["a"]), "NOT_FOUND", "Specific(faces, 9)"),
        (predict_request(label="x", image_bytes=["a"]), "INVALID_ARGUMENT", "label: x"),
        (predict_request(signature="x"), "FAILED_PRECONDITION", '"x" not found'),
        (predict_request(), "INVALID_ARGUMENT", "required: {image_bytes}"),
        (
            predict_request(image_bytes=[1.0]),
            "INVALID_ARGUMENT",
            "expected string. Received: float",
        ),
        (predict_request(image_bytes="a"), "INVALID_ARGUMENT", "shape [any]. Received: []"),
        (predict_request(image_bytes=["a"] * 9), "INVALID_ARGUMENT", "Task size 9 is larger"),
        (predict_request(image_bytes=["bad"]), "INVALID_ARGUMENT", "expected no bad row"),
        (predict_request(image_bytes=["crash"]), "INTERNAL", "the model failed"),
        (predict_request(image_bytes=["a" * 200_000]), "RESOURCE_EXHAUSTED", "larger than max"),
    ],
)
def test_refusals_have_the_codes_of_tensorflow_serving(served, request_, code, message):
    received_code, received_message = refused(served.predictions.Predict, request_)
    assert received_code == code
    assert message in received_message


def test_bytes_that_are_no_request_are_refused(served):
    call = served.channel.unary_unary("/tensorflow.serving.PredictionService/Predict")
    expected = ("INVALID_ARGUMENT", "expected a PredictRequest")
    assert refused(call, b"\xff\xff\xff\xff") == expected


def test_method_that_is_not_offered_says_so(served):
    request = classification_pb2.ClassificationRequest()
    assert refused(served.predictions.Classify, request)[0] == "UNIMPLEMENTED"


def test_deadline_is_kept(tmp_path):
    with running(write_versions(tmp_path / "faces", 1)) as served:
        with served.server.store.get("faces") as loaded:
            engine = loaded.engine
        engine.hold.clear()
        with pytest.raises(grpc.RpcError) as error:
            served.predictions.Predict(predict_request(image_bytes=[b"a"]), timeout=0.05)
        assert error.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        engine.hold.set()
        served.predictions.Predict(predict_request(image_bytes=[b"a"]), timeout=10)


def test_clients_that_send_nothing_do_not_keep_others_out(tmp_path):
    base = write_versions(tmp_path / "faces", 1)
    done = threading.Event()

    def nothing():
        done.wait(10)
        yield from ()

    with running(base, max_concurrent_requests=2, rest_api_timeout_in_ms=200) as served:
        call = served.channel.stream_unary("/tensorflow.serving.PredictionService/Predict")
        silent = [call.future(nothing(), timeout=10) for _ in range(2)]
        assert [future.code().name for future in silent] == ["DEADLINE_EXCEEDED"] * 2
        served.predictions.Predict(predict_request(image_bytes=[b"a"]), timeout=10)
        done.set()


def test_requests_beyond_the_limit_are_refused_and_counted_and_status_passes(tmp_path):
    base, engine = write_versions(tmp_path / "faces", 1), FakeEngine()
    request = predict_request(image_bytes=[b"a"])
    with running(base, lambda _: engine, max_concurrent_requests=1) as served:
        engine.hold.clear()
        first = served.predictions.Predict.future(request, timeout=10)
        assert engine.started.wait(10)
        with pytest.raises(grpc.RpcError, match="too many requests"):
            served.predictions.Predict(request, timeout=10)
        status = get_model_status_pb2.GetModelStatusRequest()
        status.model_spec.name = "faces"
        assert served.models.GetModelStatus(status, timeout=10).model_version_status
        first.cancel()
        served.wait_for_cancelled(1)
        engine.hold.set()
        assert served.count("faces", "UNAVAILABLE") == 1


def test_metadata_tells_the_signatures(served):
    request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
    request.model_spec.name = "faces"
    response = served.predictions.GetModelMetadata(request, timeout=10)
    assert response.model_spec.version.value == 2
    definitions = get_model_metadata_pb2.SignatureDefMap()
    assert response.metadata["signature_def"].Unpack(definitions)
    definition = definitions.signature_def["images"]
    assert definition.method_name == "tensorflow/serving/predict"
    assert definition.inputs["images"].dtype == tf.uint8.as_datatype_enum
    shape = definition.inputs["images"].tensor_shape
    assert [dim.size for dim in shape.dim] == [-1, -1, -1, 3]
    assert list(definition.outputs) == ["scores"]


@pytest.mark.parametrize("fields", [[], ["other"]])
def test_metadata_of_another_kind_is_refused(served, fields):
    request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=fields)
    request.model_spec.name = "faces"
    assert refused(served.predictions.GetModelMetadata, request)[0] == "INVALID_ARGUMENT"


def test_status_tells_every_version(served):
    request = get_model_status_pb2.GetModelStatusRequest()
    request.model_spec.name = "faces"
    statuses = served.models.GetModelStatus(request, timeout=10).model_version_status
    available = get_model_status_pb2.ModelVersionStatus.AVAILABLE
    assert [(s.version, s.state, s.status.error_code) for s in statuses] == [
        (1, available, 0),
        (2, available, 0),
    ]
    request.model_spec.version.value = 7
    assert refused(served.models.GetModelStatus, request)[0] == "NOT_FOUND"
    empty = get_model_status_pb2.GetModelStatusRequest()
    assert refused(served.models.GetModelStatus, empty) == ("INVALID_ARGUMENT", "Missing ModelSpec")


def test_status_of_a_refused_version_has_its_error(tmp_path):
    base = write_versions(tmp_path / "faces", 1, 2)
    (base / "2" / "saved_model.pb").write_text("corrupt")
    with running(base) as served:
        request = get_model_status_pb2.GetModelStatusRequest()
        request.model_spec.name = "faces"
        statuses = served.models.GetModelStatus(request, timeout=10).model_version_status
        assert [s.state for s in statuses] == [30, 50]
        assert statuses[1].status.error_code == grpc.StatusCode.UNKNOWN.value[0]
        assert "good saved_model.pb" in statuses[1].status.error_message
