import json
import types
from typing import Any

import pytest

from pipelines.engine.artifacts import Examples, Input, Model, ModelBlessing, Output
from pipelines.engine.component import component
from pipelines.runners.kubeflow_step import decode_parameter, encode_parameter, plain_type, run
from tfac.errors import DataError

PROPERTIES = {"count": 20, "rate": 1.0, "names": ["a", None], "blocking": False, "nothing": None}


@component
def write_examples(examples: Output[Examples], *, options: dict | None = None, seed: int = 3):
    (examples.path / "numbers.txt").write_text(f"{seed}")
    examples.properties.update(options or {})


@component
def check_examples(
    examples: Input[Examples], before: Input[Model] | None, blessing: Output[ModelBlessing]
):
    assert before is None
    assert type(examples) is Examples and examples.properties == PROPERTIES
    (number,) = examples.path.iterdir()
    blessing.properties["blessed"] = number.read_text() == "3"


def kfp_artifact(path) -> types.SimpleNamespace:
    return types.SimpleNamespace(path=str(path), uri=f"gs://{path}", metadata={})


def call(function, **arguments) -> bool:
    return run(f"{function.__module__}:{function.__name__}", arguments)


def test_properties_are_passed_on_exactly(tmp_path):
    examples, blessing = kfp_artifact(tmp_path / "examples"), kfp_artifact(tmp_path / "blessing")
    assert call(write_examples, examples=examples, options=json.dumps(PROPERTIES), seed=3)
    assert examples.metadata == {
        **{"type": "Examples", "count": 20, "rate": 1.0, "blocking": False},
        **{"names": '["a", null]', "nothing": "null"},
    }
    assert call(check_examples, examples=examples, before=None, blessing=blessing)

    call(write_examples, examples=examples, options=json.dumps(PROPERTIES), seed=4.0)
    assert not call(check_examples, examples=examples, before=None, blessing=blessing)
    assert blessing.metadata == {"type": "ModelBlessing", "blessed": False}


def test_input_of_another_kind_is_refused(tmp_path):
    examples, blessing = kfp_artifact(tmp_path / "examples"), kfp_artifact(tmp_path / "blessing")
    with pytest.raises(DataError, match="CheckExamples: input examples: .* Received: gs://"):
        call(check_examples, examples=examples, before=None, blessing=blessing)
    call(write_examples, examples=examples, options=json.dumps(PROPERTIES), seed=3)
    with pytest.raises(DataError, match="input before: expected Model. Received: Examples in gs:"):
        call(check_examples, examples=examples, before=examples, blessing=blessing)


@pytest.mark.parametrize(
    ("annotation", "value", "given"),
    [
        (int, 3, 3),
        (int | None, 0, 0),
        (float, 2, 2.0),
        (float | None, 0.5, 0.5),
        (bool, False, False),
        (str, "[1]", "[1]"),
        (str | None, "", ""),
        (int | None, None, None),
        (dict | None, None, None),
        (list[str], ["a"], '["a"]'),
        (dict[str, Any] | None, {"a": None, "b": 1.0}, '{"a": null, "b": 1.0}'),
        (int | str, 3, "3"),
        (int | str, "3", '"3"'),
        (Any, [1, 1.0], "[1, 1.0]"),
    ],
)
def test_parameters_are_passed_on_exactly(annotation, value, given):
    encoded = encode_parameter(annotation, value)
    assert encoded == given and type(encoded) is type(given)
    assert encoded is None or isinstance(encoded, plain_type(annotation) or str)
    # Kubeflow has fractions alone, and writes those that are whole as whole numbers.
    for received in (encoded, float(encoded)) if type(encoded) is int else (encoded,):
        decoded = decode_parameter(annotation, received)
        assert decoded == value
        assert plain_type(annotation) is float or type(decoded) is type(value)
