"""The embedded data set: drawn faces that show all 40 attributes, with exact landmarks.

Every face follows from (seed, split, identity, index of the picture) alone, so any of them can be
drawn again without the others. Pictures of one identity share bone structure, hair and beard;
expression, pose, light, make-up and accessories change. Identities never cross splits.
"""

import dataclasses
import functools
import io
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from tfac.attributes import ATTRIBUTES
from tfac.data.preparing.workers import Processes, Workers
from tfac.data.preparing.writing import (
    DataSet,
    Shard,
    shard_bounds,
    shuffled,
    write_data_set,
)
from tfac.data.synthetic.drawing import draw_face
from tfac.data.synthetic.sampling import Face, add_label_noise, sample_face
from tfac.errors import ConfigError
from tfac.files import only_writer, whole_file
from tfac.landmarks import DLIB_72

PICTURES_PER_IDENTITY = 4
_VERSION = "1.0.0"
_JPEG_QUALITY = 92
_SIZES = (32, 1024)
_LABEL_NOISE_STREAM = 1


@dataclasses.dataclass(frozen=True, kw_only=True)
class SyntheticFacesConfig:
    """What to draw.

    Attributes:
        image_size: side of the square pictures, pixels, 32 to 1024.
        train_count: pictures in the split `train`, at least 1; likewise the other two.
        validation_count: pictures in the split `validation`.
        test_count: pictures in the split `test`.
        seed: of everything drawn, at least 0.
        label_noise: probability in [0, 0.5) that a subjective label is flipped; the picture is not.

    Raises:
        ConfigError: a setting is out of its range.
    """

    image_size: int = 128
    train_count: int = 6000
    validation_count: int = 1000
    test_count: int = 1000
    seed: int = 0
    label_noise: float = 0.0

    def __post_init__(self) -> None:
        """Checks the settings."""
        low, high = _SIZES
        if not low <= self.image_size <= high:
            raise ConfigError(f"image_size: expected {low} to {high}. Received: {self.image_size}")
        for split, count in self.counts().items():
            if count < 1:
                raise ConfigError(f"{split}_count: expected at least 1. Received: {count}")
        if self.seed < 0:
            raise ConfigError(f"seed: expected at least 0. Received: {self.seed}")
        if not 0 <= self.label_noise < 0.5:
            raise ConfigError(
                f"label_noise: expected at least 0 and below 0.5. Received: {self.label_noise}"
            )

    @property
    def name(self) -> str:
        """Every setting spelt out."""
        counts = "-".join(map(str, self.counts().values()))
        noise = f"-noise{self.label_noise:g}" if self.label_noise else ""
        return f"{self.image_size}px-{counts}-seed{self.seed}{noise}"

    def counts(self) -> dict[str, int]:
        """Returns the number of pictures of each split."""
        return {
            "train": self.train_count,
            "validation": self.validation_count,
            "test": self.test_count,
        }


def prepare_synthetic_faces(
    config: SyntheticFacesConfig, data_dir: str | os.PathLike, workers: Workers | None = None
) -> tuple[Path, bool]:
    """Draws the faces to records; what an earlier run finished is not drawn again.

    Args:
        config: what to draw.
        data_dir: where data sets are kept; the result is
            `<data_dir>/synthetic_faces/<settings>/<version>/`: other settings never share it.
        workers: who draws; by default a process for each core.

    Returns:
        The data set's folder, and True where an earlier run had finished it.

    Raises:
        DataError: `data_dir` cannot be written.
        ConfigError: another process is writing to it.
    """
    data_set = DataSet(
        name="synthetic_faces",
        config=config.name,
        version=_VERSION,
        description="Synthetic faces drawn by tfac.",
        attributes=ATTRIBUTES,
        landmark_scheme=DLIB_72,
        make_examples=functools.partial(make_examples, config=config),
        shards={split: _shards(split, count) for split, count in config.counts().items()},
    )
    path = Path(data_dir) / data_set.folder
    work_folder = Path(data_dir) / ".synthetic_faces-preparing"
    with only_writer(data_dir, "data_dir"):
        already_there = (path / "dataset_info.json").exists()
        if not already_there:
            unfinished = work_folder / config.name
            write_data_set(data_set, data_dir, unfinished, workers or Processes())
        shutil.rmtree(work_folder, ignore_errors=True)
    return path, already_there


def _shards(split: str, count: int) -> list[Shard]:
    order = shuffled(split, [_key(split, number) for number in range(count)])
    return [Shard(last - first, (split, order[first:last])) for first, last in shard_bounds(count)]


def make_examples(
    portion: tuple[str, Sequence[int]], config: SyntheticFacesConfig
) -> Iterator[dict]:
    """Draws the pictures of a portion, which is a split and their numbers in it."""
    split, numbers = portion
    for number in numbers:
        example = make_example(config, split, number)
        # A file object is stored byte for byte; an array would be encoded again.
        yield {**example, "image": io.BytesIO(example["image"])}


def make_example(config: SyntheticFacesConfig, split: str, number: int) -> dict:
    """Draws picture `number` of `split` as a record (see `tfac.data.records.features`)."""
    identity, index = divmod(number, PICTURES_PER_IDENTITY)
    face = sample_face(config.seed, split, identity, index)
    labels = face.labels()
    if config.label_noise:
        seed = [config.seed, *split.encode(), number, _LABEL_NOISE_STREAM]
        labels = add_label_noise(labels, config.label_noise, np.random.default_rng(seed))
    encoded, landmarks = encode_face(face, config.image_size)
    return {
        "image": encoded,
        "key": _key(split, number),
        "size": np.array([config.image_size, config.image_size], np.int32),
        "labels": labels,
        "label_mask": np.ones(len(labels), bool),
        "landmarks": landmarks,
        "landmarks_valid": True,
    }


def _key(split: str, number: int) -> str:
    identity, index = divmod(number, PICTURES_PER_IDENTITY)
    return f"{split}-{identity:07d}-{index}.jpg"


def encode_face(face: Face, image_size: int) -> tuple[bytes, np.ndarray]:
    """Returns a face as a JPEG file and its 72 landmarks, float32 [72, 2] in [0, 1]."""
    picture, landmarks = draw_face(face, image_size)
    blue_first = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
    _, encoded = cv2.imencode(".jpg", blue_first, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    return encoded.tobytes(), landmarks[DLIB_72.source_indices]


def save_contact_sheet(path: str | os.PathLike, *, examples: int = 4, face_size: int = 96) -> None:
    """Writes a picture that shows, for each attribute, faces with it beside faces without it.

    Faces without it have the sex and age of those with it where possible, so that it stands out.

    Args:
        path: where the PNG goes.
        examples: faces with and faces without each attribute.
        face_size: side of each face, pixels.
    """
    columns, gap, title = 2, 12, 26
    strip = 2 * examples * face_size + gap
    rows = -(-len(ATTRIBUTES) // columns)
    height = title + face_size + gap
    sheet = Image.new("RGB", (columns * (strip + 2 * gap), rows * height + gap), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=15)
    faces = [sample_face(0, "contact_sheet", identity, 0) for identity in range(2000)]
    for number, name in enumerate(ATTRIBUTES):
        row, column = divmod(number, columns)
        left, top = gap + column * (strip + 2 * gap), gap + row * height
        middle = left + examples * face_size + gap
        draw.text((left, top), name, "black", font)
        draw.text((middle, top), "without", "gray", font)
        shown, hidden = _contrast(faces[40 * number :] + faces[: 40 * number], name, examples)
        for start, group in ((left, shown), (middle, hidden)):
            for place, face in enumerate(group):
                picture, _ = draw_face(face, face_size)
                sheet.paste(Image.fromarray(picture), (start + place * face_size, top + title - 6))
    with whole_file(path) as aside:
        sheet.save(aside, format="PNG")


def _contrast(faces: list[Face], name: str, count: int) -> tuple[list[Face], list[Face]]:
    """Returns faces that show `name` and as many that do not but resemble them otherwise."""
    sharp = [face for face in faces if name == "Blurry" or "Blurry" not in face.shown]
    shown = [face for face in sharp if name in face.shown][:count]
    others = [face for face in sharp if name not in face.shown]
    hidden: list[Face] = []
    for face in shown:
        sex_and_age = face.shown & {"Male", "Young"}
        different = [len(other.shown & {"Male", "Young"} ^ sex_and_age) for other in others]
        hidden.append(others.pop(int(np.argmin(different))))
    return shown, hidden
