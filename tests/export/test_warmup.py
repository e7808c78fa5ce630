import numpy as np
import pytest
import tensorflow as tf

pytest.importorskip("tensorflow_serving")
from tensorflow_serving.apis import prediction_log_pb2


def read_requests(path):
    logs = [
        prediction_log_pb2.PredictionLog.FromString(record)
        for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator()
    ]
    assert all(log.WhichOneof("log_type") == "predict_log" for log in logs)
    return [log.predict_log.request for log in logs]


@pytest.fixture(scope="module")
def requests(tiny_export):
    return read_requests(tiny_export / "assets.extra" / "tf_serving_warmup_requests")


def test_every_batch_size_and_every_signature_is_asked(requests, tiny_signatures):
    asked = {}
    for request in requests:
        (value,) = request.inputs.values()
        sizes = asked.setdefault(request.model_spec.signature_name, [])
        sizes.append(value.tensor_shape.dim[0].size)
    assert asked.pop("serving_default") == [1, 2, 4, 8, 16, 32]
    assert asked == {name: [1] for name in set(tiny_signatures) - {"serving_default"}}
    assert {request.model_spec.name for request in requests} == {"tiny"}


def test_requests_are_what_the_signatures_take_and_hold_pictures(requests, tiny_signatures):
    for request in requests[:2] + requests[6:]:  # not serving_default's large batches
        inputs = {name: tf.make_ndarray(value) for name, value in request.inputs.items()}
        answers = tiny_signatures[request.model_spec.signature_name](
            **{name: tf.constant(value) for name, value in inputs.items()}
        )
        if "valid" in answers:
            assert np.all(answers["valid"])


def test_pictures_are_grey(requests):
    (encoded,) = tf.make_ndarray(requests[0].inputs["image_bytes"])
    assert np.unique(tf.io.decode_jpeg(encoded, channels=3)).size == 1
