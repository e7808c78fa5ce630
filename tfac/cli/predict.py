"""tfac-predict: says which attributes the faces in photos show.

Examples:
    tfac-predict --saved_model=saved_models/dmm_cnn holiday.jpg family/
    tfac-predict --saved_model=saved_models/dmm_cnn --format=json --draw_dir=drawn *.jpg
    tfac-predict --server=http://127.0.0.1:8501 --model=dmm_cnn holiday.jpg

Faces are found on this machine; a --server gets their crops alone.

A photo that cannot be read or shows no face is named and the others go on; the exit status is then
1, and 0 when every photo showed a face.
"""

import dataclasses
import functools
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from absl import flags

from tfac.cli import import_tensorflow_quietly, run_program
from tfac.errors import ConfigError, DataError
from tfac.progress import progress

if TYPE_CHECKING:
    from tfac.inference.predictor import Predictor
    from tfac.serving import Client

_SAVED_MODEL = flags.DEFINE_string(
    "saved_model",
    None,
    "exported model: saved_models/NAME (its latest version is taken) or saved_models/NAME/VERSION",
)
_SERVER = flags.DEFINE_string(
    "server",
    None,
    "instead of --saved_model, the server that has the model, TensorFlow Serving or tfac-serve: "
    "HOST:PORT for gRPC, http://HOST:PORT for REST, which starts faster; with TLS "
    "grpcs://HOST:PORT or https://HOST:PORT",
)
_MODEL = flags.DEFINE_string("model", None, "name of the model on the --server")
_FORMAT = flags.DEFINE_enum(
    "format",
    "table",
    ("table", "json"),
    "what to print: a table of the attributes that each face shows, or one JSON object a line for "
    "each photo, with every attribute",
)
_DRAW_DIR = flags.DEFINE_string(
    "draw_dir", None, "folder to write each photo to with boxes, landmarks and attributes drawn"
)
_ALIGNED = flags.DEFINE_bool(
    "aligned",
    None,
    "the photos are face crops like the training data: predict them as they are; by default as the "
    "model was trained, see --faces of tfac-prepare",
)
_UPSAMPLE = flags.DEFINE_integer(
    "upsample",
    1,
    "times a photo is doubled in size for the search: faces of 80 pixels are found at 0, 40 at 1, "
    "20 at 2; each step takes four times as long",
    0,
    3,
)
_SEARCH_SIZE = flags.DEFINE_integer(
    "search_size", 1600, "longer side that larger photos are shrunk to for the search, pixels", 64
)
_BATCH_SIZE = flags.DEFINE_integer("batch_size", 32, "faces to predict at once", 1)
flags.mark_flags_as_mutual_exclusive(["saved_model", "server"], required=True)

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff")


@dataclasses.dataclass(frozen=True)
class Photo:
    """A photo that was looked at.

    Attributes:
        path: its file.
        size: width and height upright, pixels; None where it could not be read.
        error: why it could not be read, else empty.
    """

    path: Path
    size: tuple[int, int] | None = None
    error: str = ""


def main(argv: Sequence[str]) -> int:
    """Predicts; returns 0 if every photo showed a face, else 1."""
    paths = list(photo_paths(argv[1:]))
    if not paths:
        raise ConfigError("expected photos or folders of photos after the flags. Received: none")
    if (_SERVER.value is None) != (_MODEL.value is None):
        raise ConfigError("expected --server and --model together. Received: one of them")

    from tqdm import tqdm

    from tfac.inference.photo_prediction import predict_crops
    from tfac.photos.face_crops import takes_whole

    predictor, metadata = _open_predictor() if _SERVER.value is None else _open_client()
    cuts = metadata["threshold_probabilities"]
    thresholds = dict(zip(metadata["attributes"], cuts, strict=True))
    whole = takes_whole(metadata, _ALIGNED.value)
    if whole and _ALIGNED.value is None:
        print("The model was trained on whole pictures: no faces are looked for", file=sys.stderr)
    # No bar where nobody watches: the standard error stream is then a file or a pipe.
    looked_at = (_look(path, whole) for path in progress(paths, unit=" photos", disable=None))
    num_faces, problems, drawings = 0, 0, []
    for photo, faces in predict_crops(looked_at, predictor):
        num_faces += len(faces)
        reason = photo.error or ("" if faces else f"{photo.path}: no face found")
        if reason:
            problems += 1
            tqdm.write(f"error: {reason}", file=sys.stderr)
        if _FORMAT.value == "json":
            tqdm.write(json.dumps(as_json(photo, faces)))
        elif faces:
            tqdm.write(as_table(photo, faces, thresholds))
        if _DRAW_DIR.value and not photo.error:
            drawings.append(_draw(photo, faces, Path(_DRAW_DIR.value), taken=drawings))
    print(_summary(len(paths), num_faces, problems, drawings), file=sys.stderr)
    return 1 if problems else 0


def _open_predictor() -> tuple["Predictor", Mapping[str, Any]]:
    """Returns the exported model and its metadata."""
    import_tensorflow_quietly()

    from tfac.inference.predictor import Predictor

    predictor = Predictor(_SAVED_MODEL.value, batch_size=_BATCH_SIZE.value)
    return predictor, predictor.metadata


def _open_client() -> tuple["Client", Mapping[str, Any]]:
    """Returns a client of the server and the model's metadata."""
    if not _SERVER.value.startswith(("http://", "https://")):
        import_tensorflow_quietly()  # by gRPC's stubs

    from tfac.serving import Client

    client = Client(_SERVER.value, _MODEL.value, batch_size=_BATCH_SIZE.value)
    return client, client.metadata()


def photo_paths(arguments: Sequence[str]) -> Iterator[Path]:
    """Yields the files named, and of each folder named the pictures that it holds, by name."""
    for argument in arguments:
        path = Path(argument)
        if path.is_dir():
            inside = [file for file in sorted(path.iterdir()) if file.suffix.lower() in SUFFIXES]
            if not inside:
                raise ConfigError(f"expected pictures ({', '.join(SUFFIXES)}) in the folder {path}")
            yield from inside
        else:
            yield path


@functools.cache
def _detector():
    from tfac.photos.face_detection import FaceDetector

    return FaceDetector(_UPSAMPLE.value)


def _look(path: Path, whole: bool):
    """Returns the photo and the crops of its faces."""
    from tfac.photos.face_crops import crop_faces, whole_crop
    from tfac.photos.pictures import open_picture

    try:
        picture = open_picture(path)
    except DataError as error:
        return Photo(path, error=str(error)), []
    if whole:
        crops = [whole_crop(picture)]
    else:
        crops = crop_faces(picture, _detector(), _SEARCH_SIZE.value)
    return Photo(path, size=picture.shape[1::-1]), crops


def as_json(photo: Photo, faces: Sequence) -> dict:
    """Returns what one line of ``--format=json`` says: rectangles and landmarks in pixels."""
    from tfac.inference.photo_prediction import faces_as_json

    if photo.error:
        return {"photo": str(photo.path), "error": photo.error}
    return {
        "photo": str(photo.path),
        "width": photo.size[0],
        "height": photo.size[1],
        "faces": faces_as_json(faces),
    }


def as_table(photo: Photo, faces: Sequence, thresholds: dict[str, float]) -> str:
    """Returns a table of the attributes that each face of a photo shows.

    Args:
        photo: where the faces are.
        faces: `tfac.inference.photo_prediction.FoundFace`, at least one.
        thresholds: attribute name to the probability above which it is predicted.
    """
    width = max(map(len, thresholds))
    lines = [f"{photo.path}: {_count(len(faces), 'face')}"]
    for number, face in enumerate(faces, start=1):
        left, top, right, bottom = face.rectangle
        lines.append(f"  face {number}: {right - left}x{bottom - top} pixels at ({left}, {top})")
        lines.append(f"    {'attribute':{width}}  probability  threshold")
        for name in face.prediction.shown:
            probability = face.prediction.probabilities[name]
            lines.append(f"    {name:{width}}  {probability:11.1%}  {thresholds[name]:9.1%}")
        if not face.prediction.shown:
            lines.append("    none")
    return "\n".join(lines)


def _draw(photo: Photo, faces: Sequence, folder: Path, taken: Sequence[Path]) -> Path:
    """Writes the photo with its faces drawn, under a name that is not `taken` in this run."""
    from PIL import Image

    from tfac.files import whole_file
    from tfac.photos.drawing import DrawnFace, draw_faces
    from tfac.photos.pictures import open_picture

    drawn = [
        DrawnFace(
            face.rectangle,
            face.landmarks,
            [
                f"{face.prediction.probabilities[name]:4.0%}  {name.replace('_', ' ')}"
                for name in face.prediction.shown
            ],
        )
        for face in faces
    ]
    picture = draw_faces(open_picture(photo.path), drawn)
    path, number = folder / f"{photo.path.stem}.jpg", 1
    while path in taken:
        number += 1
        path = folder / f"{photo.path.stem}-{number}.jpg"
    try:
        with whole_file(path) as aside:
            Image.fromarray(picture).save(aside, quality=92)
    except OSError as error:
        raise ConfigError(f"--draw_dir: {path} cannot be written: {error}") from error
    return path


def _summary(num_photos: int, num_faces: int, problems: int, drawings: Sequence[Path]) -> str:
    text = f"{_count(num_photos, 'photo')}, {_count(num_faces, 'face')}"
    if problems:
        text += f"; {_count(problems, 'photo')} unreadable or without a face"
    if drawings:
        text += f"\nWrote {_count(len(drawings), 'drawing')} to {_DRAW_DIR.value}"
    return text


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}" + ("" if number == 1 else "s")


run = functools.partial(run_program, main)

if __name__ == "__main__":
    run()
