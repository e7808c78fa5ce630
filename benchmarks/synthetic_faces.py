"""How many synthetic faces one core makes a second, from the seed to the JPEG file.

python benchmarks/synthetic_faces.py [--image_size=128] [--faces=500] [--repeats=7]

Everything is counted: drawing the attributes, the picture and its landmarks, encoding. The process
is held to one core. Prints the rate by wall clock (what a user waits for) and by processor time
(what it costs where other programs share the core): best, median and worst of the repeats.
"""

import os
import statistics
import time
from collections.abc import Callable

import cv2
from absl import app, flags

from tfac.data.synthetic.faces import SyntheticFacesConfig, make_example

_IMAGE_SIZE = flags.DEFINE_integer("image_size", 128, "Side of the pictures, pixels.", 32, 1024)
_FACES = flags.DEFINE_integer("faces", 500, "Faces in each repeat.", 1)
_REPEATS = flags.DEFINE_integer("repeats", 7, "How often to measure.", 1)


def main(argv: list[str]) -> None:
    """Measures and prints."""
    if len(argv) > 1:
        raise app.UsageError(f"expected flags only. Received: {' '.join(argv[1:])}")
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    cv2.setNumThreads(1)
    config = SyntheticFacesConfig(image_size=_IMAGE_SIZE.value)
    for number in range(20):
        make_example(config, "test", number)
    repeats = [_measure(config) for _ in range(_REPEATS.value)]
    size = _IMAGE_SIZE.value
    print(f"faces a second on one core, {size}x{size}, {_REPEATS.value} x {_FACES.value} faces")
    for name, rates in zip(("wall clock", "processor"), zip(*repeats, strict=True), strict=True):
        print(
            f"{name:12s} best {max(rates):6.0f}   median {statistics.median(rates):6.0f}   "
            f"worst {min(rates):6.0f}"
        )


def _measure(config: SyntheticFacesConfig) -> tuple[float, float]:
    """Returns faces a second by wall clock and by processor time."""
    clocks: tuple[Callable[[], float], ...] = (time.perf_counter, time.process_time)
    starts = [clock() for clock in clocks]
    for number in range(_FACES.value):
        make_example(config, "train", number)
    wall, processor = (clock() - start for clock, start in zip(clocks, starts, strict=True))
    return _FACES.value / wall, _FACES.value / processor


if __name__ == "__main__":
    app.run(main)
