"""JSON files: read with an error that names the file, and written whole."""

import json
import os
from pathlib import Path
from typing import Any

from tfac.errors import DataError
from tfac.files import whole_file


def read_json(path: str | os.PathLike, expected: str = "a JSON object") -> dict[str, Any]:
    """Returns the object in a file of JSON.

    Args:
        path: the file.
        expected: what the file is, for the error.

    Raises:
        DataError: the file cannot be read, is no JSON or holds no object; names it.
    """
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{path}: expected {expected}. {error}") from error
    if not isinstance(content, dict):
        raise DataError(f"{path}: expected {expected}. Received: JSON without an object")
    return content


def write_json(path: str | os.PathLike, content: Any) -> None:
    """Writes JSON, whole."""
    with whole_file(path) as aside:
        aside.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
