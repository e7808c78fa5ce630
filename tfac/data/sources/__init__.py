"""The data sets that can be prepared, by name."""

import inspect
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tfac.data.sources.celeba import CelebASource
from tfac.data.sources.celebamask_hq import CelebAMaskHQSource
from tfac.data.sources.folder import FolderSource
from tfac.data.sources.lfwa import LFWASource
from tfac.data.sources.source import Source
from tfac.data.sources.tfds_celeb_a import TFDSCelebASource
from tfac.errors import ConfigError

# `synthetic_faces` has no source: it is drawn.
SOURCES: Mapping[str, Callable[..., Source]] = {
    "celeba": CelebASource,
    "celeb_a": TFDSCelebASource,
    "celebamask_hq": CelebAMaskHQSource,
    "lfwa": LFWASource,
    "folder": FolderSource,
}


def open_source(
    dataset: str, source_dir: str | os.PathLike, data_dir: str | os.PathLike, **options: Any
) -> Source:
    """Returns a data set as it is before it is prepared, found and not read yet.

    Args:
        dataset: a key of SOURCES.
        source_dir: where its pictures and files are.
        data_dir: where data sets are kept.
        **options: what else that source takes, such as `labels` of `FolderSource`.

    Raises:
        ConfigError: an unknown data set, or an option that it does not take or cannot use.
        DataError: a file is missing, or of another layout.
    """
    if dataset not in SOURCES:
        raise ConfigError(f"dataset: expected one of {', '.join(SOURCES)}. Received: {dataset}")
    create = SOURCES[dataset]
    if dataset in ("celeb_a", "folder"):
        options["archive"] = Path(data_dir) / f".{options.get('name', dataset)}-pictures.zip"
    try:
        inspect.signature(create).bind(source_dir, **options)
    except TypeError as error:
        raise ConfigError(f"{dataset}: expected options of {create.__name__}. {error}") from error
    return create(source_dir, **options)
