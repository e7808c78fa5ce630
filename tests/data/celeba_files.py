"""Writes a tiny copy of CelebA in its official layout, for tests."""

import io
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image

from tfac.attributes import ATTRIBUTES
from tfac.data.sources.celeba import LANDMARK_COLUMNS

PARTITION = (0, 0, 0, 0, 1, 1, 2, 2)
NAMES = tuple(f"{i + 1:06d}.jpg" for i in range(len(PARTITION)))


def encoded_picture(seed: int, height: int = 32, width: int = 26) -> bytes:
    picture = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "JPEG")
    return file.getvalue()


def label(picture: int, attribute: int) -> int:
    """Returns 1 or 0, different for any two of the first 64 pictures."""
    return picture >> (attribute % 6) & 1


def write_celeba(
    folder: Path,
    *,
    archive: bool = True,
    nested: bool = False,
    landmarks: bool = False,
    names: tuple[str, ...] = NAMES,
    partition: tuple[int, ...] = PARTITION,
) -> Path:
    """Writes pictures and annotation files; `nested` puts them under Img/, Anno/ and Eval/."""
    img, anno, evaluation = (folder / (name if nested else "") for name in ("Img", "Anno", "Eval"))
    for path in (img, anno, evaluation):
        path.mkdir(parents=True, exist_ok=True)
    pictures = {name: encoded_picture(seed) for seed, name in enumerate(names)}
    if archive:
        with zipfile.ZipFile(img / "img_align_celeba.zip", "w") as file:
            for name, encoded in pictures.items():
                file.writestr(f"img_align_celeba/{name}", encoded)
    else:
        (img / "img_align_celeba").mkdir()
        for name, encoded in pictures.items():
            (img / "img_align_celeba" / name).write_bytes(encoded)
    rows = [
        f"{name} " + " ".join("1" if label(i, j) else "-1" for j in range(len(ATTRIBUTES)))
        for i, name in enumerate(names)
    ]
    write_lines(anno / "list_attr_celeba.txt", [str(len(names)), " ".join(ATTRIBUTES), *rows])
    write_lines(
        evaluation / "list_eval_partition.txt",
        [f"{name} {part}" for name, part in zip(names, partition, strict=True)],
    )
    if landmarks:
        rows = [
            f"{name} 69 111 108 111 88 {130 + i} 73 152 105 152" for i, name in enumerate(names)
        ]
        write_lines(
            anno / "list_landmarks_align_celeba.txt",
            [str(len(names)), " ".join(LANDMARK_COLUMNS), *rows],
        )
    return folder


def write_lines(path: Path, lines: list[str]) -> None:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def edit_lines(path: Path, edit) -> None:
    """Replaces the lines of a file by `edit(lines)`."""
    write_lines(path, edit(path.read_text(encoding="utf-8").splitlines()))
