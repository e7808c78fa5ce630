"""Checking and annotating pictures, chunk by chunk, on many workers.

Each of them decodes the pictures of a chunk, finds their landmarks and writes one file, whole or
not at all. After an interrupt the files that are there are kept and only the rest is computed.
"""

import dataclasses
import io
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from tfac.data.preparing.workers import Workers
from tfac.errors import DataError
from tfac.files import whole_file
from tfac.photos.alignment import CROP_HEIGHT, CROP_WIDTH, apply, cut
from tfac.photos.face_crops import crop_face_in, crop_faces, overlap
from tfac.photos.face_detection import FaceDetector, Rectangle
from tfac.photos.pictures import PHOTO_FORMATS, RECORD_FORMATS, PictureFiles, open_picture
from tfac.progress import progress

CHUNK_SIZE = 256

# Detectors miss small faces, so lower pictures are enlarged to this height.
DETECTION_HEIGHT = 218  # pixels

# A detected rectangle that overlaps where the face lies less (intersection over union) is another.
MIN_OVERLAP = 0.3

DETECTED, ASSUMED, BROKEN, NO_FACE = 0, 1, 2, 3

_NO_FACE_FOUND = (
    "expected a photo with a face, found none. If the pictures are crops of faces already, say so "
    "with faces=whole (or faces=aligned, where they are cropped as CelebA's)"
)


@dataclasses.dataclass(frozen=True)
class Alignment:
    """How the pictures of a data set show their faces, where all do so alike.

    Attributes:
        face: left, top, right and bottom of the face in fractions of width and height.
        aspect: width over height of the pictures as they were aligned; they may be stored
            otherwise.
    """

    face: tuple[float, float, float, float]
    aspect: float


@dataclasses.dataclass(frozen=True, eq=False)
class Chunk:
    """What is known of the N pictures of a chunk.

    Attributes:
        sizes: int32 [N, 2], height and width of each picture in pixels, 0 where broken.
        points: float32 [N, 68, 2], dlib's points in fractions of the picture's width and height
            (some may lie outside [0, 1]); [N, 0, 2] where landmarks were not wanted.
        status: uint8 [N]: DETECTED, ASSUMED (no face was detected; the points were predicted from
            where aligned pictures have theirs), NO_FACE (no face was detected, and it may be
            anywhere; also where none was looked for) or BROKEN (the picture cannot be decoded).
        errors: str [N], why a picture cannot be used, else empty.
        to_crop: float64 [N, 2, 3], where a photo's face is cut out, see `AlignedFace.to_crop`; size
            and points are then those of the crop. [N, 0, 3] where pictures are taken whole.
        num_faces: int32 [N], how many faces a photo shows, 0 where that was not asked.
    """

    sizes: np.ndarray
    points: np.ndarray
    status: np.ndarray
    errors: np.ndarray
    to_crop: np.ndarray
    num_faces: np.ndarray


@dataclasses.dataclass(frozen=True, eq=False)
class AnnotationJob:
    """Annotates the pictures `names` of `pictures` into chunk files in `folder`.

    Attributes:
        pictures: where the pictures are.
        names: which pictures, in the order of the chunks.
        folder: where the chunk files go; one job's own.
        find_landmarks: False only checks that the pictures can be decoded.
        alignment: where the faces are; None where they may be anywhere.
        crops_faces: the pictures are photos, and of each the largest face is cut out, as prediction
            cuts it.
        boxed: the face in a box is cut out in its place, and names are those of `boxed_name`.
        face_detector: name and align_by of the `FaceDetector` to use, where not its defaults.
    """

    pictures: PictureFiles
    names: Sequence[str]
    folder: Path
    find_landmarks: bool = True
    alignment: Alignment | None = None
    crops_faces: bool = False
    boxed: bool = False
    face_detector: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def _photo(self, name: str) -> str:
        return name.rpartition("#")[0] if self.boxed else name

    @property
    def problems(self) -> dict[int, str]:
        """What is wrong with a picture of a status that cannot be used."""
        problems = {BROKEN: "picture that cannot be decoded"}
        return problems | {NO_FACE: "photo without a face"} if self.crops_faces else problems

    def image(self, name: str, chunk: Chunk, i: int) -> bytes:
        """Returns the picture that a record holds, encoded: `name`, which is picture i of `chunk`.

        A crop of a photo is a PNG, so that the network sees the pixels that prediction gives it.
        """
        encoded = self.pictures.read(self._photo(name))
        if not self.crops_faces:
            return encoded
        photo = open_picture(encoded, self.pictures.describe(self._photo(name)))
        stream = io.BytesIO()
        crop = cut(photo, chunk.to_crop[i], (CROP_WIDTH, CROP_HEIGHT))
        Image.fromarray(crop).save(stream, "PNG")
        return stream.getvalue()

    def chunk_names(self) -> list[Sequence[str]]:
        """The names of the pictures of each chunk."""
        starts = range(0, len(self.names), CHUNK_SIZE)
        return [self.names[start : start + CHUNK_SIZE] for start in starts]

    def load(self, index: int) -> Chunk | None:
        """Returns chunk `index`, or None where its file is missing or damaged."""
        path = self._path(index)
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
                return Chunk(**{f.name: arrays[f.name] for f in dataclasses.fields(Chunk)})
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            return None

    def compute(self, index: int, names: Sequence[str], detector: FaceDetector) -> None:
        """Computes the chunk `index` of the pictures `names` and writes its file."""
        chunk = self._annotate(names, detector)
        with whole_file(self._path(index)) as path, path.open("wb") as file:
            np.savez(file, **dataclasses.asdict(chunk))

    def _path(self, index: int) -> Path:
        return self.folder / f"chunk-{index:06d}.npz"

    def _annotate(self, names: Sequence[str], detector: FaceDetector) -> Chunk:
        count = len(names)
        sizes = np.zeros((count, 2), np.int32)
        points = np.full((count, 68 if self.find_landmarks else 0, 2), 0.5, np.float32)
        status = np.full(count, NO_FACE, np.uint8)
        errors = [""] * count
        to_crop = np.zeros((count, 2 if self.crops_faces else 0, 3))
        num_faces = np.zeros(count, np.int32)
        formats = PHOTO_FORMATS if self.crops_faces else RECORD_FORMATS
        for i, name in enumerate(names):
            what = self.pictures.describe(name)
            try:
                encoded = self.pictures.read(self._photo(name))
                picture = open_picture(encoded, what, formats=formats)
            except DataError as error:
                status[i], errors[i] = BROKEN, str(error)
                continue
            sizes[i] = picture.shape[:2]
            if self.crops_faces:
                if self.boxed:
                    box = tuple(map(int, name.rpartition("#")[2].split(",")))
                    face = crop_face_in(picture, detector, box)
                    faces = [face] if face else []
                else:
                    faces = crop_faces(picture, detector)
                if not faces:
                    errors[i] = f"{what}: {_NO_FACE_FOUND}"
                    continue
                status[i], num_faces[i] = DETECTED, len(faces)
                sizes[i], to_crop[i] = (CROP_HEIGHT, CROP_WIDTH), faces[0].aligned.to_crop
                if self.find_landmarks:
                    placed = apply(to_crop[i], faces[0].dlib_landmarks)
                    points[i] = placed / (CROP_WIDTH, CROP_HEIGHT)
            elif self.find_landmarks:
                points[i], status[i] = find_landmarks(picture, detector, self.alignment)
        return Chunk(sizes, points, status, np.array(errors, np.str_), to_crop, num_faces)


def boxed_name(photo: str, box: Rectangle) -> str:
    """Returns the name of the face that a box is drawn round in a photo."""
    return f"{photo}#{','.join(map(str, box))}"


def annotate(job: AnnotationJob, workers: Workers) -> Iterator[tuple[int, Chunk]]:
    """Computes the chunks of `job` that are not there yet, and yields every one with its number.

    Yields:
        A number of `job.chunk_names()` and its `Chunk`: first those that are there, then each as it
        is finished.

    Raises:
        DataError: a worker failed, or a chunk file cannot be written.
    """
    missing: list[tuple[int, list[str]]] = []
    looks = job.find_landmarks or job.crops_faces
    title = "finding faces" if looks else "checking pictures"
    with progress(total=len(job.names), desc=title, unit=" pictures") as bar:
        for index, names in enumerate(job.chunk_names()):
            chunk = job.load(index)
            if chunk is None:
                missing.append((index, list(names)))
            else:
                bar.update(len(names))
                yield index, chunk
        bar.initial = bar.n  # the rate is that of the work done now
        bar.unpause()
        try:
            for number in workers.for_each(
                _compute_chunk,
                missing,
                dataclasses.replace(job, names=()),
                is_done=lambda item: job.load(item[0]) is not None,
            ):
                index, names = missing[number]
                bar.update(len(names))
                yield index, job.load(index)
        except OSError as error:
            raise DataError(f"{job.folder}: landmarks cannot be written: {error}") from error


def _compute_chunk(item: tuple[int, list[str]], job: AnnotationJob) -> None:
    """Computes a chunk that is not there yet; a worker may be given one twice."""
    index, names = item
    # In photos faces are found as prediction finds them; in crops they are large.
    upsample = 1 if job.crops_faces else 0
    if job.load(index) is None:
        job.compute(index, names, FaceDetector(upsample, **job.face_detector))


def find_landmarks(
    picture: np.ndarray, detector: FaceDetector, alignment: Alignment | None = None
) -> tuple[np.ndarray, int]:
    """Returns the landmarks of the face of a picture of any size.

    In an aligned picture that is the face at about its place; where none is detected there, the
    landmarks are predicted from that place. In another it is the largest.

    Args:
        picture: uint8 [H, W, 3], RGB. One lower than DETECTION_HEIGHT is enlarged to that first.
        detector: finds the face and its landmarks.
        alignment: where the face is; None where it may be anywhere.

    Returns:
        float32 [68, 2] in fractions of width and height, and DETECTED, ASSUMED or NO_FACE, of which
        the points are 0.5.
    """
    height, width = picture.shape[:2]
    if height < DETECTION_HEIGHT:
        aspect = alignment.aspect if alignment else width / height
        height, width = DETECTION_HEIGHT, max(1, round(DETECTION_HEIGHT * aspect))
        enlarged = Image.fromarray(picture).resize((width, height), Image.Resampling.BICUBIC)
        picture = np.asarray(enlarged)
    scale = np.array([width, height])
    faces, place = detector.find(picture), None
    if alignment is not None:
        place = tuple(float(side) for side in np.array(alignment.face) * np.tile(scale, 2))
        shared = {overlap(face.rectangle, place): face for face in reversed(faces)}
        faces = [shared[most]] if (most := max(shared, default=0)) >= MIN_OVERLAP else []
    if not faces and place is None:
        return np.full((68, 2), 0.5, np.float32), NO_FACE
    if faces:
        points = detector.landmarks_of(picture, faces[0])  # of the largest
    else:
        points = detector.landmarks(picture, place)
    return (points / scale).astype(np.float32), DETECTED if faces else ASSUMED
