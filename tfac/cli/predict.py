"""tfac-predict: says which attributes the faces in photos show.

Examples:
    tfac-predict --saved_model=saved_models/dmm_cnn holiday.jpg family/
    tfac-predict --saved_model=saved_models/dmm_cnn --format=json --draw_dir=drawn *.jpg
    tfac-predict --saved_model=saved_models/dmm_cnn --format=csv --output=faces.csv photos/
    tfac-predict --server=http://127.0.0.1:8501 --model=dmm_cnn holiday.jpg

Faces are found on this machine; a --server gets their crops alone.

Photos are JPEG, PNG, WebP, AVIF, GIF, BMP and TIFF, and HEIC with pip install 'tfac[heic]'. A
folder is gone through with those below it, but for hidden files; a pattern such as '*.jpg' that the
shell has left is expanded. Of an animation or several pages the first is taken.

A photo that cannot be read or shows no face is named and the others go on; the exit status is then
1, and 0 when every photo showed a face.
"""

import collections
import contextlib
import csv
import dataclasses
import functools
import glob
import io
import json
import os
import re
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from absl import flags

from tfac.cli import import_tensorflow_quietly, run_program
from tfac.errors import ConfigError, DataError
from tfac.progress import progress

if TYPE_CHECKING:
    from tfac.inference.predictor import Predictor
    from tfac.photos.face_detection import FaceDetector
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
    ("table", "json", "csv", "parquet"),
    "table: the attributes that each face shows; json: one JSON object a line for each photo, with "
    "every attribute; csv and parquet: a row for each face, with the photo, left, top, right and "
    "bottom in pixels, and of each attribute whether it is shown and its probability",
)
_OUTPUT = flags.DEFINE_string(
    "output",
    None,
    "file to write to; by default to the standard output, which parquet cannot. With json, photos "
    "that the file has already are left out, and it goes on; those that could not be read are "
    "tried again",
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
    "times a photo is doubled in size for the search; each step takes four times as long. Half of "
    "the faces are found that are 40, 20 and 11 pixels wide at 0, 1 and 2 in the photo as it is "
    "searched (52, 27 and 15 with dlib)",
    0,
    3,
)
_SEARCH_SIZE = flags.DEFINE_integer(
    "search_size",
    None,
    "longer side that larger photos are shrunk to for the search, pixels; by default 2400, and "
    "1600 for dlib",
    64,
)
_DETECTOR = flags.DEFINE_enum(
    "detector",
    None,
    ("mtcnn", "dlib"),
    "what finds the faces; by default what the model's training data was prepared with",
)
_ALIGN_BY = flags.DEFINE_enum(
    "align_by",
    None,
    ("dlib", "points"),
    "what faces are turned upright by: dlib's 68 landmarks, whose licence excludes commercial use, "
    "or the detector's five points; by default as for --detector",
)
_BATCH_SIZE = flags.DEFINE_integer("batch_size", 32, "faces to predict at once", 1)
flags.mark_flags_as_mutual_exclusive(["saved_model", "server"], required=True)

_ROW_GROUP = 2048  # rows of Parquet that are written at once


@dataclasses.dataclass(frozen=True)
class Photo:
    """A photo that was looked at.

    Attributes:
        path: its file, or what was given instead of one.
        size: width and height upright, pixels; None where it could not be read.
        error: why it could not be read, else empty.
        searched: the most that its longer side had in the search, and the width of the smallest
            face looked for there, pixels; None where no face was looked for.
    """

    path: str | Path
    size: tuple[int, int] | None = None
    error: str = ""
    searched: tuple[int, float] | None = None


def main(argv: Sequence[str]) -> int:
    """Predicts; returns 0 if every photo showed a face, else 1."""
    photos = list(find_photos(argv[1:]))
    if not photos:
        raise ConfigError("expected photos or folders of photos after the flags. Received: none")
    if (_SERVER.value is None) != (_MODEL.value is None):
        raise ConfigError("expected --server and --model together. Received: one of them")
    if _FORMAT.value == "parquet" and not _OUTPUT.value:
        raise ConfigError("expected --output=FILE with --format=parquet. Received: none")

    from tqdm import tqdm

    num_faces, problems, drawings = 0, 0, []
    with _open_output(photos) as output:
        photos = [photo for photo in photos if str(photo.path) not in output.known]
        for photo, faces in _predicted(photos, output):
            num_faces += len(faces)
            reason = photo.error or ("" if faces else f"{photo.path}: {_no_face(photo)}")
            if reason:
                problems += 1
                tqdm.write(f"error: {reason}", file=sys.stderr)
            output.add(photo, faces)
            if _DRAW_DIR.value and not photo.error:
                drawings.append(_draw(photo, faces, Path(_DRAW_DIR.value), taken=drawings))
    print(_summary(len(photos), num_faces, problems, drawings, len(output.known)), file=sys.stderr)
    return 1 if problems else 0


def _predicted(photos: Sequence[Photo], output: "Output") -> Iterator[tuple[Photo, Sequence]]:
    """Yields each photo with its faces; the model is opened if there is one to look at."""
    if all(photo.error for photo in photos):
        yield from ((photo, []) for photo in photos)
        return

    from tfac.inference.photo_prediction import predict_crops
    from tfac.photos.face_crops import takes_whole
    from tfac.photos.face_detection import detector_for

    predictor, metadata = _open_predictor() if _SERVER.value is None else _open_client()
    cuts = metadata["threshold_probabilities"]
    output.start(dict(zip(metadata["attributes"], cuts, strict=True)))
    whole = takes_whole(metadata, _ALIGNED.value)
    if whole and _ALIGNED.value is None:
        print("The model was trained on whole pictures: no faces are looked for", file=sys.stderr)
    # Where nobody watches, short work has no progress to tell.
    delay = 0 if sys.stderr.isatty() else 30
    detector = None
    if not whole:
        detector = detector_for(metadata, _UPSAMPLE.value, _DETECTOR.value, _ALIGN_BY.value)
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        look = functools.partial(_look, detector=detector)
        looked_at = _in_order(threads, look, photos, ahead=os.cpu_count())
        looked_at = progress(looked_at, total=len(photos), unit=" photos", delay=delay)
        yield from predict_crops(looked_at, predictor)


def _in_order(
    threads: ThreadPoolExecutor, function: Callable, items: Iterable, ahead: int
) -> Iterator:
    """Yields what a function says of items, in their order; so many more are begun meanwhile."""
    begun = collections.deque()
    for item in items:
        begun.append(threads.submit(function, item))
        if len(begun) > ahead:
            yield begun.popleft().result()
    while begun:
        yield begun.popleft().result()


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


def find_photos(arguments: Sequence[str]) -> Iterator[Photo]:
    """Yields the photos that arguments stand for; what was passed over in a folder is printed.

    Args:
        arguments: files, folders, and patterns of their names that the shell did not expand.

    Yields:
        Each photo; with an error what is no file, such as a URL.
    """
    for argument in arguments:
        if re.match(r"\w+://", argument):
            yield Photo(
                argument,
                error=f"{argument}: expected a file or a folder. Received: a URL; nothing is "
                "loaded from the network, save the photo and give its file",
            )
            continue
        path = Path(argument)
        exists = os.path.exists(argument)
        matches = [path] if exists else sorted(glob.glob(argument, recursive=True))
        if matches:
            for match in map(Path, matches):
                yield from _photos_in(match) if match.is_dir() else [Photo(match)]
        elif glob.has_magic(argument):
            yield Photo(path, error=f"{argument}: expected photos. Received: no file of this form")
        else:
            yield Photo(path, error=f"{argument}: the file is missing")


def _photos_in(folder: Path) -> Iterator[Photo]:
    from tfac.photos.photo_files import photos_below
    from tfac.photos.pictures import PHOTO_SUFFIXES

    photos, passed_over = photos_below(folder)
    counts = ", ".join(f"{number} {kind}" for kind, number in sorted(passed_over.items()))
    if photos and counts:
        print(f"{folder}: passed over {counts}", file=sys.stderr)
    yield from map(Photo, photos)
    if not photos:
        expected = f"expected photos ({', '.join(PHOTO_SUFFIXES)}) in the folder"
        yield Photo(folder, error=f"{folder}: {expected}. Received: {counts or 'nothing'}")


def _look(photo: Photo, detector: "FaceDetector | None"):
    """Returns the photo and the crops of its faces."""
    from tfac.photos.face_crops import faces_of
    from tfac.photos.pictures import open_photo

    if photo.error:
        return photo, []
    try:
        search_size = detector and (_SEARCH_SIZE.value or detector.search_size)
        opened = open_photo(photo.path, search_size=search_size)
    except DataError as error:
        return Photo(photo.path, error=str(error)), []
    if opened.has_pages:
        from tqdm import tqdm

        tqdm.write(f"{photo.path}: of its pages the first is taken", file=sys.stderr)
    crops = faces_of(opened, detector, _SEARCH_SIZE.value)
    size = tuple(round(side * opened.scale) for side in opened.image.shape[1::-1])
    searched = None
    if detector is not None:
        searched = (search_size, detector.smallest_face)
    return Photo(photo.path, size=size, searched=searched), crops


class Output:
    """Where answers go, in the --format.

    Args:
        file: open for writing; None is the standard output.
        known: the photos that it has already.
    """

    def __init__(self, file: IO | None = None, known: Collection[str] = ()):
        self._file, self.known = file, known
        self._thresholds: dict[str, float] = {}
        self._rows: list[dict] = []  # of Parquet, that wait for a full group
        self._table = None

    def start(self, thresholds: dict[str, float]) -> None:
        """Takes each attribute's probability above which it is predicted."""
        from tfac.inference.photo_prediction import row_schema

        self._thresholds = thresholds
        if _FORMAT.value == "csv":
            self._write(_csv_line(row_schema(tuple(thresholds)).names))

    def add(self, photo: Photo, faces: Sequence) -> None:
        """Writes what was found in a photo."""
        from tfac.inference.photo_prediction import face_row

        rows = [face_row(str(photo.path), face) for face in faces]
        if _FORMAT.value == "json":
            self._write(json.dumps(as_json(photo, faces)))
        elif _FORMAT.value == "parquet":
            self._rows += rows
            if len(self._rows) >= _ROW_GROUP:
                self._write_rows()
        elif _FORMAT.value == "csv":
            for row in rows:
                values = (round(v, 4) if isinstance(v, float) else v for v in row.values())
                self._write(_csv_line(values))
        elif faces:
            self._write(as_table(photo, faces, self._thresholds))

    def finish(self) -> None:
        """Writes what waits, and the end of a file that has one."""
        if _FORMAT.value == "parquet":
            if self._rows or self._table is None:
                self._write_rows()
            self._table.close()

    def _write_rows(self) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        from tfac.inference.photo_prediction import row_schema

        schema = row_schema(tuple(self._thresholds))
        self._table = self._table or pq.ParquetWriter(self._file, schema)
        self._table.write_table(pa.Table.from_pylist(self._rows, schema))
        self._rows.clear()

    def _write(self, text: str) -> None:
        from tqdm import tqdm

        if self._file is None:
            tqdm.write(text)
        else:
            print(text, file=self._file, flush=True)


@contextlib.contextmanager
def _open_output(photos: Sequence[Photo]) -> Iterator[Output]:
    """Yields where answers go; a file of JSON lines goes on, another appears when it is whole."""
    from tfac.files import whole_file

    path = _OUTPUT.value
    if path is None:
        yield Output()
        return
    with contextlib.ExitStack() as stack:
        try:
            known, mode = (), "wb" if _FORMAT.value == "parquet" else "w"
            if _FORMAT.value == "json":
                known, mode = _known_photos(Path(path), photos), "a"
            else:
                path = stack.enter_context(whole_file(path))
            encoding = None if mode == "wb" else "utf-8"
            output = Output(stack.enter_context(open(path, mode, encoding=encoding)), known)
        except OSError as error:
            raise ConfigError(f"--output: {_OUTPUT.value} cannot be written: {error}") from error
        yield output
        output.finish()


def _known_photos(path: Path, asked: Sequence[Photo]) -> set[str]:
    """Returns the photos that a file of JSON lines answers, and need not be looked at.

    The file is rid of a line that was cut off, and of the errors of photos that are asked about
    again.
    """
    from tfac.files import whole_file

    known: set[str] = set()
    if not path.exists():
        return known
    again = {str(photo.path) for photo in asked}
    with whole_file(path) as aside, path.open("rb") as lines, open(aside, "wb") as kept:
        for line in lines:
            if not line.endswith(b"\n") and line.startswith(b'{"photo"'):
                break
            try:
                said = json.loads(line)
                photo, is_error = said["photo"], "error" in said
            except (ValueError, KeyError, TypeError) as error:
                raise ConfigError(
                    f"--output: expected lines of --format=json in {path}. Received: others"
                ) from error
            if not is_error:
                known.add(photo)
            if not is_error or photo not in again:
                kept.write(line)
    return known


def _csv_line(values: Iterable) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(values)
    return line.getvalue()


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
    from tfac.inference.photo_prediction import draw_found
    from tfac.photos.pictures import open_photo

    picture = draw_found(open_photo(photo.path), faces)
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


def _summary(
    num_photos: int, num_faces: int, problems: int, drawings: Sequence[Path], known: int
) -> str:
    text = f"{_count(num_photos, 'photo')}, {_count(num_faces, 'face')}"
    if problems:
        text += f"; {_count(problems, 'photo')} unreadable or without a face"
    if known:
        text += f"; {_count(known, 'photo')} in {_OUTPUT.value} before"
    if drawings:
        text += f"\nWrote {_count(len(drawings), 'drawing')} to {_DRAW_DIR.value}"
    return text


def _no_face(photo: Photo) -> str:
    """Returns that no face was found, how it was looked for, and which options help."""
    if photo.searched is None:
        return "no face found"
    helps = [f"--upsample={_UPSAMPLE.value + 1} for smaller ones"] if _UPSAMPLE.value < 3 else []
    if max(photo.size) > photo.searched[0]:
        helps.append(f"--search_size={max(photo.size)} to search the photo at its size")
    helps.append("another --detector, or --aligned if it is a face crop already")
    size, smallest = photo.searched
    return (
        f"no face found of about {smallest:.0f} pixels or more, upright or turned by quarters, "
        f"with the longer side at {min(size, max(photo.size))} pixels; try {', '.join(helps)}"
    )


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}" + ("" if number == 1 else "s")


run = functools.partial(run_program, main)

if __name__ == "__main__":
    run()
