"""The note in a pushed model that says where its records are: assets.extra/pipeline.json."""

import dataclasses
import os
from pathlib import Path

from pipelines.engine.artifacts import Model, Origin
from tfac.errors import DataError
from tfac.files import read_json, write_json

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
    note = dataclasses.replace(model.origin, store=store)
    write_json(saved_model / ORIGIN_FILE, dataclasses.asdict(note))


def read_origin(saved_model: Path) -> Origin:
    """Returns where the records of a pushed model are.

    Raises:
        DataError: the folder has no such note, or one that cannot be read.
    """
    path, expected = saved_model / ORIGIN_FILE, "what the pipeline's Pusher writes"
    note = read_json(path, expected)
    try:
        origin = Origin(**note)
    except TypeError as error:
        raise DataError(f"{path}: expected {expected}. {error}") from error
    if not origin.store.startswith(_SQLITE):
        return origin
    file = os.path.normpath(saved_model / origin.store.removeprefix(_SQLITE))
    return dataclasses.replace(origin, store=_SQLITE + file)
