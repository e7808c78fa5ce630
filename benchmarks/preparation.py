"""How time and memory of `tfac-prepare` grow with the number of pictures.

python benchmarks/preparation.py [--counts=10000,20000,50000,100000,200000] [--output=PATH]

Two data sets of each size are prepared without landmarks, which are measured elsewhere
(`landmark_annotation.py`): `synthetic_faces`, drawn and written, and `folder`, checked, labelled
and written from files with a CSV table. The folder's files are a few thousand drawn faces under
many names, so that a disk holds them. Memory is the sum over the program and its worker processes
of what each has to itself and its share of the rest (PSS), looked at ten times a second (Linux).
Prints a table; writes it as JSON and as a picture where --output says.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import matplotlib

matplotlib.use("agg")
import matplotlib.pyplot as plt
import numpy as np
from absl import app, flags
from matplotlib.ticker import MaxNLocator
from tqdm import tqdm

from tfac.attributes import ATTRIBUTES
from tfac.data.synthetic.faces import SyntheticFacesConfig, make_example

_COUNTS = flags.DEFINE_list(
    "counts", ["10000", "20000", "50000", "100000", "200000"], "Pictures of each data set."
)
_IMAGE_SIZE = flags.DEFINE_integer("image_size", 64, "Side of the pictures, pixels.", 32, 1024)
_DRAWN = flags.DEFINE_integer("drawn", 2000, "Different pictures in the folder.", 1)
_OUTPUT = flags.DEFINE_string("output", None, "Where to write, without suffix; by default nowhere.")

_MEBIBYTE = 2**20


def main(argv: Sequence[str]) -> None:
    """Measures, prints and writes."""
    if len(argv) > 1:
        raise app.UsageError(f"expected flags only. Received: {' '.join(argv[1:])}")
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        drawn = _draw(Path(folder) / "drawn")
        for count in map(int, _COUNTS.value):
            source = _write_folder(Path(folder) / "source", drawn, count)
            for name, options in (
                ("synthetic_faces", _synthetic_options(count)),
                ("folder", _folder_options(source)),
            ):
                data_dir = Path(folder) / "data"
                seconds, peak = _run([f"--dataset={name}", f"--data_dir={data_dir}", *options])
                rows.append({"dataset": name, "pictures": count, "seconds": seconds, "peak": peak})
                shutil.rmtree(data_dir)
                print(
                    f"{name:16s} {count:9,d} pictures {seconds:7.0f} s {count / seconds:7,.0f} a "
                    f"second, {peak / _MEBIBYTE:6,.0f} MiB"
                )
            shutil.rmtree(source)
    if _OUTPUT.value:
        about = {"cores": len(os.sched_getaffinity(0)), "image_size": _IMAGE_SIZE.value}
        Path(f"{_OUTPUT.value}.json").write_text(json.dumps({**about, "rows": rows}, indent=1))
        _plot(rows, Path(f"{_OUTPUT.value}.png"))


def _draw(folder: Path) -> list[Path]:
    folder.mkdir()
    config = SyntheticFacesConfig(image_size=_IMAGE_SIZE.value)
    paths = []
    for number in tqdm(range(_DRAWN.value), "drawing", unit=" faces"):
        paths.append(folder / f"{number}.jpg")
        paths[-1].write_bytes(make_example(config, "train", number)["image"])
    return paths


def _write_folder(folder: Path, drawn: Sequence[Path], count: int) -> Path:
    pictures = folder / "pictures"
    pictures.mkdir(parents=True)
    labels = np.random.default_rng(0).integers(0, 2, (count, len(ATTRIBUTES)))
    lines = [",".join(("picture", *ATTRIBUTES))]
    for number in range(count):
        os.link(drawn[number % len(drawn)], pictures / f"{number:07d}.jpg")
        lines.append(",".join((f"{number:07d}.jpg", *map(str, labels[number]))))
    (folder / "labels.csv").write_text("\n".join(lines))
    return folder


def _synthetic_options(count: int) -> list[str]:
    return [
        f"--synthetic_image_size={_IMAGE_SIZE.value}",
        f"--synthetic_train_count={count - 2000}",
        "--synthetic_validation_count=1000",
        "--synthetic_test_count=1000",
    ]


def _folder_options(source: Path) -> list[str]:
    return [
        f"--source_dir={source / 'pictures'}",
        f"--labels={source / 'labels.csv'}",
        "--landmarks=none",
    ]


def _run(options: Sequence[str]) -> tuple[float, int]:
    """Runs `tfac-prepare`; returns its seconds and its peak memory in bytes."""
    command = [sys.executable, "-m", "tfac.cli.prepare", *options]
    start, peak = time.perf_counter(), 0
    with tempfile.TemporaryFile() as output:
        program = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
        while program.poll() is None:
            peak = max(peak, sum(map(_memory, _family(program.pid))))
            time.sleep(0.1)
        if program.returncode:
            output.seek(0)
            sys.exit(output.read().decode())
    return time.perf_counter() - start, peak


def _family(pid: int) -> list[int]:
    """Returns a process and all that it started, as far as they are still there."""
    family = [pid]
    for parent in family:
        try:
            for task in os.listdir(f"/proc/{parent}/task"):
                children = Path(f"/proc/{parent}/task/{task}/children").read_text()
                family.extend(map(int, children.split()))
        except OSError:
            continue
    return family


def _memory(pid: int) -> int:
    try:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return 0


def _plot(rows: Sequence[dict], path: Path) -> None:
    figure, axes = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
    for name in dict.fromkeys(row["dataset"] for row in rows):
        mine = [row for row in rows if row["dataset"] == name]
        counts = [row["pictures"] for row in mine]
        axes[0].plot(counts, [row["seconds"] for row in mine], "o-", label=name)
        axes[1].plot(counts, [row["peak"] / _MEBIBYTE for row in mine], "o-", label=name)
    for axis, title in zip(axes, ("seconds", "peak memory, MiB"), strict=True):
        axis.set(title=title, xlabel="pictures", xlim=(0, None), ylim=(0, 1.1 * axis.get_ylim()[1]))
        axis.xaxis.set_major_locator(MaxNLocator(5))
        axis.xaxis.set_major_formatter("{x:,.0f}")
        axis.grid(alpha=0.3)
        axis.legend()
    figure.savefig(path, dpi=100)
    plt.close(figure)


if __name__ == "__main__":
    app.run(main)
