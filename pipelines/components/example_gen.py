"""ExampleGen: the records that everything else reads, from any source of tfac-prepare."""

import dataclasses
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipelines.components.beam import create_workers
from pipelines.components.features import BEAM_RUNNER
from pipelines.components.source_files import files_fingerprint
from pipelines.engine.artifacts import Examples, Output
from pipelines.engine.component import Parameters, component
from tfac.errors import ConfigError

_DRAWN, _PREPARED = "synthetic_faces", "records"
_FILE_OPTIONS = ("labels", "split_file", "groups_file")  # of a source's options


def source_fingerprint(parameters: Parameters) -> str:
    """Returns a text that changes with the files of the source; see `files_fingerprint`."""
    options = parameters.get("options") or {}
    roots = [parameters.get("source_dir"), *(options.get(name) for name in _FILE_OPTIONS)]
    return " ".join(files_fingerprint(root) for root in roots if root)


@component(external=source_fingerprint, neutral=("beam_runner", "beam_options"), resumable=True)
def example_gen(
    examples: Output[Examples],
    *,
    dataset: str,
    source_dir: str | None = None,
    options: dict | None = None,
    landmarks: str = "dlib_72",
    faces: str | None = None,
    on_error: str = "stop",
    beam_runner: str = BEAM_RUNNER,
    beam_options: list[str] | None = None,
) -> None:
    """Writes a source as records, in shards, on Beam; goes on where it was stopped.

    Args:
        examples: the data set; its properties are `name`, `fingerprint`, `splits` (split to number
            of pictures), `attributes`, `landmark_scheme` and `skipped` (kind of problem to count).
        dataset: a data set of tfac-prepare, or "records" for one that it has prepared already.
        source_dir: where the pictures and files are; synthetic_faces is drawn and has none.
        options: what else the source takes: arguments of `tfac.data.sources.folder.FolderSource`,
            `LFWASource` or `SyntheticFacesConfig`.
        landmarks: "dlib_72", "dlib_68", "celeba_5" or "none"; of pictures that are read.
        faces: "largest", "aligned" or "whole", as for tfac-prepare.
        on_error: "stop" at a broken picture or row, or "skip" and count.
        beam_runner: Beam's runner; all of its workers see the same files.
        beam_options: the runner's options, such as "--direct_num_workers=2".

    Raises:
        ConfigError: a parameter cannot be used.
        DataError: the source is incomplete or broken.
    """
    from tfac.data.records.info import read_info

    options = dict(options or {})
    if (source_dir is None) != (dataset == _DRAWN):
        raise ConfigError(f"{dataset}: expected source_dir for all but {_DRAWN}")
    workers = create_workers(beam_runner, beam_options)
    skipped: Mapping[str, int] = {}
    if dataset == _PREPARED:
        _copy_records(source_dir, examples.path)
    elif dataset == _DRAWN:
        _draw_faces(options, examples.path, workers)
    else:
        skipped = _prepare(
            dataset, source_dir, options, examples.path, landmarks, faces, on_error, workers
        )
    info = read_info(examples.path)
    examples.properties |= {
        "name": info.name,
        "fingerprint": info.fingerprint,
        "splits": dict(info.splits),
        "attributes": list(info.attributes),
        "landmark_scheme": info.landmark_scheme.name,
        "skipped": dict(skipped),
    }


def _draw_faces(options: dict[str, Any], path: Path, workers) -> None:
    from tfac.data.synthetic.faces import SyntheticFacesConfig, prepare_synthetic_faces

    known = [field.name for field in dataclasses.fields(SyntheticFacesConfig)]
    unknown = options.keys() - set(known)
    if unknown:
        raise ConfigError(
            f"{_DRAWN}: expected options among {', '.join(known)}. "
            f"Received: {', '.join(sorted(unknown))}"
        )
    prepare_synthetic_faces(SyntheticFacesConfig(**options), path.resolve(), workers)


def _prepare(
    dataset: str,
    source_dir: str,
    options: dict[str, Any],
    path: Path,
    landmarks: str,
    faces: str | None,
    on_error: str,
    workers,
) -> Mapping[str, int]:
    """Prepares a source; returns what was skipped, kind to count."""
    from tfac.data.preparing.preparation import LANDMARK_CHOICES, prepare
    from tfac.data.sources import open_source
    from tfac.data.sources.problems import ON_ERROR

    if landmarks not in LANDMARK_CHOICES:
        raise ConfigError(
            f"landmarks: expected one of {', '.join(LANDMARK_CHOICES)}. Received: {landmarks}"
        )
    if on_error not in ON_ERROR:
        raise ConfigError(f"on_error: expected one of {', '.join(ON_ERROR)}. Received: {on_error}")
    # Workers may have been started elsewhere.
    path = path.resolve()
    source = open_source(dataset, os.path.abspath(source_dir), path, **options)
    prepared = prepare(
        source, path, landmarks=landmarks, faces=faces, workers=workers, on_error=on_error
    )
    return prepared.metadata["skipped"]


def _copy_records(source_dir: str, path: Path) -> None:
    from tfac.data.records.info import check_shards, read_info

    info = read_info(source_dir)
    for split, count in info.splits.items():
        if count:
            check_shards(info, split)
    target = path / info.path.name
    shutil.rmtree(target, ignore_errors=True)  # a copy that was stopped
    shutil.copytree(info.path, target)
