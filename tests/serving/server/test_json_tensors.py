import json

import numpy as np
import pytest
import tensorflow as tf

from tests.serving.server.running_server import b64
from tfac.inference.engines import Signature, TensorInfo
from tfac.serving.server.json_tensors import answer_request, arrays_from_request, parse_request
from tfac.serving.server.refusals import Refusal

PICTURE = b"\xff\xd8\x00picture"
ONE_STRING = Signature({"image_bytes": TensorInfo(tf.string, (None,))}, {})
PIXELS = Signature({"images": TensorInfo(tf.uint8, (None, None, 3))}, {})
FLOATS = Signature({"x": TensorInfo(tf.float32, (None,))}, {})
BOOLS = Signature({"x": TensorInfo(tf.bool, (None,))}, {})
TWO = Signature(
    {"tag": TensorInfo(tf.string, (None,)), "signal": TensorInfo(tf.int64, (None, 2))}, {}
)


def read(body: str | dict, signature: Signature) -> dict[str, np.ndarray]:
    text = body if isinstance(body, str) else json.dumps(body)
    return arrays_from_request(parse_request(text.encode()), signature)


@pytest.mark.parametrize(
    "body",
    [
        {"instances": [b64(PICTURE), b64(b"")]},
        {"instances": [{"image_bytes": b64(PICTURE)}, {"image_bytes": b64(b"")}]},
        {"inputs": [b64(PICTURE), b64(b"")]},
        {"inputs": {"image_bytes": [b64(PICTURE), b64(b"")]}},
    ],
)
def test_bytes_come_by_rows_and_by_columns(body):
    arrays = read(body, ONE_STRING)
    assert arrays["image_bytes"].tolist() == [PICTURE, b""]


def test_base64_of_any_length_is_decoded():
    for length in (3 * 2**18 - 1, 3 * 2**18, 3 * 2**18 + 1, 2**21):
        data = np.random.default_rng(length).bytes(length)
        request = parse_request(json.dumps({"inputs": [b64(data)]}).encode())
        assert arrays_from_request(request, ONE_STRING)["image_bytes"].tolist() == [data]


def test_base64_may_lack_padding_and_have_white_space_as_in_tensorflow_serving():
    for text in ("YQ", "YQ==", "Y\\nQ=\\r\\n=", " YQ"):
        body = '{"inputs": [{"b64": "' + text + '"}]}'
        assert read(body, ONE_STRING)["image_bytes"].tolist() == [b"a"]


def test_several_inputs_come_by_rows_and_by_columns():
    by_rows = {
        "instances": [{"tag": "foo", "signal": [1, 2]}, {"tag": "b\u00e4r", "signal": [3, 4]}]
    }
    by_columns = {"inputs": {"tag": ["foo", "b\u00e4r"], "signal": [[1, 2], [3, 4]]}}
    for body in (by_rows, by_columns):
        arrays = read(body, TWO)
        assert arrays["tag"].tolist() == [b"foo", "b\u00e4r".encode()]
        np.testing.assert_array_equal(arrays["signal"], [[1, 2], [3, 4]], strict=True)


def test_numbers_are_cast_to_the_dtype_of_the_signature():
    pixels = read({"instances": [[[0, 128, 255]], [[1, 2, 3]]]}, PIXELS)["images"]
    np.testing.assert_array_equal(
        pixels, np.array([[[0, 128, 255]], [[1, 2, 3]]], np.uint8), strict=True
    )
    floats = read('{"inputs": [1, 2.5, NaN, -Infinity]}', FLOATS)["x"]
    np.testing.assert_array_equal(floats, np.float32([1, 2.5, np.nan, -np.inf]), strict=True)
    assert read({"inputs": [True, False]}, BOOLS)["x"].tolist() == [True, False]


@pytest.mark.parametrize(
    "body, message",
    [
        ("", "JSON Parse error"),
        ("{", "JSON Parse error"),
        (b"\xff\xfe\x00".decode("latin1"), "JSON Parse error"),
        ("[" * 100_000, "nested too deeply"),
        ('{"inputs": ' + "9" * 5000 + "}", "JSON Parse error"),
        ("[1]", "expected an object"),
        ("{}", "Received: neither"),
        ('{"inputs": [], "instances": []}', "Received: both"),
        ('{"inputs": ["a"], "signature_name": 7}', "must be a string"),
    ],
)
def test_what_is_no_request_is_refused(body, message):
    with pytest.raises(Refusal, match=message) as refused:
        parse_request(body.encode())
    assert refused.value.http_status == 400


def test_numbers_out_of_range_are_taken_as_tensorflow_serving_takes_them():
    assert read('{"instances": [[[300, -1, 256]]]}', PIXELS)["images"].tolist() == [[[44, 255, 0]]]
    assert read('{"inputs": [1e300, -1e300]}', FLOATS)["x"].tolist() == [np.inf, -np.inf]


@pytest.mark.parametrize("part", ["[],", "{},", "1,"])
def test_body_of_too_many_values_is_refused_before_it_is_parsed(part):
    with pytest.raises(Refusal, match="(?s)brackets and commas.*b64.*gRPC") as refused:
        parse_request(b'{"instances": [' + part.encode() * 2**18)  # no JSON, but that is not seen
    assert refused.value.http_status == 413
    with pytest.raises(Refusal, match="brackets and commas"):
        parse_request(b'{"instances": [' + part.encode() * 5000 + b" " * 2**22)


@pytest.mark.parametrize(
    "signature, body, message",
    [
        (ONE_STRING, '{"instances": []}', "at least one value"),
        (ONE_STRING, '{"instances": "a"}', "to be a list"),
        (ONE_STRING, '{"instances": [{"b64": "a?b="}]}', "Unable to base64 decode"),
        (ONE_STRING, '{"instances": [{"b64": "YWJ\u00e4"}]}', "Unable to base64 decode"),
        (ONE_STRING, '{"instances": [{"b64": "YQ==YQ=="}]}', "Unable to base64 decode"),
        (ONE_STRING, '{"instances": [{"b64": "YQ==", "x": 1}]}', "Missing but required"),
        (ONE_STRING, '{"instances": [{"b64": 7}]}', "Missing but required"),
        (ONE_STRING, '{"instances": [1]}', "expected a string"),
        (ONE_STRING, '{"instances": [null]}', "expected a string"),
        (ONE_STRING, '{"instances": ["a", ["b"]]}', "expected a string"),
        (ONE_STRING, '{"instances": [["a"]]}', r"expected shape \[any\]. Received: \[1, 1\]"),
        (ONE_STRING, '{"inputs": "a"}', r"expected shape \[any\]. Received: \[\]"),
        (ONE_STRING, '{"inputs": ' + "[" * 300 + "]" * 300 + "}", "expected shape"),
        (ONE_STRING, '{"inputs": {"other": ["a"]}}', "Sent extra: {other}"),
        (TWO, '{"instances": ["a"]}', "an object for each of the inputs signal,tag"),
        (TWO, '{"inputs": ["a"]}', "an object for each of the inputs signal,tag"),
        (TWO, '{"instances": [{"tag": "a"}]}', "Missing but required: {signal}"),
        (TWO, '{"instances": [{"tag": "a", "signal": [1, 2]}, 5]}', r"instances\[1\]"),
        (TWO, '{"inputs": {"tag": ["a"], "signal": [[1]]}}', "signal: expected shape"),
        (PIXELS, '{"instances": [[[1, 2, 2147483648]]]}', "expected uint8 values"),
        (PIXELS, '{"instances": [[[1, 2, 3.5]]]}', "values of type uint8"),
        (PIXELS, '{"instances": [[[1, 2, true]]]}', "values of type uint8"),
        (PIXELS, '{"instances": [[[1, 2, "3"]]]}', "values of type uint8"),
        (PIXELS, '{"instances": [[[1, 2, {"b64": "YQ=="}]]]}', "values of type uint8"),
        (PIXELS, '{"instances": [[[1, 2, 3]], [[1, 2]]]}', "lists of equal lengths"),
        (PIXELS, '{"instances": [[[1, 2, 3]], [4]]}', "lists of equal lengths"),
        (PIXELS, '{"instances": [[[1, 2, 3]], [[[4]]]]}', "lists of equal"),
        (PIXELS, '{"instances": [[[1, 2, [3]]]]}', "lists of equal depths"),
        (FLOATS, '{"inputs": ["1.5"]}', "values of type float32"),
        (FLOATS, '{"inputs": [null]}', "values of type float32"),
        (BOOLS, '{"inputs": [1]}', "values of type bool"),
    ],
)
def test_values_that_do_not_fit_the_signature_are_refused(signature, body, message):
    with pytest.raises(Refusal, match=message) as refused:
        read(body, signature)
    assert refused.value.http_status == 400


def test_long_text_among_numbers_takes_no_more_memory_than_it_has():
    """NumPy would set aside the longest text's length for every value: a terabyte here."""
    body = json.dumps({"inputs": ["a" * 1_000_000] + [1] * 200_000})
    with pytest.raises(Refusal, match="values of type float32"):
        read(body, FLOATS)


def test_answers_have_the_form_of_the_request():
    scores, valid = np.float32([[0.5, 1], [2, 3]]), np.array([True, False])
    both = {"scores": scores, "valid": valid}
    assert json.loads(answer_request(both, by_rows=True)) == {
        "predictions": [{"scores": [0.5, 1], "valid": True}, {"scores": [2, 3], "valid": False}]
    }
    assert json.loads(answer_request(both, by_rows=False)) == {
        "outputs": {"scores": [[0.5, 1], [2, 3]], "valid": [True, False]}
    }
    assert json.loads(answer_request({"scores": scores}, by_rows=True)) == {
        "predictions": [[0.5, 1], [2, 3]]
    }
    assert json.loads(answer_request({"scores": scores}, by_rows=False)) == {
        "outputs": [[0.5, 1], [2, 3]]
    }


def test_binary_answers_are_base64_by_their_name():
    values = np.array([b"\xff\xd8", b"b"], object)
    answer = json.loads(answer_request({"mask_bytes": values, "text": values}, by_rows=False))
    assert answer["outputs"] == {
        "mask_bytes": [b64(b"\xff\xd8"), b64(b"b")],
        "text": ["\ufffd\ufffd", "b"],
    }


def test_numbers_are_the_same_when_read_back():
    scores = np.random.default_rng(1).normal(size=(3, 40)).astype(np.float32)
    answer = json.loads(answer_request({"scores": scores}, by_rows=False))
    np.testing.assert_array_equal(np.float32(answer["outputs"]), scores)
    assert answer_request({"x": np.float32([0.1, -2.5e-9, 3])}, False) == (
        b'{"outputs": [0.1, -2.5e-09, 3.0]}'
    )
    assert b"NaN" in answer_request({"scores": np.float32([np.nan])}, by_rows=False)


@pytest.mark.parametrize(
    "outputs",
    [
        {"a": np.zeros(2), "b": np.zeros(3)},
        {"a": np.float32(1.0)},
        {"a": np.zeros(2), "b": np.array(1)},
    ],
)
def test_outputs_without_a_row_each_are_refused_by_rows(outputs):
    with pytest.raises(Refusal, match="one row for each instance"):
        answer_request(outputs, by_rows=True)
    assert "outputs" in json.loads(answer_request(outputs, by_rows=False))
