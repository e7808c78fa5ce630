"""What runs an exported model: TensorFlow, ONNX Runtime or OpenVINO, behind one interface.

::

    engine = load_engine(Path("saved_models/dmm_cnn/1"))
    answers = engine.run("images", {"images": pictures})  # uint8 [B, H, W, 3]

TensorFlow runs the SavedModel, with all its signatures. The others run the network out of
``assets.extra/formats`` (`tfac.export.formats`), and TensorFlow decodes and resizes for them, with
the same functions as in a SavedModel; they have every signature but ``explain``. ONNX Runtime
computes in float32; OpenVINO in bfloat16 where the model was trained so and the processor can.
"""

import dataclasses
import importlib.util
import json
import os
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import tensorflow as tf

from tfac.errors import ConfigError, DataError
from tfac.files import read_json
from tfac.inference.prediction import has_a_threshold_each
from tfac.inference.signatures import create_signatures
from tfac.inference.trained_network import TrainedNetwork

_EXTRA = "assets.extra"


@dataclasses.dataclass(frozen=True)
class TensorInfo:
    """What is known of an input or output before it is there.

    Attributes:
        dtype: TensorFlow's.
        shape: None where any length will do.
    """

    dtype: tf.DType
    shape: tuple[int | None, ...]


@dataclasses.dataclass(frozen=True)
class Signature:
    """The inputs and the outputs of one of a model's functions, by name."""

    inputs: Mapping[str, TensorInfo]
    outputs: Mapping[str, TensorInfo]


class Engine(Protocol):
    """One version of a model, ready to run; any number of threads may run it at once.

    Attributes:
        metadata: the contents of its ``tfac.json``.
        signatures: its functions by name, for example ``serving_default``.
    """

    metadata: Mapping[str, Any]
    signatures: Mapping[str, Signature]

    def run(self, signature: str, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Returns the outputs for a batch of inputs.

        Args:
            signature: a name among `signatures`.
            inputs: an array for each of the signature's inputs, of its dtype and shape; strings are
                arrays of bytes objects (NumPy's own strings lose zeros at their end).

        Raises:
            DataError: there is no such signature, or the inputs are not what it takes.
        """
        ...


def load_engine(version_folder: Path, name: str = "tensorflow") -> Engine:
    """Loads one version of an exported model.

    Args:
        version_folder: for example ``saved_models/dmm_cnn/1``.
        name: one of `ENGINES`.

    Raises:
        ConfigError: an unknown name, or its package is not installed.
        DataError: the folder is no export of tfac, or something in it is missing, cut off or
            broken.
    """
    if name not in _LOADERS:
        raise ConfigError(f"engine: expected one of {', '.join(ENGINES)}. Received: {name}")
    if importlib.util.find_spec(name) is None:
        raise ConfigError(f"engine: {name} needs the package {name}, which is not installed")
    folder = Path(version_folder)
    metadata = _read_metadata(folder)
    try:
        return _LOADERS[name](folder, metadata)
    except DataError:
        raise
    except Exception as error:  # what a broken file leads to is not bounded
        raise DataError(f"{folder}: {name} cannot load it: {error}") from error


class _FunctionsEngine:
    """TensorFlow functions of named tensors."""

    def __init__(
        self,
        metadata: Mapping[str, Any],
        functions: Mapping[str, Callable[..., Mapping[str, tf.Tensor]]],
        signatures: Mapping[str, Signature],
        model: Any = None,
    ):
        self.metadata, self.signatures = metadata, signatures
        self._functions = functions
        self._model = model  # its functions do not keep it alive

    def run(self, signature: str, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        check_inputs(self.signatures, signature, inputs)
        tensors = {name: tf.constant(array) for name, array in inputs.items()}
        try:
            outputs = self._functions[signature](**tensors)
        except tf.errors.InvalidArgumentError as error:
            raise DataError(f"{signature}: {error.message}") from error
        return {name: value.numpy() for name, value in outputs.items()}


def check_inputs(
    signatures: Mapping[str, Signature], name: str, inputs: Mapping[str, np.ndarray]
) -> None:
    """Makes sure that `inputs` are what the signature `name` takes.

    Raises:
        DataError: they are not, or there is no such signature; says what was expected.
    """
    if name not in signatures:
        raise DataError(
            f"expected one of the signatures {', '.join(sorted(signatures))}. Received: {name!r}"
        )
    expected = signatures[name].inputs
    if set(inputs) != set(expected):
        raise DataError(
            f"{name}: expected the inputs {', '.join(sorted(expected))}. "
            f"Received: {', '.join(sorted(inputs)) or 'none'}"
        )
    for key, info in expected.items():
        dtype, shape = inputs[key].dtype, inputs[key].shape
        fits = dtype == info.dtype.as_numpy_dtype
        if not fits or not tf.TensorShape(info.shape).is_compatible_with(shape):
            raise DataError(
                f"{name}: {key}: expected {info.dtype.name} {_show(info.shape)}. "
                f"Received: {'string' if dtype.kind == 'O' else dtype.name} {_show(shape)}"
            )


def _show(shape: tuple[int | None, ...]) -> str:
    return "[" + ", ".join("any" if length is None else str(length) for length in shape) + "]"


def _infos(specs: Mapping[str, tf.TensorSpec]) -> dict[str, TensorInfo]:
    return {name: TensorInfo(spec.dtype, tuple(spec.shape)) for name, spec in specs.items()}


def _read_metadata(folder: Path) -> dict[str, Any]:
    path = folder / _EXTRA / "tfac.json"
    metadata = read_json(path, "an export of tfac; write one with tfac-export")
    try:
        understood = has_a_threshold_each(metadata)
    except (KeyError, TypeError) as error:
        raise DataError(f"{path}: expected what tfac-export writes. Received: {error!r}") from error
    if not understood:
        raise DataError(f"{path}: expected as many threshold_probabilities as attributes")
    return metadata


def _load_tensorflow(folder: Path, metadata: Mapping[str, Any]) -> Engine:
    if not (folder / "saved_model.pb").is_file():
        raise DataError(f"{folder}: expected saved_model.pb, but it is missing")
    model = tf.saved_model.load(str(folder))
    functions = dict(model.signatures)
    missing = {"serving_default", "images"} - set(functions)
    if missing:
        raise DataError(f"{folder}: expected the signatures {', '.join(sorted(missing))}")
    signatures = {
        name: Signature(
            inputs=_infos(function.structured_input_signature[1]),
            outputs=_infos(function.structured_outputs),
        )
        for name, function in functions.items()
    }
    return _FunctionsEngine(metadata, functions, signatures, model)


def _load_onnxruntime(folder: Path, metadata: Mapping[str, Any]) -> Engine:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    # Threads that wait busily would take the cores from those that decode.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3  # errors
    session = onnxruntime.InferenceSession(
        _network_file(folder, "model.onnx"), options, providers=["CPUExecutionProvider"]
    )
    names = [output.name for output in session.get_outputs()]

    def network(images: np.ndarray) -> dict[str, np.ndarray]:
        return dict(zip(names, session.run(names, {"images": images}), strict=True))

    return _with_preparation(folder, metadata, network, names)


def _load_openvino(folder: Path, metadata: Mapping[str, Any]) -> Engine:
    import openvino

    core = openvino.Core()
    # As it was trained, where the processor can; else OpenVINO would choose by the processor alone.
    can = core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    half = metadata["precision"] == "mixed_bfloat16" and "BF16" in can
    options = {
        "INFERENCE_PRECISION_HINT": "bf16" if half else "f32",
        "PERFORMANCE_HINT": "LATENCY",
    }
    model = core.compile_model(_network_file(folder, "openvino/model.xml"), "CPU", options)
    names = [output.get_any_name() for output in model.outputs]
    requests = threading.local()  # one at a time runs in each

    def network(images: np.ndarray) -> dict[str, np.ndarray]:
        if not hasattr(requests, "own"):
            requests.own = model.create_infer_request()
        answers = requests.own.infer({"images": images})
        return {name: np.array(answers[name]) for name in names}

    return _with_preparation(folder, metadata, network, names)


def _network_file(folder: Path, name: str) -> str:
    path = folder / _EXTRA / "formats" / name
    if not path.is_file():
        raise DataError(
            f"expected {path}, but it is missing: export the model with --formats=onnx,openvino"
        )
    return str(path)


def _with_preparation(
    folder: Path,
    metadata: Mapping[str, Any],
    network: Callable[[np.ndarray], Mapping[str, np.ndarray]],
    outputs: list[str],
) -> Engine:
    """Returns an engine with the signatures of an export around another engine's network."""

    def model(images: tf.Tensor, training: bool = False) -> dict[str, tf.Tensor]:
        def run(pictures: np.ndarray) -> list[np.ndarray]:
            answers = pool.submit(network, pictures).result()
            return [answers[name] for name in names]

        values = tf.numpy_function(run, [images], [tf.float32] * len(names), stateful=False)
        return {n: tf.ensure_shape(v, shapes[n]) for n, v in zip(names, values, strict=True)}

    trained = TrainedNetwork.from_metadata(metadata, model, str(folder))
    shapes = {"scores": [None, len(trained.attributes)]}
    if trained.landmark_scheme is not None:
        shapes["landmarks"] = [None, trained.landmark_scheme.num_landmarks, 2]
    names = list(shapes)
    if not set(names) <= set(outputs):
        raise DataError(f"expected a network that gives {', '.join(names)}. Received: {outputs}")
    # On TensorFlow's own threads OpenVINO crashes; perhaps their stack is too small for it.
    pool = ThreadPoolExecutor(len(os.sched_getaffinity(0)), "network")
    trained = dataclasses.replace(trained, landmark_scheme=None)  # nothing to explain
    functions, signatures = {}, {}
    for name, signature in create_signatures(trained, json.dumps(metadata)).items():
        function = tf.function(signature.answer, [signature.input], autograph=False)
        function = function.get_concrete_function()
        functions[name] = _of_one_input(function, signature.input.name)
        signatures[name] = Signature(
            inputs=_infos({signature.input.name: signature.input}),
            outputs=_infos(function.structured_outputs),
        )
    return _FunctionsEngine(metadata, functions, signatures)


def _of_one_input(function, name: str) -> Callable[..., Mapping[str, tf.Tensor]]:
    return lambda **tensors: function(tensors[name])


_LOADERS = {
    "tensorflow": _load_tensorflow,
    "onnxruntime": _load_onnxruntime,
    "openvino": _load_openvino,
}
ENGINES: tuple[str, ...] = tuple(_LOADERS)
