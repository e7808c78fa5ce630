"""Tensors of requests and answers: TensorProto to checked arrays, and back."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import tensorflow as tf
from tensorflow.core.framework import tensor_pb2

from tfac.inference.engines import Signature, TensorInfo
from tfac.serving.server.refusals import invalid

_FIELDS = {
    tf.bool: "bool_val",
    tf.float32: "float_val",
    tf.float64: "double_val",
    tf.int8: "int_val",
    tf.int16: "int_val",
    tf.int32: "int_val",
    tf.int64: "int64_val",
    tf.string: "string_val",
    tf.uint8: "int_val",
    tf.uint16: "int_val",
    tf.uint32: "uint32_val",
    tf.uint64: "uint64_val",
}


def arrays_from_protos(
    protos: Mapping[str, tensor_pb2.TensorProto], signature: Signature, max_bytes: int
) -> dict[str, np.ndarray]:
    """Returns the inputs of a request.

    Args:
        protos: as the client sent them.
        signature: what they must fit.
        max_bytes: the largest array that a single repeated value may stand for.

    Returns:
        Arrays of the signature's dtypes; strings are arrays of bytes objects.

    Raises:
        Refusal: an input is missing, unknown, of another dtype or shape, or malformed.
    """
    check_names(protos, signature)
    return {
        name: _array(name, protos[name], info, max_bytes) for name, info in signature.inputs.items()
    }


def check_names(inputs: Mapping[str, object], signature: Signature) -> None:
    """Makes sure that there is each input of the signature and no other.

    Raises:
        Refusal: not so; says which are missing and which are extra, as TensorFlow Serving does.
    """
    if inputs.keys() == signature.inputs.keys():
        return
    missing = ",".join(sorted(signature.inputs.keys() - inputs.keys()))
    extra = ",".join(sorted(inputs.keys() - signature.inputs.keys()))[:200]
    raise invalid(
        f"input size does not match signature. Sent extra: {{{extra}}}. "
        f"Missing but required: {{{missing}}}."
    )


def check_shape(name: str, shape: Sequence[int], info: TensorInfo) -> None:
    """Makes sure that a shape fits what an input takes.

    Raises:
        Refusal: it does not.
    """
    fits = len(shape) == len(info.shape) and all(
        expected in (None, length) for length, expected in zip(shape, info.shape, strict=True)
    )
    if not fits:
        raise invalid(f"{name}: expected shape {_show(info.shape)}. Received: {_show(shape)}")


def fill_proto(proto: tensor_pb2.TensorProto, array: np.ndarray) -> None:
    """Fills an empty proto in the form that TensorFlow Serving answers with, a list of values."""
    dtype = tf.string if array.dtype == object else tf.as_dtype(array.dtype)
    proto.dtype = dtype.as_datatype_enum
    for length in array.shape:
        proto.tensor_shape.dim.add(size=length)
    if dtype in _FIELDS:
        getattr(proto, _FIELDS[dtype]).extend(array.ravel().tolist())
    else:
        proto.tensor_content = array.tobytes()


def _array(
    name: str, proto: tensor_pb2.TensorProto, info: TensorInfo, max_bytes: int
) -> np.ndarray:
    if proto.dtype != info.dtype.as_datatype_enum:
        received = tf.as_dtype(proto.dtype).name if proto.dtype in _KNOWN_DTYPES else proto.dtype
        raise invalid(f"{name}: expected {info.dtype.name}. Received: {received}")
    shape = [dim.size for dim in proto.tensor_shape.dim]
    if proto.tensor_shape.unknown_rank or any(length < 0 for length in shape):
        raise invalid(f"{name}: expected a shape that is known. Received: {_show(shape)}")
    check_shape(name, shape, info)
    size = math.prod(shape)
    if info.dtype == tf.string:
        return _strings(name, proto.string_val, size).reshape(shape)
    if proto.tensor_content:
        return _from_content(name, proto.tensor_content, info.dtype, size).reshape(shape)
    values = getattr(proto, _FIELDS[info.dtype], ()) if info.dtype in _FIELDS else ()
    return _from_values(name, values, info.dtype, size, max_bytes).reshape(shape)


_KNOWN_DTYPES = {dtype.as_datatype_enum for dtype in _FIELDS}


def _strings(name: str, values: Sequence[bytes], size: int) -> np.ndarray:
    if len(values) != size:
        raise invalid(f"{name}: expected {size} strings by its shape. Received: {len(values)}")
    array = np.empty(size, object)
    array[:] = values
    return array


def _from_content(name: str, content: bytes, dtype: tf.DType, size: int) -> np.ndarray:
    expected = size * dtype.size
    if len(content) != expected:
        raise invalid(f"{name}: expected {expected} bytes by its shape. Received: {len(content)}")
    if dtype == tf.bool:
        return np.frombuffer(content, np.uint8) != 0
    return np.frombuffer(content, dtype.as_numpy_dtype)  # a view, not a copy


def _from_values(
    name: str, values: Sequence, dtype: tf.DType, size: int, max_bytes: int
) -> np.ndarray:
    # Fewer values than the shape asks for: the last one is repeated. A few bytes must not become
    # an array without bounds.
    too_large = size * dtype.size > max_bytes
    if len(values) > size or (len(values) < size and (not values or too_large)):
        raise invalid(f"{name}: expected {size} values by its shape. Received: {len(values)}")
    array = np.array(values, dtype=_wide(dtype))
    if dtype.is_integer and array.size and not dtype.min <= array.min() <= array.max() <= dtype.max:
        raise invalid(f"{name}: expected {dtype.name} values. Received: one out of its range")
    array = array.astype(dtype.as_numpy_dtype, copy=False)
    if len(array) < size:
        array = np.concatenate([array, np.full(size - len(array), array[-1])])
    return array


def _wide(dtype: tf.DType) -> np.dtype:
    """The dtype that holds what the proto's list can hold."""
    narrow = dtype in (tf.int8, tf.int16, tf.uint8, tf.uint16)
    return np.dtype(np.int32 if narrow else dtype.as_numpy_dtype)


def _show(shape: Sequence[int | None]) -> str:
    return "[" + ", ".join("any" if length is None else str(length) for length in shape) + "]"
