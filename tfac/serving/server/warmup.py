"""Requests that an export brings along, run before its first client's."""

from pathlib import Path

import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2

from tfac.inference.engines import Engine
from tfac.serving.server.tensors import arrays_from_protos

_REQUESTS = Path("assets.extra") / "tf_serving_warmup_requests"
_MOST_REQUESTS = 1000  # as in TensorFlow Serving
_LARGEST_TENSOR = 2**28  # bytes


def warm_up(engine: Engine, version_folder: Path) -> None:
    """Runs the warm-up requests of a version, if it has any for the engine's signatures.

    Raises:
        Exception: a request cannot be read, is wrong or fails.
    """
    path = version_folder / _REQUESTS
    if not path.is_file():
        return
    for record in tf.data.TFRecordDataset(str(path)).take(_MOST_REQUESTS).as_numpy_iterator():
        request = prediction_log_pb2.PredictionLog.FromString(record).predict_log.request
        name = request.model_spec.signature_name or "serving_default"
        if name in engine.signatures:
            signature = engine.signatures[name]
            engine.run(name, arrays_from_protos(request.inputs, signature, _LARGEST_TENSOR))
