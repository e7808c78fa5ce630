"""The embedded data set: drawn faces that show all 40 attributes, with exact landmarks.

Every face follows from (seed, split, identity, index of the picture) alone, so any of them can be
drawn again without the others. Pictures of one identity share bone structure, hair and beard;
expression, pose, light, make-up and accessories change. Identities never cross splits.
"""

import dataclasses
import io
import os
from collections.abc import Iterator

import cv2
import numpy as np
import tensorflow_datasets as tfds
from PIL import Image, ImageDraw, ImageFont
from tqdm import tqdm

from tfac.attributes import ATTRIBUTES
from tfac.data.face_drawing import draw_face
from tfac.data.face_sampling import Face, add_label_noise, sample_face
from tfac.data.features import record_features, record_metadata
from tfac.errors import ConfigError
from tfac.files import whole_file
from tfac.landmarks import DLIB_72

PICTURES_PER_IDENTITY = 4
_JPEG_QUALITY = 92
_SIZES = (32, 1024)
_LABEL_NOISE_STREAM = 1


@dataclasses.dataclass(eq=False, kw_only=True)
class SyntheticFacesConfig(tfds.core.BuilderConfig):
    """What to draw. Without a `name` the name spells out every setting.

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

    name: str = ""
    image_size: int = 128
    train_count: int = 6000
    validation_count: int = 1000
    test_count: int = 1000
    seed: int = 0
    label_noise: float = 0.0

    def __post_init__(self) -> None:
        """Checks the settings and spells out the name."""
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
        if not self.name:
            counts = "-".join(map(str, self.counts().values()))
            noise = f"-noise{self.label_noise:g}" if self.label_noise else ""
            self.name = f"{self.image_size}px-{counts}-seed{self.seed}{noise}"

    def counts(self) -> dict[str, int]:
        """Returns the number of pictures of each split."""
        return {
            "train": self.train_count,
            "validation": self.validation_count,
            "test": self.test_count,
        }


class SyntheticFaces(tfds.core.GeneratorBasedBuilder):
    """Drawn faces with the 40 attributes of CelebA and exact 72 landmarks."""

    VERSION = tfds.core.Version("1.0.0")
    BUILDER_CONFIGS = [SyntheticFacesConfig(name="demo", description="8,000 faces of 128x128.")]

    def _info(self) -> tfds.core.DatasetInfo:
        return tfds.core.DatasetInfo(
            builder=self,
            description="Synthetic faces drawn by tfac.",
            features=record_features(ATTRIBUTES, DLIB_72),
            metadata=record_metadata(ATTRIBUTES, DLIB_72),
        )

    def _split_generators(
        self, dl_manager: tfds.download.DownloadManager
    ) -> dict[str, Iterator[tuple[str, dict]]]:
        return {
            split: self._generate_examples(split, count)
            for split, count in self.builder_config.counts().items()
        }

    def _generate_examples(self, split: str, count: int) -> Iterator[tuple[str, dict]]:
        for number in tqdm(range(count), f"drawing {split}", unit=" faces", dynamic_ncols=True):
            example = make_example(self.builder_config, split, number)
            # A file object is stored byte for byte; an array would be encoded again.
            yield example["key"], {**example, "image": io.BytesIO(example["image"])}


def synthetic_faces_builder(
    data_dir: str | os.PathLike,
    *,
    image_size: int = 128,
    train_count: int = 6000,
    validation_count: int = 1000,
    test_count: int = 1000,
    seed: int = 0,
    label_noise: float = 0.0,
) -> SyntheticFaces:
    """Returns a builder whose `download_and_prepare` draws the faces under `data_dir`.

    The folder is ``data_dir/synthetic_faces/<settings>/<version>``: other settings never share it.

    Raises:
        ConfigError: a setting is out of its range (see `SyntheticFacesConfig`).
    """
    config = SyntheticFacesConfig(
        image_size=image_size,
        train_count=train_count,
        validation_count=validation_count,
        test_count=test_count,
        seed=seed,
        label_noise=label_noise,
    )
    return SyntheticFaces(data_dir=os.fspath(data_dir), config=config)


def make_example(config: SyntheticFacesConfig, split: str, number: int) -> dict:
    """Draws picture `number` of `split` as a record (see `tfac.data.features`)."""
    identity, index = divmod(number, PICTURES_PER_IDENTITY)
    face = sample_face(config.seed, split, identity, index)
    labels = face.labels()
    if config.label_noise:
        seed = [config.seed, *split.encode(), number, _LABEL_NOISE_STREAM]
        labels = add_label_noise(labels, config.label_noise, np.random.default_rng(seed))
    encoded, landmarks = encode_face(face, config.image_size)
    return {
        "image": encoded,
        "key": f"{split}-{identity:07d}-{index}.jpg",
        "size": np.array([config.image_size, config.image_size], np.int32),
        "labels": labels,
        "label_mask": np.ones(len(labels), bool),
        "landmarks": landmarks,
        "landmarks_valid": True,
    }


def encode_face(face: Face, image_size: int) -> tuple[bytes, np.ndarray]:
    """Returns a face as a JPEG file and its 72 landmarks, float32 [72, 2] in [0, 1]."""
    picture, landmarks = draw_face(face, image_size)
    blue_first = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
    _, encoded = cv2.imencode(".jpg", blue_first, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    return encoded.tobytes(), landmarks[DLIB_72.source_indices]


def save_contact_sheet(
    path: str | os.PathLike, *, examples: int = 4, face_size: int = 96, seed: int = 0
) -> None:
    """Writes a picture that shows, for each attribute, faces with it beside faces without it.

    Faces without it have the sex and age of those with it where possible, so that it stands out.

    Args:
        path: where the PNG goes.
        examples: faces with and faces without each attribute.
        face_size: side of each face, pixels.
        seed: of the faces.
    """
    columns, gap, title = 2, 12, 26
    strip = 2 * examples * face_size + gap
    rows = -(-len(ATTRIBUTES) // columns)
    height = title + face_size + gap
    sheet = Image.new("RGB", (columns * (strip + 2 * gap), rows * height + gap), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=15)
    faces = [sample_face(seed, "contact_sheet", identity, 0) for identity in range(2000)]
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
