"""Landmark annotation of `tfac-prepare` beside dlib's calls alone, on the same cores.

python benchmarks/landmark_annotation.py [--source=PICTURES] [--pictures=2048] [--repeats=3]

- annotation: `annotate` with one process a core, from picture files to whole chunk files.
- dlib: the same number of processes call dlib's detector and predictor on the same pictures,
  decoded and enlarged beforehand, and keep nothing: the limit.
- script: they read each picture with `dlib.load_rgb_image` first, as a script of dlib's calls does;
  only for pictures that need not be enlarged, from a folder.

Processes are started and dlib's models loaded before the clock, for both. Prints pictures a second
and the ratios of the rates, median and range over the repeats. Without --source, a folder or zip
archive of aligned faces, faces of CelebA's height are drawn.
"""

import functools
import multiprocessing
import os
import pickle
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import dlib
import numpy as np
from absl import app, flags
from PIL import Image

from tfac.data.preparing.landmark_annotation import (
    CHUNK_SIZE,
    DETECTION_HEIGHT,
    AnnotationJob,
    _compute_chunk,
)
from tfac.data.sources.celeba import ALIGNMENT
from tfac.data.synthetic.faces import SyntheticFacesConfig, make_example
from tfac.dlib_files import LANDMARK_PREDICTOR, dlib_file
from tfac.photos.pictures import PictureFiles, open_picture

_SOURCE = flags.DEFINE_string("source", None, "Folder or zip archive of aligned faces.")
_PICTURES = flags.DEFINE_integer("pictures", 2048, "Pictures of one pass.", 1)
_REPEATS = flags.DEFINE_integer("repeats", 3, "How often each is measured.", 1)

_CORES = len(os.sched_getaffinity(0))


def main(argv: Sequence[str]) -> None:
    """Measures and prints."""
    if len(argv) > 1:
        raise app.UsageError(f"expected flags only. Received: {' '.join(argv[1:])}")
    with tempfile.TemporaryDirectory() as folder:
        files = PictureFiles(_SOURCE.value or _draw(Path(folder) / "pictures"))
        names = sorted(files.names)[: _PICTURES.value]
        with multiprocessing.get_context("spawn").Pool(_CORES) as pool:
            rates = [_measure(pool, files, names, Path(folder)) for _ in range(_REPEATS.value + 1)]
    rates = np.array(rates[1:])  # the first loads the models
    print(f"{len(names)} pictures, {_CORES} processes, pictures a second")
    print(f"annotation {np.median(rates[:, 0]):7.1f}")
    for name, limit in zip(("dlib", "script"), rates[:, 1:].T, strict=True):
        ratios = rates[:, 0] / limit
        spread = f"{np.median(ratios):.3f} ({ratios.min():.3f} to {ratios.max():.3f})"
        print(f"{name:10} {np.median(limit):7.1f}  annotation / {name} {spread}")


def _draw(folder: Path) -> Path:
    folder.mkdir()
    config = SyntheticFacesConfig(image_size=DETECTION_HEIGHT)
    for number in range(_PICTURES.value):
        contents = make_example(config, "train", number)["image"]
        (folder / f"{number:06d}.jpg").write_bytes(contents)
    return folder


def _measure(
    pool, files: PictureFiles, names: Sequence[str], folder: Path
) -> tuple[float, float, float]:
    size = min(CHUNK_SIZE, -(-len(names) // _CORES))
    chunks = [list(names[start : start + size]) for start in range(0, len(names), size)]
    with tempfile.TemporaryDirectory(dir=folder) as work:
        job = AnnotationJob(files, (), Path(work), alignment=ALIGNMENT)
        start = time.perf_counter()
        pickled = pickle.dumps(job)
        pool.starmap(_annotate, [(item, pickled) for item in enumerate(chunks)], chunksize=1)
        annotation = len(names) / (time.perf_counter() - start)
    seconds = pool.starmap(_call_dlib, [(files, chunk) for chunk in chunks], chunksize=1)
    calls, script = np.sum(seconds, axis=0)
    return annotation, len(names) * _CORES / calls, len(names) * _CORES / script


@functools.lru_cache(1)
def _job(pickled: bytes) -> AnnotationJob:
    return pickle.loads(pickled)  # once a pass, as a worker of tfac-prepare receives it once


def _annotate(item: tuple[int, Sequence[str]], pickled: bytes) -> None:
    _compute_chunk(item, _job(pickled))


_models = []


def _call_dlib(files: PictureFiles, names: Sequence[str]) -> tuple[float, float]:
    """Returns the seconds of dlib's calls, the pictures being there, and of a script of them."""
    if not _models:
        _models.extend(
            (
                dlib.get_frontal_face_detector(),
                dlib.shape_predictor(str(dlib_file(LANDMARK_PREDICTOR, "this benchmark"))),
            )
        )
    pictures = [_enlarged(open_picture(files.read(name), name)) for name in names]
    start = time.perf_counter()
    for picture in pictures:
        _find(picture)
    calls = time.perf_counter() - start
    start = time.perf_counter()
    for name in names if files.path.is_dir() else ():
        _find(dlib.load_rgb_image(str(files.path / name)))
    return calls, time.perf_counter() - start


def _find(picture: np.ndarray) -> None:
    detect, predict = _models
    height, width = picture.shape[:2]
    left, top, right, bottom = (
        round(side) for side in np.array(ALIGNMENT.face) * [width, height, width, height]
    )
    found = detect(picture, 0)
    predict(picture, found[0] if found else dlib.rectangle(left, top, right, bottom))


def _enlarged(picture: np.ndarray) -> np.ndarray:
    if picture.shape[0] >= DETECTION_HEIGHT:
        return picture
    size = (round(DETECTION_HEIGHT * ALIGNMENT.aspect), DETECTION_HEIGHT)
    return np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.BICUBIC))


if __name__ == "__main__":
    app.run(main)
