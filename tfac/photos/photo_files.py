"""The photos of a folder: one way for every program that is given one."""

import os
from collections import Counter
from pathlib import Path

from tfac.photos.pictures import PHOTO_SUFFIXES


def photos_below(folder: str | os.PathLike) -> tuple[list[Path], Counter[str]]:
    """Finds the photos of a folder and of the folders below it; links to folders are not followed.

    Args:
        folder: where to look.

    Returns:
        The files whose names end in one of `tfac.photos.pictures.PHOTO_SUFFIXES`, by name, those of
        a folder before those of the folders in it; and how many entries were passed over, by kind:
        ".txt" and the like, "hidden" (such as macOS's ._a.jpg; a hidden folder is one),
        "without a suffix".
    """
    photos: list[Path] = []
    passed_over: Counter[str] = Counter()
    for path, folders, names in os.walk(folder):
        passed_over["hidden"] += sum(name.startswith(".") for name in folders + names)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for file in sorted(Path(path, name) for name in names if not name.startswith(".")):
            if file.suffix.lower() in PHOTO_SUFFIXES:
                photos.append(file)
            else:
                passed_over[file.suffix.lower() or "without a suffix"] += 1
    return photos, +passed_over
