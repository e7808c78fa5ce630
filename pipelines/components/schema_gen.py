"""SchemaGen: what examples have to look like, from the first that were seen or from a file."""

import hashlib
from pathlib import Path

from pipelines.components.statistics_gen import read_statistics
from pipelines.engine.artifacts import ExampleStatistics, Input, Output, Schema
from pipelines.engine.component import Parameters, component
from tfac.data_report.schema import create_schema, read_schema, write_schema

SCHEMA_FILE = "schema.pbtxt"


def file_fingerprint(parameters: Parameters) -> str:
    """Returns the checksum of the schema's file, empty where there is none."""
    path = parameters.get("schema_file")
    if not path or not Path(path).is_file():
        return ""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


@component(external=file_fingerprint)
def schema_gen(
    statistics: Input[ExampleStatistics],
    schema: Output[Schema],
    previous_schema: Input[Schema] | None = None,
    *,
    schema_file: str | None = None,
) -> None:
    """Writes the schema that examples are held against.

    A schema says what is expected, so new data does not change it: the first run's stays until
    somebody gives another.

    Args:
        statistics: of the examples; a schema is inferred from them where there is none yet.
        schema: schema.pbtxt, of tensorflow-metadata.
        previous_schema: an earlier run's, which is kept.
        schema_file: a schema that somebody has looked over, which goes before both.

    Raises:
        DataError: a file is missing or is no schema.
    """
    if schema_file:
        found = read_schema(Path(schema_file))
    elif previous_schema:
        found = read_schema(previous_schema.path / SCHEMA_FILE)
    else:
        summary = read_statistics(statistics)
        found = create_schema(summary, summary.splits)
    write_schema(found, schema.path / SCHEMA_FILE)
