"""How much of what `tfac-predict` answers stays when the same photo is changed and asked again.

    python benchmarks/stability.py --saved_model=saved_models/NAME --photos=PHOTOS [--count=200]

The largest face of each photo is found, aligned and predicted as `tfac-predict` does it, and again
in four changed copies of the photo, made in memory:

- mirrored;
- moved by up to 8 whole pixels each way, its edge pixels repeated;
- scaled by 0.8 to 1.25;
- turned by 5 to 15 degrees to either side, its edge pixels repeated.

Of each kind it says how many answers are others, which share of the faces has any such, and how far
the centres of the eyes, taken back through the known change, are from where they were in the
original, in pixels of the 178x218 crop. A changed copy in which the face is not found any more
counts as lost and is in none of the means. Beside it the time of the processor that finding and
aligning take. Prints, and writes them as Markdown and JSON with --output.
"""

import dataclasses
import json
import math
import os
import time
from collections.abc import Sequence
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from absl import app, flags
from PIL import Image
from reporting import about
from tqdm import tqdm

from tfac.inference.predictor import Predictor
from tfac.photos.alignment import LEFT_EYE, RIGHT_EYE, apply, invert
from tfac.photos.face_crops import FaceCrop, crop_faces
from tfac.photos.face_detection import FaceDetector
from tfac.photos.photo_files import photos_below
from tfac.photos.pictures import open_picture

_SAVED_MODEL = flags.DEFINE_string("saved_model", None, "Exported model, saved_models/NAME.")
_PHOTOS = flags.DEFINE_string("photos", None, "Folder of photos; those below it count too.")
_COUNT = flags.DEFINE_integer("count", 200, "Photos, drawn at random.", 1)
_SEED = flags.DEFINE_integer("seed", 0, "Of the draw and of the changes.")
_OUTPUT = flags.DEFINE_string("output", None, "Where to write, without suffix; by default nowhere.")
flags.mark_flags_as_required(["saved_model", "photos"])

_EYES = np.array([LEFT_EYE, RIGHT_EYE])  # pixels of the crop
_MOST_PIXELS, _SCALES, _DEGREES = 8, (0.8, 1.25), (5, 15)


@dataclasses.dataclass(frozen=True, eq=False)
class Change:
    """A changed photo.

    Attributes:
        picture: uint8 [H, W, 3], RGB.
        to_changed: float64 [2, 3], takes (x, y, 1) in pixels of the photo, whose centres have
            whole coordinates, to pixels of `picture`.
    """

    picture: np.ndarray
    to_changed: np.ndarray


def mirrored(picture: np.ndarray, rng: np.random.Generator) -> Change:
    """Returns the photo mirrored left to right; nothing is drawn."""
    del rng
    return Change(np.flip(picture, axis=1), np.array([[-1, 0, picture.shape[1] - 1], [0, 1, 0]]))


def moved(picture: np.ndarray, rng: np.random.Generator) -> Change:
    """Returns the photo moved by 1 to 8 pixels across and down."""
    right, down = rng.integers(1, _MOST_PIXELS + 1, 2) * rng.choice([-1, 1], 2)
    height, width = picture.shape[:2]
    padded = np.pad(picture, [(_MOST_PIXELS,) * 2, (_MOST_PIXELS,) * 2, (0, 0)], mode="edge")
    top, left = _MOST_PIXELS - down, _MOST_PIXELS - right
    moved_picture = padded[top : top + height, left : left + width]
    return Change(moved_picture, np.array([[1, 0, right], [0, 1, down]]))


def scaled(picture: np.ndarray, rng: np.random.Generator) -> Change:
    """Returns the photo enlarged or shrunk."""
    scale = math.exp(rng.uniform(*np.log(_SCALES)))
    size = [max(1, round(side * scale)) for side in picture.shape[1::-1]]
    resized = Image.fromarray(picture).resize(size, Image.Resampling.LANCZOS)
    across, down = np.divide(size, picture.shape[1::-1])
    return Change(
        np.asarray(resized),
        np.array([[across, 0, (across - 1) / 2], [0, down, (down - 1) / 2]]),
    )


def turned(picture: np.ndarray, rng: np.random.Generator) -> Change:
    """Returns the photo turned about its centre, as large as it was."""
    angle = math.radians(rng.uniform(*_DEGREES)) * rng.choice([-1, 1])
    height, width = picture.shape[:2]
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    centre = np.array([width - 1, height - 1]) / 2
    to_changed = np.column_stack([turn, centre - turn @ centre])
    margin = math.ceil(max(height, width) * math.sin(math.radians(_DEGREES[1]))) + 2
    padded = np.pad(picture, [(margin, margin), (margin, margin), (0, 0)], mode="edge")
    # Pillow gives edges, not centres, whole coordinates.
    backwards = invert(to_changed)
    backwards[:, 2] += 0.5 - backwards[:, :2] @ (0.5, 0.5) + margin
    turned_picture = Image.fromarray(padded).transform(
        (width, height),
        Image.Transform.AFFINE,
        backwards.ravel().tolist(),
        resample=Image.Resampling.BICUBIC,
    )
    return Change(np.asarray(turned_picture), to_changed)


_CHANGES = (mirrored, moved, scaled, turned)


def main(argv: Sequence[str]) -> None:
    """Measures, prints and writes."""
    if len(argv) > 1:
        raise app.UsageError(f"expected flags only. Received: {' '.join(argv[1:])}")
    predictor = Predictor(_SAVED_MODEL.value)
    detector = FaceDetector(upsample=1)  # as tfac-predict
    paths = _photos(Path(_PHOTOS.value))
    originals, copies, shifts = [], [], []  # a row a face: crops, and of each kind crops and pixels
    seconds, num_found = 0.0, 0
    for path in tqdm(paths, unit=" photos", dynamic_ncols=True, disable=None):
        picture = open_picture(path)
        start = time.process_time()
        crops = crop_faces(picture, detector)
        seconds += time.process_time() - start
        num_found += len(crops)
        if crops:
            rng = np.random.default_rng([_SEED.value, len(originals)])
            found = [_find_again(crops[0], change(picture, rng), detector) for change in _CHANGES]
            originals.append(crops[0].image)
            copies.append([crop for crop, _ in found])
            shifts.append([pixels for _, pixels in found])
    if not originals:
        raise app.UsageError(f"expected faces in the photos. Received: none in {len(paths)}")
    rows = _rows(predictor, originals, copies, np.array(shifts))
    described = {
        **about(["dlib-bin", "numpy", "pillow", "tensorflow"]),
        "seed": _SEED.value,
        "photos": len(paths),
        "faces": len(originals),
        "attributes": len(predictor.attributes),
        "finding_and_aligning_ms": 1e3 * seconds / max(1, num_found),
    }
    print(_text(rows, described))
    if _OUTPUT.value:
        Path(f"{_OUTPUT.value}.json").write_text(json.dumps({**described, "rows": rows}, indent=1))
        Path(f"{_OUTPUT.value}.md").write_text(_text(rows, described) + "\n")


def _photos(folder: Path) -> list[Path]:
    paths, _ = photos_below(folder)
    if not paths:
        raise app.UsageError(f"expected photos below --photos. Received: {folder}")
    chosen = np.random.default_rng(_SEED.value).permutation(len(paths))[: _COUNT.value]
    return [paths[index] for index in chosen]


def _find_again(
    original: FaceCrop, change: Change, detector: FaceDetector
) -> tuple[np.ndarray | None, float]:
    """Returns the face's crop from the changed photo and how far its eyes are from where they were.

    The crop is None, the distance NaN, where no face is found within half the eyes' distance.
    """
    is_mirrored = np.linalg.det(change.to_changed[:, :2]) < 0
    nearest, pixels = None, np.linalg.norm(_EYES[1] - _EYES[0]) / 2
    for crop in crop_faces(change.picture, detector):
        eyes = apply(invert(change.to_changed), apply(invert(crop.aligned.to_crop), _EYES))
        eyes = eyes[::-1] if is_mirrored else eyes
        apart = apply(original.aligned.to_crop, eyes) - _EYES
        distance = np.linalg.norm(apart, axis=-1).mean()
        if distance < pixels:
            nearest, pixels = crop.image, distance
    return nearest, math.nan if nearest is None else pixels


def _rows(
    predictor: Predictor,
    originals: Sequence[np.ndarray],
    copies: Sequence[Sequence[np.ndarray | None]],
    shifts: np.ndarray,
) -> list[dict]:
    """Returns what came of each kind of change; `shifts` is [faces, kinds]."""
    before = _answers(predictor, originals)
    rows = []
    for kind, change in enumerate(_CHANGES):
        kept = np.flatnonzero(np.isfinite(shifts[:, kind]))
        after = _answers(predictor, [copies[face][kind] for face in kept])
        changed = (before[kept] != after).sum(axis=1)  # [faces]
        rows.append(
            {
                "change": change.__name__,
                "faces": len(kept),
                "lost": len(originals) - len(kept),
                "changed_answers": changed.mean(),
                "standard_error": changed.std() / math.sqrt(len(kept)),
                "faces_changed": (changed > 0).mean(),
                "eye_shift": shifts[kept, kind].mean(),
                "eye_shift_90_percent": np.quantile(shifts[kept, kind], 0.9),
            }
        )
    return rows


def _answers(predictor: Predictor, crops: Sequence[np.ndarray]) -> np.ndarray:
    """Returns the predictions, bool [B, A]."""
    return np.array([list(answer.predictions.values()) for answer in predictor(crops)])


def _text(rows: Sequence[dict], described: dict) -> str:
    lines = [
        f"| change | changed answers of {described['attributes']} | faces with any "
        "| eyes moved, crop px | 90 % below | lost |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        cells = [
            row["change"],
            f"{row['changed_answers']:.2f} ± {row['standard_error']:.2f}",
            f"{row['faces_changed']:.0%}",
            f"{row['eye_shift']:.3f}",
            f"{row['eye_shift_90_percent']:.2f}",
            row["lost"],
        ]
        lines.append(f"| {' | '.join(map(str, cells))} |")
    lines.append(
        f"\n{described['faces']} faces in {described['photos']} photos; finding and aligning a "
        f"face: {described['finding_and_aligning_ms']:.0f} ms of the processor"
    )
    return "\n".join(lines)


if __name__ == "__main__":
    app.run(main)
