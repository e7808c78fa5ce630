import pytest

from pipelines.components.schema_gen import schema_gen
from pipelines.engine.artifacts import ExampleStatistics, Schema
from pipelines.engine.component import spec
from tests.pipelines.components.summary_samples import write_statistics
from tfac.data_report.schema import read_schema
from tfac.errors import DataError


@pytest.fixture
def statistics(tmp_path):
    return write_statistics(tmp_path / "statistics", attributes=("Smiling", "Male"))


def names(schema):
    found = read_schema(schema.path / "schema.pbtxt").feature
    return [feature.name for feature in found if feature.name.startswith("labels/")]


def test_the_first_schema_is_what_the_statistics_say(statistics, tmp_path):
    schema = Schema(tmp_path / "schema")
    schema_gen(statistics, schema)
    assert names(schema) == ["labels/Smiling", "labels/Male"]


def test_an_earlier_schema_is_kept_whatever_the_data_says(statistics, tmp_path):
    first, second = Schema(tmp_path / "first"), Schema(tmp_path / "second")
    schema_gen(statistics, first)
    other = write_statistics(tmp_path / "other", attributes=("Smiling", "Young"))
    schema_gen(other, second, first)
    assert names(second) == ["labels/Smiling", "labels/Male"]
    contents = [(schema.path / "schema.pbtxt").read_bytes() for schema in (first, second)]
    assert contents[0] == contents[1] and first.properties == second.properties


def test_a_file_goes_before_both(statistics, tmp_path):
    first, second = Schema(tmp_path / "first"), Schema(tmp_path / "second")
    schema_gen(statistics, first)
    file = tmp_path / "own.pbtxt"
    fingerprint = spec(schema_gen).external
    parameters = {"schema_file": str(file)}
    assert fingerprint(parameters) == fingerprint({"schema_file": None}) == ""
    file.write_text('feature { name: "labels/Bald" }')
    before = fingerprint(parameters)
    schema_gen(statistics, second, first, schema_file=str(file))
    assert names(second) == ["labels/Bald"]
    file.write_text('feature { name: "labels/Bangs" }')
    assert before != fingerprint(parameters)


def test_what_is_missing_is_named(statistics, tmp_path):
    with pytest.raises(DataError, match="none.pbtxt: expected a schema as text"):
        schema_gen(statistics, Schema(tmp_path / "a"), schema_file=str(tmp_path / "none.pbtxt"))
    with pytest.raises(DataError, match="statistics.json: expected statistics of a data set"):
        schema_gen(ExampleStatistics(tmp_path / "none"), Schema(tmp_path / "b"))
