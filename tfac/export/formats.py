"""An exported network in the formats of other engines, by the converters that Keras itself uses.

Below ``assets.extra/formats`` of an export:

| format | file | engine | needs |
|---|---|---|---|
| onnx | model.onnx | ONNX Runtime | onnx, tf2onnx |
| litert | model.tflite | LiteRT (TensorFlow Lite) | nothing else |
| openvino | openvino/model.xml, model.bin | OpenVINO | openvino |

Beside them lie ``network.json``, which says names, thresholds and how to prepare pictures (the ONNX
file has the same text in its metadata, under "tfac"), and for each format ``ask_FORMAT.py``, a
program of NumPy, Pillow and the engine that asks it. LiteRT is asked by signature
(``get_signature_runner``); OpenVINO computes in bfloat16 where the processor can, unless
``INFERENCE_PRECISION_HINT`` is "f32".

Each takes ``images``, uint8 [B, h, w, 3] at the trained image size, any B, and gives ``scores`` and
``probabilities``, float32 [B, A], ``predictions``, int32 [B, A], of exports whose answers are
consistent, and ``landmarks``, float32 [B, K, 2], of networks that have them.
Decoding, resizing and thresholds are with the caller, as in those programs and in
`tfac.inference.engines`. A
test-time flip is inside. The network is written in float32 whatever its precision was in training,
with the batch norms folded (see `tfac.speed.folding`).

ONNX and LiteRT are written by `keras.Model.export`. OpenVINO's converter is called here instead:
it has no rule for ``MatrixDiagV3``, which is `keras.ops.eye` and part of group attention (MGG-Net
and LGA-Net), and Keras cannot hand it one.
"""

import importlib.util
import json
import warnings
from collections.abc import Collection
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from tfac.errors import ConfigError
from tfac.export.format_programs import ABOUT_FILE, about, program, program_file
from tfac.inference.trained_network import TrainedNetwork
from tfac.models import predict
from tfac.speed.folding import copy_network, fold_batch_norms

FORMATS_FOLDER = "formats"
ONNX_FILE = "model.onnx"
LITERT_FILE = "model.tflite"
OPENVINO_FILE = "openvino/model.xml"


class _AnswerNetwork(keras.Model):
    """Resized pictures to scores, probabilities and landmarks: what is converted."""

    def __init__(self, trained: TrainedNetwork):
        super().__init__(autocast=False, name="network")
        self.network = copy_network(trained.model, "float32")
        fold_batch_norms(self.network)
        self.flip = trained.flip
        self.trained = trained

    def call(self, images, training=False):
        outputs = predict(self.network, images, self.flip)
        scores = outputs["scores"]  # [B, A]
        answers = {"scores": scores, "probabilities": self.trained.probabilities(scores)}
        if self.trained.consistent:
            answers["predictions"] = ops.cast(self.trained.answers(scores), "int32")  # [B, A]
        if "landmarks" in outputs:
            answers["landmarks"] = outputs["landmarks"]  # [B, K, 2]
        return answers


def check_formats(formats: Collection[str]) -> None:
    """Makes sure that these formats exist and that the packages they need are installed.

    Raises:
        ConfigError: one does not, or a package is missing.
    """
    for name in formats:
        if name not in FORMATS:
            raise ConfigError(f"formats: expected some of {', '.join(FORMATS)}. Received: {name}")
        missing = [package for package in _PACKAGES[name] if not importlib.util.find_spec(package)]
        if missing:
            raise ConfigError(
                f"formats: {name} needs packages that are not installed: {', '.join(missing)}"
            )


def write_formats(trained: TrainedNetwork, formats: Collection[str], folder: Path) -> None:
    """Writes a network in other formats.

    Args:
        trained: the model; left as it is.
        formats: some of `FORMATS`.
        folder: where to write; made where it is missing.

    Raises:
        ConfigError: see `check_formats`.
    """
    check_formats(formats)
    folder.mkdir(parents=True, exist_ok=True)
    network = _AnswerNetwork(trained)
    images = tf.TensorSpec([None, *trained.image_size, 3], tf.uint8, name="images")
    network(tf.zeros([1, *trained.image_size, 3], tf.uint8))  # Keras exports what has been called
    for name, write in _WRITERS.items():
        if name in formats:
            write(network, images, folder)
            (folder / program_file(name)).write_text(program(name), "utf-8")
    text = json.dumps(about(trained), indent=2) + "\n"
    (folder / ABOUT_FILE).write_text(text, "utf-8")
    if "onnx" in formats:
        _explain_onnx(str(folder / ONNX_FILE), text)


def _explain_onnx(path: str, text: str) -> None:
    """Calls the batch by its name in inputs and outputs, and puts `text` in the metadata."""
    import onnx

    model = onnx.load(path)
    values = [*model.graph.input, *model.graph.output]
    batches = {value.type.tensor_type.shape.dim[0].dim_param for value in values} - {""}
    for value in [*values, *model.graph.value_info]:
        for length in value.type.tensor_type.shape.dim:
            if length.dim_param in batches:
                length.dim_param = "batch"
    for value in values:
        value.type.tensor_type.shape.dim[0].dim_param = "batch"
    onnx.helper.set_model_props(model, {"tfac": text})
    onnx.save(model, path)


def _write_onnx(network: keras.Model, images: tf.TensorSpec, folder: Path) -> None:
    path = str(folder / ONNX_FILE)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # Keras's own use of NumPy
        network.export(path, format="onnx", input_signature=[images], verbose=False)


def _write_litert(network: keras.Model, images: tf.TensorSpec, folder: Path) -> None:
    path = str(folder / LITERT_FILE)
    network.export(path, format="litert", input_signature=[images], verbose=False)


def _write_openvino(network: keras.Model, images: tf.TensorSpec, folder: Path) -> None:
    import openvino
    from openvino.frontend.tensorflow import ConversionExtension

    function = tf.function(network).get_concrete_function(images, training=False)
    rule = ConversionExtension("MatrixDiagV3", _diagonal_matrix)
    model = openvino.convert_model(function, extension=[rule])
    for output in model.outputs:  # an output may go by the name of the operation behind it too
        output.tensor.set_names(output.get_names() & set(function.structured_outputs))
    path = folder / OPENVINO_FILE
    path.parent.mkdir()
    openvino.save_model(model, path, compress_to_fp16=False)


def _diagonal_matrix(node) -> list:
    """Returns what ``MatrixDiagV3`` gives for a vector [n] and its other inputs' defaults."""
    from openvino import opset13 as ops

    diagonal = node.get_input(0)
    length = ops.squeeze(ops.shape_of(diagonal, "i64"), np.int64(0))
    columns = ops.range(np.int64(0), length, np.int64(1), output_type="i64")
    on_diagonal = ops.equal(ops.unsqueeze(columns, np.int64(1)), columns)  # [n, n]
    zero = ops.convert(ops.constant(0), diagonal.get_element_type().to_string())
    return ops.select(on_diagonal, diagonal, zero).outputs()


_WRITERS = {"onnx": _write_onnx, "litert": _write_litert, "openvino": _write_openvino}
_PACKAGES = {
    "onnx": ("onnx", "tf2onnx"),
    "litert": (),
    "openvino": ("openvino",),
}
FORMATS: tuple[str, ...] = tuple(_WRITERS)
