"""Requests that a server runs when it loads a version, so that its first users need not wait."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf

from tfac.inference.signatures import Signature

WARMUP_FILE = "tf_serving_warmup_requests"  # TensorFlow Serving's own name
WARMUP_BATCH_SIZES = (1, 2, 4, 8, 16, 32)

_PICTURE = np.full((218, 178, 3), 127, np.uint8)  # grey, of the size of CelebA's pictures


def write_warmup_requests(
    path: Path,
    model_name: str,
    signatures: Mapping[str, Signature],
    image_size: tuple[int, int],
    batch_sizes: Sequence[int],
) -> None:
    """Writes TensorFlow Serving's warm-up requests, a TFRecord file of PredictionLog.

    ``serving_default`` is asked with every batch size, every other signature once, about grey
    pictures.

    Args:
        path: the file, ``assets.extra/tf_serving_warmup_requests`` of the version.
        model_name: the name that the requests give the model.
        signatures: what can be asked.
        image_size: height and width of the arrays to send, pixels.
        batch_sizes: each 1 or more.
    """
    requests = [("serving_default", size) for size in batch_sizes]
    requests += [(name, 1) for name in signatures if name != "serving_default"]
    with tf.io.TFRecordWriter(str(path)) as writer:
        for name, batch_size in requests:
            spec = signatures[name].input
            values = np.stack([_example_input(spec, image_size)] * batch_size)
            writer.write(_prediction_log(model_name, name, spec, values).SerializeToString())


def _example_input(spec: tf.TensorSpec, image_size: tuple[int, int]) -> np.ndarray:
    """Returns one row of what a signature takes."""
    if spec.dtype != tf.string:
        return np.full((*image_size, 3), 127, spec.dtype.as_numpy_dtype)
    encoded = tf.io.encode_jpeg(_PICTURE).numpy()
    if spec.name == "examples":
        image = tf.train.Feature(bytes_list=tf.train.BytesList(value=[encoded]))
        encoded = tf.train.Example(
            features=tf.train.Features(feature={"image": image})
        ).SerializeToString()
    return np.array(encoded, object)


def _prediction_log(model_name: str, signature: str, spec: tf.TensorSpec, values: np.ndarray):
    from tensorflow_serving.apis import predict_pb2, prediction_log_pb2

    request = predict_pb2.PredictRequest()
    request.model_spec.name = model_name
    request.model_spec.signature_name = signature
    request.inputs[spec.name].CopyFrom(tf.make_tensor_proto(values, spec.dtype))
    return prediction_log_pb2.PredictionLog(
        predict_log=prediction_log_pb2.PredictLog(request=request)
    )
