import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.framework import tensor_pb2

from tfac.inference.engines import Signature, TensorInfo
from tfac.serving.server.refusals import Refusal
from tfac.serving.server.tensors import arrays_from_protos, check_shape, fill_proto

LIMIT = 1000  # bytes


def read(proto: tensor_pb2.TensorProto, dtype: tf.DType, shape) -> np.ndarray:
    signature = Signature({"x": TensorInfo(dtype, shape)}, {})
    return arrays_from_protos({"x": proto}, signature, LIMIT)["x"]


@pytest.mark.parametrize(
    "array",
    [
        np.array([[1.5, -2.0], [np.inf, 3e-9]], np.float32),
        np.array([[1.5], [2.0]], np.float64),
        np.arange(12, dtype=np.uint8).reshape(2, 2, 3),
        np.array([-5, 7], np.int32),
        np.array([-(2**62)], np.int64),
        np.array([[True], [False]]),
        np.zeros((0, 4, 3), np.uint8),
    ],
)
@pytest.mark.parametrize("as_values", [True, False])
def test_arrays_come_over_the_wire_unchanged(array, as_values):
    if as_values:
        proto = tensor_pb2.TensorProto()
        fill_proto(proto, array)
        np.testing.assert_array_equal(tf.make_ndarray(proto), array)
    else:
        proto = tf.make_tensor_proto(array)
    received = read(proto, tf.as_dtype(array.dtype), (None,) * array.ndim)
    assert received.dtype == array.dtype
    np.testing.assert_array_equal(received, array)


def test_strings_keep_every_byte():
    proto = tf.make_tensor_proto([b"\xff\xd8\x00\x00", b""])
    received = read(proto, tf.string, (None,))
    assert received.dtype == object and received.tolist() == [b"\xff\xd8\x00\x00", b""]
    answer = tensor_pb2.TensorProto()
    fill_proto(answer, received)
    assert list(answer.string_val) == received.tolist()


def test_fewer_values_repeat_the_last_within_bounds():
    proto = tf.make_tensor_proto(3.0, shape=[2, 2])
    assert len(proto.float_val) == 1
    assert read(proto, tf.float32, (None, 2)).tolist() == [[3.0, 3.0], [3.0, 3.0]]
    huge = tf.make_tensor_proto(3.0, shape=[2, 2])
    huge.tensor_shape.dim[0].size = 10**12
    with pytest.raises(Refusal, match="expected 2000000000000 values"):
        read(huge, tf.float32, (None, 2))


def changed(proto: tensor_pb2.TensorProto, **fields) -> tensor_pb2.TensorProto:
    for name, value in fields.items():
        setattr(proto, name, value)
    return proto


def with_shape(*shape: int) -> tensor_pb2.TensorProto:
    proto = tf.make_tensor_proto(np.zeros((2, 3), np.float32))
    del proto.tensor_shape.dim[:]
    for size in shape:
        proto.tensor_shape.dim.add(size=size)
    return proto


def out_of_range() -> tensor_pb2.TensorProto:
    proto = tf.make_tensor_proto(np.zeros((1, 1), np.uint8))
    proto.int_val[:] = [256]
    return proto


@pytest.mark.parametrize(
    "proto, dtype, message",
    [
        (tf.make_tensor_proto([["a"]]), tf.float32, "expected float32. Received: string"),
        (changed(with_shape(2, 3), dtype=77), tf.float32, "expected float32. Received: 77"),
        (with_shape(6), tf.float32, r"expected shape \[any, any\]. Received: \[6\]"),
        (with_shape(-1, 3), tf.float32, r"a shape that is known. Received: \[-1, 3\]"),
        (with_shape(2**40, 3), tf.float32, "bytes by its shape. Received: 24"),
        (changed(with_shape(2, 3), tensor_content=b""), tf.float32, "expected 6 values"),
        (changed(with_shape(2, 3), tensor_content=b"abc"), tf.float32, "expected 24 bytes"),
        (out_of_range(), tf.uint8, "expected values of uint8. .*256 out of bounds"),
        (tf.make_tensor_proto([["a", "b"]]), tf.string, None),
    ],
)
def test_malformed_tensor_is_refused(proto, dtype, message):
    if message is None:
        proto.string_val.append(b"one more")
        message = "expected 2 strings by its shape. Received: 3"
    with pytest.raises(Refusal, match=message) as refused:
        read(proto, dtype, (None, None))
    assert refused.value.http_status == 400


def test_unknown_rank_is_refused():
    proto = tf.make_tensor_proto([1.0])
    proto.tensor_shape.unknown_rank = True
    with pytest.raises(Refusal, match="shape"):
        read(proto, tf.float32, (None,))


def test_missing_and_extra_inputs_are_named():
    signature = Signature({"x": TensorInfo(tf.float32, (None,))}, {})
    proto = tf.make_tensor_proto([1.0])
    with pytest.raises(Refusal, match=r"Sent extra: {y}\. Missing but required: {x}"):
        arrays_from_protos({"y": proto}, signature, LIMIT)
    with pytest.raises(Refusal, match=r"Sent extra: {}\. Missing but required: {x}"):
        arrays_from_protos({}, signature, LIMIT)


def test_known_lengths_must_be_met():
    info = TensorInfo(tf.uint8, (None, 4, 3))
    check_shape("x", (7, 4, 3), info)
    for shape in [(7, 4, 1), (4, 3), (7, 4, 3, 1), ()]:
        with pytest.raises(Refusal, match="x: expected shape"):
            check_shape("x", shape, info)


def test_side_of_zero_does_not_hide_a_huge_one():
    proto = tf.make_tensor_proto(np.zeros((0, 2), np.float32))
    assert read(proto, tf.float32, (None, None)).shape == (0, 2)
    proto.tensor_shape.dim[1].size = 2**40
    with pytest.raises(Refusal, match="expected a smaller shape"):
        read(proto, tf.float32, (None, None))
