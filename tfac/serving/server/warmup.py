"""Requests that an export brings along, run before its first client's."""

from collections.abc import Collection
from pathlib import Path

import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2

from tfac.errors import DataError
from tfac.inference.engines import Engine
from tfac.serving.server.tensors import arrays_from_protos

_REQUESTS = Path("assets.extra") / "tf_serving_warmup_requests"
MOST_REQUESTS = 1000  # as in TensorFlow Serving
_LARGEST_TENSOR = 2**28  # bytes


def warm_up(engine: Engine, version_folder: Path, may_lack: Collection[str] = ()) -> None:
    """Runs the warm-up requests of a version, if it has any.

    Args:
        engine: has loaded the version.
        version_folder: of the version.
        may_lack: signatures whose requests are left out where the engine does not have them.

    Raises:
        DataError: there are more than `MOST_REQUESTS`, or one is for an unknown signature.
        Exception: a request cannot be read, is wrong or fails.
    """
    path = version_folder / _REQUESTS
    if not path.is_file():
        return
    records = tf.data.TFRecordDataset(str(path)).as_numpy_iterator()
    for i, record in enumerate(records):
        if i == MOST_REQUESTS:
            raise DataError(f"{path}: expected at most {MOST_REQUESTS} requests. Received: more")
        request = prediction_log_pb2.PredictionLog.FromString(record).predict_log.request
        name = request.model_spec.signature_name or "serving_default"
        if name in engine.signatures:
            signature = engine.signatures[name]
            engine.run(name, arrays_from_protos(request.inputs, signature, _LARGEST_TENSOR))
        elif name not in may_lack:
            raise DataError(
                f"{path}: expected requests for {', '.join(sorted(engine.signatures))}. "
                f"Received: one for {name[:100]}"
            )
