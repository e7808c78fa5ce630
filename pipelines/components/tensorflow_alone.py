"""A program that answers requests to a SavedModel with TensorFlow alone; see InfraValidator.

``python -m pipelines.components.tensorflow_alone EXPORT FOLDER`` reads FOLDER/requests, a TFRecord
file of tf.Example with the signature, the input's name and a TensorProto, and writes
FOLDER/answer-N.npz.
"""

import sys

import numpy as np
import tensorflow as tf


def main(export: str, folder: str) -> int:
    """Answers all requests."""
    model = tf.saved_model.load(export)
    records = tf.data.TFRecordDataset(f"{folder}/requests").as_numpy_iterator()
    for number, record in enumerate(records):
        parts = tf.train.Example.FromString(record).features.feature["request"].bytes_list.value
        signature, name = (part.decode() for part in parts[:2])
        proto = tf.make_tensor_proto(0)
        proto.ParseFromString(parts[2])
        answers = model.signatures[signature](**{name: tf.constant(tf.make_ndarray(proto))})
        arrays = {key: value.numpy() for key, value in answers.items()}
        # An array of objects would be pickled.
        arrays = {k: v.astype("S") if v.dtype == object else v for k, v in arrays.items()}
        np.savez(f"{folder}/answer-{number}.npz", **arrays)
    if "tfac" in sys.modules:
        print("expected TensorFlow alone. Received: tfac too", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
