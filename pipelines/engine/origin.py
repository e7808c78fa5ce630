"""The note in a pushed model that says where its records are: assets.extra/pipeline.json."""

import json
import os
from pathlib import Path

from pipelines.engine.artifacts import Model, Origin
from tfac.errors import DataError
from tfac.files import whole_file

ORIGIN_FILE = Path("assets.extra", "pipeline.json")
_SQLITE = "sqlite:///"


def write_origin(saved_model: Path, model: Model, place: Path) -> None:
    """Notes in a SavedModel which model it is; nothing where nobody keeps records.

    Args:
        saved_model: the folder to write into.
        model: the model that it was made from.
        place: the folder that it will be in the end. A database in a file is noted relative to it.
    """
    if model.origin is None:
        return
    store = model.origin.store
    if store.startswith(_SQLITE):
        store = _SQLITE + os.path.relpath(store.removeprefix(_SQLITE), place)
    note = {
        "store": store,
        "artifact_id": model.origin.artifact_id,
        "fingerprint": model.origin.fingerprint,
    }
    with whole_file(saved_model / ORIGIN_FILE) as path:
        path.write_text(json.dumps(note, indent=2) + "\n", encoding="utf-8")


def read_origin(saved_model: Path) -> Origin:
    """Returns where the records of a pushed model are.

    Raises:
        DataError: the folder has no such note, or one that cannot be read.
    """
    path = saved_model / ORIGIN_FILE
    try:
        note = json.loads(path.read_text(encoding="utf-8"))
        store, artifact_id, fingerprint = (
            note[name] for name in ("store", "artifact_id", "fingerprint")
        )
    except FileNotFoundError as error:
        raise DataError(
            f"expected {path}, which the pipeline's Pusher writes. Received: no such file"
        ) from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path}: expected what the pipeline's Pusher writes. {error!r}") from error
    if store.startswith(_SQLITE):
        store = _SQLITE + os.path.normpath(saved_model / store.removeprefix(_SQLITE))
    return Origin(store, artifact_id, fingerprint)
