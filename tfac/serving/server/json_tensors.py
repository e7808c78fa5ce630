"""TensorFlow Serving's JSON forms of requests and answers: by rows and by columns."""

import base64
import binascii
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from tfac.inference.engines import Signature, TensorInfo
from tfac.serving.server.refusals import invalid
from tfac.serving.server.tensors import check_names, check_shape

_MOST_PARTS = 2**18  # brackets and commas of a picture of 255 x 255 pixels
_FEW_PARTS = 2**10  # of a request without pixels
_LONGEST_NUMBERS = 2**22  # bytes of a request with pixels
_DECODED_AT_ONCE = 2**20  # letters of base64, a multiple of 4


def parse_request(body: bytes | bytearray) -> dict[str, Any]:
    """Returns the JSON object that a request is.

    Raises:
        Refusal: it is no JSON or no object, has too many values, or does not have one of
            ``instances`` and ``inputs``.
    """
    # What parsing takes, in time and memory, goes by the values, and is many times the body's.
    parts = sum(map(body.count, (b"[", b"{", b",")))
    if parts > _MOST_PARTS or (parts > _FEW_PARTS and len(body) > _LONGEST_NUMBERS):
        raise invalid(
            f"expected at most {_MOST_PARTS} brackets and commas in JSON, and {_LONGEST_NUMBERS} "
            f"bytes where they are more than {_FEW_PARTS}. Send pictures as files, in the form "
            '{"b64": STRING}, or arrays over gRPC',
            413,
        )
    try:
        request = json.loads(body)
    except (ValueError, RecursionError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else error
        raise invalid(f"JSON Parse error: {reason}") from error
    if not isinstance(request, dict):
        raise invalid("JSON Value: expected an object. Received: another value")
    if ("instances" in request) == ("inputs" in request):
        what = "both" if "inputs" in request else "neither"
        raise invalid(f"expected one of the keys 'inputs' and 'instances'. Received: {what}")
    if not isinstance(request.get("signature_name", ""), str):
        raise invalid("'signature_name' key must be a string value.")
    return request


def arrays_from_request(request: Mapping[str, Any], signature: Signature) -> dict[str, np.ndarray]:
    """Returns the inputs of a request.

    Args:
        request: from `parse_request`.
        signature: what they must fit.

    Returns:
        Arrays of the signature's dtypes; strings are arrays of bytes objects.

    Raises:
        Refusal: an input is missing, unknown, of another type or shape, ragged, or wrong base64.
    """
    if "instances" in request:
        columns = _columns(request["instances"], signature)
    else:
        columns = _named(request["inputs"], signature)
    check_names(columns, signature)
    return {name: _array(name, columns[name], info) for name, info in signature.inputs.items()}


def answer_request(outputs: Mapping[str, np.ndarray], by_rows: bool) -> bytes:
    """Returns the JSON answer.

    Args:
        outputs: of the model.
        by_rows: the request had ``instances``, so the answer has ``predictions``; else ``outputs``.

    Raises:
        Refusal: an answer by rows is asked, and the outputs do not have as many rows each.
    """
    values = {name: _json_value(name, output) for name, output in sorted(outputs.items())}
    only = next(iter(values.values())) if len(values) == 1 else None
    if not by_rows:
        return json.dumps({"outputs": values if only is None else only}).encode()
    lengths = {output.shape[:1] for output in outputs.values()}
    if len(lengths) != 1 or () in lengths:
        raise invalid("expected outputs with one row for each instance; use 'inputs' instead")
    if only is None:
        rows = zip(*values.values(), strict=True)
        only = [dict(zip(values, row, strict=True)) for row in rows]
    return json.dumps({"predictions": only}).encode()


def _columns(instances: Any, signature: Signature) -> dict[str, list]:
    """Returns the values of each input from a list of rows."""
    if not isinstance(instances, list) or not instances:
        raise invalid("expected 'instances' to be a list with at least one value")
    if not _is_named(instances[0]):
        return {_only_input(signature, "instances"): instances}
    names = instances[0].keys()
    for i, row in enumerate(instances):
        if not _is_named(row) or row.keys() != names:
            raise invalid(f"instances[{i}]: expected an object with the keys of instances[0]")
    return {name: [row[name] for row in instances] for name in names}


def _named(inputs: Any, signature: Signature) -> dict[str, Any]:
    return inputs if _is_named(inputs) else {_only_input(signature, "inputs"): inputs}


def _only_input(signature: Signature, key: str) -> str:
    if len(signature.inputs) != 1:
        names = ",".join(sorted(signature.inputs))
        raise invalid(f"{key}: expected an object for each of the inputs {names}")
    return next(iter(signature.inputs))


def _is_named(value: Any) -> bool:
    return isinstance(value, dict) and not _is_base64(value)


def _is_base64(value: dict) -> bool:
    return len(value) == 1 and isinstance(value.get("b64"), str)


def _array(name: str, value: Any, info: TensorInfo) -> np.ndarray:
    shape = _first_shape(value)
    check_shape(name, shape, info)
    if info.dtype == tf.string:
        array = np.empty(shape, object)
        array.ravel()[:] = _strings(name, value, shape)
        return array
    # NumPy alone would take text for numbers, and set aside as much for each value as for the
    # longest text.
    types = _leaf_types(name, value, len(shape))
    wanted = {bool} if info.dtype.is_bool else {int} if info.dtype.is_integer else {int, float}
    if not types <= wanted:
        raise invalid(f"{name}: expected values of type {info.dtype.name}. Received: others")
    return _numbers(name, value, info.dtype)


def _first_shape(value: Any) -> list[int]:
    """Returns the lengths of a nested list, as its first elements have them."""
    shape = []
    while isinstance(value, list):
        shape.append(len(value))
        value = value[0] if value else None
    return shape


def _leaf_types(name: str, value: Any, depth: int) -> set[type]:
    if not isinstance(value, list):
        return {type(value)}
    if not depth:
        raise invalid(f"{name}: expected lists of equal depths")
    types = set(map(type, value))
    if list in types:
        types.remove(list)
        for part in value:
            types |= _leaf_types(name, part, depth - 1)
    return types


def _numbers(name: str, value: Any, dtype: tf.DType) -> np.ndarray:
    out_of_range = f"{name}: expected {dtype.name} values. Received: one out of its range"
    # As TensorFlow Serving: small integers are cut out of an int32, large floats are infinite.
    wide = np.float64 if dtype.is_floating else dtype.as_numpy_dtype
    if dtype.is_integer and dtype.size < 4:
        wide = np.int32
    try:
        array = np.array(value, dtype=wide)
    except OverflowError as error:
        raise invalid(out_of_range) from error
    except ValueError as error:
        raise invalid(f"{name}: expected lists of equal lengths") from error
    with np.errstate(over="ignore"):
        return array.astype(dtype.as_numpy_dtype, copy=False)


def _strings(name: str, value: Any, shape: list[int]) -> list[bytes]:
    """Returns the strings of a nested list, whose lengths must be `shape` all over."""
    if not shape:
        return [_bytes(name, value)]
    if not isinstance(value, list) or len(value) != shape[0]:
        raise invalid(f"{name}: expected lists of equal lengths")
    if len(shape) == 1:
        return [_bytes(name, leaf) for leaf in value]
    return [leaf for part in value for leaf in _strings(name, part, shape[1:])]


def _bytes(name: str, leaf: Any) -> bytes:
    if isinstance(leaf, str):
        return leaf.encode("utf-8", "surrogatepass")
    if not isinstance(leaf, dict) or not _is_base64(leaf):
        raise invalid(f'{name}: expected a string or {{"b64": STRING}}. Received: another value')
    text = "".join(leaf["b64"].split())  # white space passes, as in TensorFlow Serving
    text += "=" * (-len(text) % 4)
    try:
        if text.find("=", 0, -2) >= 0:
            raise ValueError("padding within")
        # Bit by bit, as each holds the interpreter.
        starts = range(0, len(text), _DECODED_AT_ONCE)
        bits = (text[start : start + _DECODED_AT_ONCE] for start in starts)
        return b"".join(base64.b64decode(bit, validate=True) for bit in bits)
    except (binascii.Error, ValueError) as error:
        raise invalid(f"{name}: Unable to base64 decode: {error}") from error


def _json_value(name: str, output: np.ndarray) -> Any:
    if output.dtype == np.float32:  # the shortest numbers that are read back as these
        return output.astype(str).astype(np.float64).tolist()
    if output.dtype != object:
        return output.tolist()
    to_json = _base64_object if name.endswith("_bytes") else _text
    return np.vectorize(to_json, otypes=[object])(output).tolist() if output.size else []


def _base64_object(value: bytes) -> dict[str, str]:
    return {"b64": base64.b64encode(value).decode("ascii")}


def _text(value: bytes) -> str:
    return value.decode("utf-8", "replace")
