"""Measures what resizing a picture takes beside it, for pictures of the most unlike shapes.

Each shape is resized in a process of its own, whose peak of memory is taken; what a tiny picture
takes there is not counted. "times" is of the picture's bytes, 3 a pixel, without the result's.

    python benchmarks/picture_memory.py --output=benchmarks/results/picture_memory.json
"""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
from absl import app, flags
from reporting import about

from tfac.photos.preprocessing import MAX_PIXELS, MAX_SIDE

_IMAGE_SIZES = flags.DEFINE_multi_integer("image_size", [64, 224], "height and width wanted", 1)
_OUTPUT = flags.DEFINE_string("output", None, "file for the figures, JSON")

_SHORT = (1, 20, 56, 63, 65, 223, 225, 381)  # sides, pixels
_FLOAT = 4  # bytes; the result, before it is rounded
_CHILD = """
import sys
import numpy as np, tensorflow as tf
from tfac.photos.preprocessing import resize_picture
height, width, size = map(int, sys.argv[1:])
resize = tf.function(lambda picture: resize_picture(picture, (size, size)))
signature = resize.get_concrete_function(tf.TensorSpec((None, None, 3), tf.uint8))
def kilobytes(name):
    lines = open("/proc/self/status").read().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name))
for shape in ((2, 3), (300, 9), (9, 300), (300, 300)):
    signature(tf.zeros((*shape, 3), tf.uint8))
picture = tf.constant(np.ones((height, width, 3), np.uint8))
open("/proc/self/clear_refs", "w").write("5")
before = kilobytes("VmRSS")
signature(picture)
print(1024 * (kilobytes("VmHWM") - before))
"""


def main(argv: Sequence[str]) -> None:
    """Runs it and prints."""
    del argv
    figures = about(["tensorflow"]) | {"rows": []}
    print("| wanted | height | width | MB | MB beside it | times |\n|---|---|---|---|---|---|")
    for size in _IMAGE_SIZES.value:
        shapes = [(short, MAX_SIDE) for short in _SHORT]
        shapes += [shape[::-1] for shape in shapes] + [(int(MAX_PIXELS**0.5),) * 2]
        for height, width in shapes:
            if height * width > MAX_PIXELS:
                continue
            command = [sys.executable, "-c", _CHILD, *map(str, (height, width, size))]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            beside, picture = int(done.stdout) - _FLOAT * 3 * size**2, 3 * height * width
            row = (size, height, width, picture / 1e6, beside / 1e6, beside / picture)
            figures["rows"].append(row)
            print(
                f"| {size} | {height} | {width} | "
                + " | ".join(f"{x:.1f}" for x in row[3:])
                + " |",
                flush=True,
            )
    print(f"\nAt most {np.max(figures['rows'], axis=0)[-1]:.1f} times.")
    if _OUTPUT.value:
        Path(_OUTPUT.value).write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    app.run(main)
