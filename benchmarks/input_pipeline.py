"""Decoded, augmented batches a second from records, beside the limit and beside a PyTorch loader.

python benchmarks/input_pipeline.py [--data_dir=DATA] [--image_sizes=64,128,224] [--repeats=5]

Three ways to the same pictures, on the same cores, in turn:

- tfac: `tfac.data.records.pipeline.train_dataset`, mirrored at random, without a cache.
- decode: libjpeg-turbo (OpenCV's) decodes the same bytes to their full size, and nothing else: the
  limit of whoever decodes everything.
- PyTorch: a `DataLoader` whose workers open the original files with Pillow, resize (bilinear,
  antialiased) and mirror them; left out where PyTorch is not installed.

Without --data_dir faces of CelebA's height are drawn. Prints pictures a second and tfac's rate as a
ratio to each of the others, median and range over the repeats, and writes them as JSON and Markdown
with the machine and the versions.
"""

import json
import os
import platform
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import cv2
import numpy as np
import tensorflow as tf
from absl import app, flags
from PIL import Image

from tfac.data.preparing.workers import Processes
from tfac.data.records.info import RecordsInfo, read_info
from tfac.data.records.pipeline import train_dataset
from tfac.data.synthetic.faces import SyntheticFacesConfig, prepare_synthetic_faces

try:
    import torch
    from torch.utils.data import DataLoader, Dataset
except ImportError:
    torch, Dataset = None, object

_DATA_DIR = flags.DEFINE_string("data_dir", None, "Prepared data set; by default one is drawn.")
_SPLIT = flags.DEFINE_string("split", "train", "Split to read.")
_PICTURES = flags.DEFINE_integer("pictures", 4000, "Pictures of one pass.", 64)
_IMAGE_SIZES = flags.DEFINE_list("image_sizes", ["64", "128", "224"], "Sides wanted, pixels.")
_BATCH_SIZE = flags.DEFINE_integer("batch_size", 64, "Pictures a batch.", 1)
_REPEATS = flags.DEFINE_integer("repeats", 5, "How often each is measured.", 1)
_OUTPUT = flags.DEFINE_string("output", None, "Where to write, without suffix; by default nowhere.")

_CORES = len(os.sched_getaffinity(0))
_AHEAD = 40


class PictureFiles(Dataset):
    """Pictures as whoever takes PyTorch would read them."""

    def __init__(self, paths: Sequence[str], image_size: int):
        self.paths, self.image_size = paths, image_size

    def __len__(self) -> int:
        """Returns how many there are."""
        return len(self.paths)

    def __getitem__(self, index: int):
        """Returns picture `index`, uint8 [H, W, 3], mirrored half of the times."""
        with Image.open(self.paths[index]) as file:
            picture = file.convert("RGB")
        size = (self.image_size, self.image_size)
        picture = np.asarray(picture.resize(size, Image.Resampling.BILINEAR))
        if torch.rand(()) < 0.5:
            picture = picture[:, ::-1]
        return torch.from_numpy(picture.copy())


def main(argv: Sequence[str]) -> None:
    """Measures, prints and writes."""
    if len(argv) > 1:
        raise app.UsageError(f"expected flags only. Received: {' '.join(argv[1:])}")
    with tempfile.TemporaryDirectory() as folder:
        info = read_info(_DATA_DIR.value or _draw(folder))
        encoded = _encoded(info)
        paths = []
        for i, contents in enumerate(encoded):
            paths.append(os.path.join(folder, f"{i}.jpg"))
            Path(paths[-1]).write_bytes(contents)
        rows = [_measure(info, encoded, paths, int(size)) for size in _IMAGE_SIZES.value]
    shape = cv2.imdecode(np.frombuffer(encoded[0], np.uint8), cv2.IMREAD_COLOR).shape
    about = {
        "pictures": f"{len(encoded)} of {shape[1]}x{shape[0]}",
        "machine": f"{platform.machine()}, {_CORES} cores",
        "python": platform.python_version(),
        "tensorflow": tf.__version__,
        "opencv": cv2.__version__,
        "torch": torch and torch.__version__,
    }
    table = _table(rows)
    print(" · ".join(f"{name} {value}" for name, value in about.items()))
    print(table)
    if _OUTPUT.value:
        Path(f"{_OUTPUT.value}.json").write_text(json.dumps({**about, "rows": rows}, indent=1))
        Path(f"{_OUTPUT.value}.md").write_text(table + "\n")


def _draw(folder: str) -> Path:
    config = SyntheticFacesConfig(
        image_size=218, train_count=_PICTURES.value, validation_count=1, test_count=1
    )
    path, _ = prepare_synthetic_faces(config, Path(folder) / "data", Processes())
    return path


def _encoded(info: RecordsInfo) -> list[bytes]:
    """Returns the pictures of the split as they are stored, in the order of the records."""
    records = tf.data.TFRecordDataset(info.shards(_SPLIT.value))
    return [info.parse(record)["image"].numpy() for record in records]


def _measure(info: RecordsInfo, encoded, paths, image_size: int) -> dict:
    ways: dict[str, Callable[[], float]] = {
        "tfac": _tfac(info, image_size),
        "decode": _decode(encoded),
    }
    if torch:
        ways["PyTorch"] = _pytorch(paths, image_size)
    rates: dict[str, list[float]] = {name: [] for name in ways}
    for repeat in range(_REPEATS.value + 1):
        for name, way in ways.items():
            time.sleep(1)  # until those measured before have stopped working ahead
            rate = way()
            if repeat:  # the first warms up
                rates[name].append(rate)
    return {"image_size": image_size, "pictures_per_second": rates}


def _tfac(info: RecordsInfo, image_size: int) -> Callable[[], float]:
    batches = iter(
        train_dataset(
            info,
            _SPLIT.value,
            image_size=(image_size, image_size),
            batch_size=_BATCH_SIZE.value,
            seed=0,
            flip=True,
            shuffle_buffer=1024,
        )
    )
    steps = info.splits[_SPLIT.value] // _BATCH_SIZE.value

    def one_pass() -> float:
        for _ in range(_AHEAD):  # batches that were made while others were measured
            next(batches)
        start = time.perf_counter()
        for _ in range(steps):
            next(batches)
        return steps * _BATCH_SIZE.value / (time.perf_counter() - start)

    return one_pass


def _decode(encoded: Sequence[bytes]) -> Callable[[], float]:
    cv2.setNumThreads(1)
    arrays = [np.frombuffer(contents, np.uint8) for contents in encoded]

    def decode(start: int) -> None:
        for array in arrays[start::_CORES]:
            cv2.imdecode(array, cv2.IMREAD_COLOR)  # releases the interpreter's lock

    def one_pass() -> float:
        with ThreadPoolExecutor(_CORES) as pool:
            start = time.perf_counter()
            list(pool.map(decode, range(_CORES)))
        return len(encoded) / (time.perf_counter() - start)

    return one_pass


def _pytorch(paths: Sequence[str], image_size: int) -> Callable[[], float]:
    loader = DataLoader(
        PictureFiles(paths, image_size),
        batch_size=_BATCH_SIZE.value,
        shuffle=True,
        drop_last=True,
        num_workers=_CORES,
        persistent_workers=True,
        multiprocessing_context="forkserver",
    )

    def one_pass() -> float:
        start = time.perf_counter()
        for batch in loader:
            assert batch.dtype == torch.uint8
        return len(loader) * _BATCH_SIZE.value / (time.perf_counter() - start)

    return one_pass


def _table(rows: Sequence[dict]) -> str:
    lines = [
        "| px | tfac, pictures/s | decode | PyTorch | tfac / decode | tfac / PyTorch |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        rates = row["pictures_per_second"]
        cells = [f"{row['image_size']}"]
        for name in ("tfac", "decode", "PyTorch"):
            cells.append(f"{np.median(rates[name]):,.0f}" if name in rates else "")
        for name in ("decode", "PyTorch"):
            if name not in rates:
                cells.append("")
                continue
            ratios = np.divide(rates["tfac"], rates[name])
            cells.append(f"{np.median(ratios):.2f} ({ratios.min():.2f} to {ratios.max():.2f})")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    app.run(main)
