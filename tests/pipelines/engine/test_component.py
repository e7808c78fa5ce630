import pytest

from pipelines.engine.artifacts import Examples, ExampleStatistics, Input, Output, Schema
from pipelines.engine.component import REQUIRED, component, spec


@component(neutral=("workers",), resumable=True)
def statistics_gen(
    examples: Input[Examples],
    statistics: Output[ExampleStatistics],
    previous: Input[Schema] | None = None,
    *,
    splits: list[str],
    workers: int = 1,
) -> None:
    """Writes a file."""
    (statistics.path / "splits.txt").write_text(" ".join(splits))
    statistics.properties["workers"] = workers


def test_annotations_say_what_a_component_takes_and_gives():
    found = spec(statistics_gen)
    assert found.name == "StatisticsGen"
    assert {name: each.type for name, each in found.inputs.items()} == {
        "examples": Examples,
        "previous": Schema,
    }
    assert [each.optional for each in found.inputs.values()] == [False, True]
    assert found.outputs == {"statistics": ExampleStatistics}
    assert found.parameters["splits"].default is REQUIRED
    assert found.parameters["workers"].default == 1
    assert (found.neutral, found.resumable, found.external) == (("workers",), True, None)


def test_component_is_still_a_function(tmp_path):
    statistics = ExampleStatistics(tmp_path)
    statistics_gen(Examples(tmp_path), statistics, splits=["train", "test"])
    assert (tmp_path / "splits.txt").read_text() == "train test"
    assert statistics.properties == {"workers": 1}


def no_annotation(examples) -> None: ...


def of_no_role(examples: Examples) -> None: ...


def optional_output(examples: Output[Examples] | None) -> None: ...


def either(examples: Input[Examples] | Input[Schema]) -> None: ...


@pytest.mark.parametrize("function", [no_annotation, of_no_role, optional_output, either])
def test_function_of_another_form_is_refused(function):
    with pytest.raises(TypeError, match="examples"):
        component(function)


def test_neutral_parameter_has_to_be_there():
    with pytest.raises(TypeError, match="no parameters workers"):
        component(neutral=("workers",))(lambda: None)


def test_plain_function_has_no_spec():
    with pytest.raises(TypeError, match="@component"):
        spec(print)
