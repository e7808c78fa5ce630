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
    dtype = info.dtype
    if proto.dtype != dtype.as_datatype_enum:
        received = tf.as_dtype(proto.dtype).name if proto.dtype in _KNOWN_DTYPES else proto.dtype
        raise invalid(f"{name}: expected {dtype.name}. Received: {received}")
    shape = [dim.size for dim in proto.tensor_shape.dim]
    if proto.tensor_shape.unknown_rank or any(length < 0 for length in shape):
        raise invalid(f"{name}: expected a shape that is known. Received: {_show(shape)}")
    check_shape(name, shape, info)
    if 0 in shape and math.prod(max(length, 1) for length in shape) > _MOST_VALUES:
        raise invalid(f"{name}: expected a smaller shape. Received: {_show(shape)}")
    _check_size(name, proto, dtype, math.prod(shape), max_bytes)
    try:
        array = tf.make_ndarray(proto)
    except (OverflowError, TypeError, ValueError) as error:
        raise invalid(f"{name}: expected values of {dtype.name}. {error}") from error
    return array.view(np.uint8) != 0 if dtype == tf.bool else array  # a byte may be any


_MOST_VALUES = 2**31 - 1  # TensorFlow's ops count in int32
_KNOWN_DTYPES = {dtype.as_datatype_enum for dtype in _FIELDS}


def _check_size(
    name: str, proto: tensor_pb2.TensorProto, dtype: tf.DType, size: int, max_bytes: int
) -> None:
    """Makes sure that a tensor has the values that its shape, of `size` values, asks for."""
    content = len(proto.tensor_content)
    if content and dtype != tf.string:
        if content != size * dtype.size:
            raise invalid(
                f"{name}: expected {size * dtype.size} bytes by its shape. Received: {content}"
            )
        return
    count = len(getattr(proto, _FIELDS[dtype])) if dtype in _FIELDS else 0
    # Fewer values than the shape asks for: the last one is repeated. A few bytes must not become
    # an array without bounds.
    may_repeat = count and dtype != tf.string and size * dtype.size <= max_bytes
    if count > size or (count < size and not may_repeat):
        what = "strings" if dtype == tf.string else "values"
        raise invalid(f"{name}: expected {size} {what} by its shape. Received: {count}")


def _show(shape: Sequence[int | None]) -> str:
    return "[" + ", ".join("any" if length is None else str(length) for length in shape) + "]"
