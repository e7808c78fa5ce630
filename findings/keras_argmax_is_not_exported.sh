#!/usr/bin/env bash
# `keras.ops.argmax` and `argmin` cannot be exported to LiteRT, ONNX or OpenVINO on the TensorFlow
# backend, where TensorFlow's own can. For -0.0 they look at the bits of their input (Bitcast,
# BitwiseAnd), and none of the three has those operations: LiteRT's converter writes a file that
# wants TensorFlow's own operations (Flex), tf2onnx logs errors and writes one that ONNX Runtime
# refuses, and OpenVINO's converter stops. `keras.ops.top_k` answers the same and is exported.
#
# Fails if that changes. Installs into a temporary folder; needs Python 3.11 and a package index.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  tensorflow==2.21.0 keras==3.15.1 ai-edge-litert==2.3.0 openvino==2026.4.1 \
  tf2onnx==1.17.0 onnxruntime==1.32.0 2>&1 | { grep -v WARNING || true; }
TF_CPP_MIN_LOG_LEVEL=3 "$folder/venv/bin/python" - "$folder" 2> "$folder/log" <<'PYTHON' || { tail "$folder/log"; exit 1; }
import sys
from importlib.metadata import version

import keras
import numpy as np
import onnxruntime
import openvino
import tensorflow as tf
import tf2onnx
from ai_edge_litert.interpreter import Interpreter

for name in ("tensorflow", "keras", "ai-edge-litert", "openvino", "tf2onnx", "onnxruntime"):
    print(name, version(name))
VALUES = np.float32([[3, 1, 2, 1], [0, 5, -4, 7]])
SPEC = tf.TensorSpec([None, 4], tf.float32, name="values")


def litert(function, graph):
    converter = tf.lite.TFLiteConverter.from_concrete_functions([graph], function)
    converter.target_spec.supported_ops = [
        tf.lite.OpsSet.TFLITE_BUILTINS,
        tf.lite.OpsSet.SELECT_TF_OPS,
    ]
    interpreter = Interpreter(model_content=converter.convert())
    interpreter.resize_tensor_input(interpreter.get_input_details()[0]["index"], VALUES.shape)
    interpreter.allocate_tensors()


def onnx(function, graph):
    model, _ = tf2onnx.convert.from_function(function, [SPEC])
    onnxruntime.InferenceSession(model.SerializeToString())


def openvino_(function, graph):
    openvino.convert_model(graph)


def outcome(convert, function):
    traced = tf.function(function, input_signature=[SPEC])
    try:
        convert(traced, traced.get_concrete_function())
    except Exception as error:
        return f"refused ({type(error).__name__})"
    return "exported"


found = {}
for name, function in {
    "keras.ops.argmin": lambda values: keras.ops.argmin(values, axis=1),
    "keras.ops.argmax": lambda values: keras.ops.argmax(values, axis=1),
    "tf.argmin": lambda values: tf.argmin(values, axis=1),
    "keras.ops.top_k of -x": lambda values: keras.ops.top_k(-values, 1)[1][:, 0],
}.items():
    converters = {"LiteRT": litert, "ONNX": onnx, "OpenVINO": openvino_}
    found[name] = [outcome(convert, function) for convert in converters.values()]
    print(f"{name:<22}", "  ".join(map(": ".join, zip(converters, found[name]))), flush=True)
for name, outcomes in found.items():
    refused = name in ("keras.ops.argmin", "keras.ops.argmax")
    assert all(each.startswith("refused") == refused for each in outcomes), name
PYTHON
