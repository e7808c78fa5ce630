"""Which pictures a table means by what it calls them."""

import posixpath
import re
import unicodedata
from collections.abc import Collection
from functools import cached_property
from pathlib import Path

from tfac.photos.pictures import PictureFiles

_SHOWN_LENGTH = 200  # of a key that may be no path at all


class PictureKeys:
    """Finds the pictures of a table's keys.

    Args:
        pictures: the pictures.
    """

    def __init__(self, pictures: PictureFiles):
        self._pictures = pictures

    def find(self, key: str) -> Collection[str]:
        """Returns the names of the pictures that `key` means; none where there is no such picture.

        A key is a picture's path, as it is in `pictures`, absolute, with backslashes or with a
        leading "./"; its path without extension or, of a number, with more or fewer zeros before
        it, where but one picture has it; or a folder, which means every picture below it.
        """
        names = self._pictures.names
        if key in names:
            return [key]
        path = self._standard_path(key)
        if path in names:
            return [path]
        found = self._meant(path)
        return found if len(found) == 1 else self._by_folder.get(path, ())

    def missing(self, key: str) -> str:
        """Returns that `key` is missing, and where a picture like it is, with the way to it."""
        text = f"{key[:_SHOWN_LENGTH]} is missing from {self._pictures.path}"
        path = self._standard_path(key)
        if self._pictures.has_file(path):
            return (
                f"{text} as a picture: the file is there, and {Path(path).suffix or 'no extension'}"
                " is not read; JPEG, PNG, WebP, AVIF and TIFF are"
            )
        meant = self._meant(path)
        if len(meant) > 1:
            return f"{text}: it means {' or '.join(meant[:3])}; write it so, with the extension"
        same_name = self._alike.get(_alike(path)[-1], [])
        names = [name for name in same_name if _is_below(_alike(name), _alike(path))]
        if names:
            return f"{text}; {names[0]} is there. {self._way_to(path, names[0])}"
        if len(same_name) == 1:
            return (
                f"{text}; {same_name[0]} is there. Where that is the picture, write it so in the "
                "table"
            )
        return text

    def _standard_path(self, key: str) -> str:
        if not key:
            return ""
        path = posixpath.normpath(key.replace("\\", "/"))
        return path.removeprefix(f"{self._pictures.path.absolute().as_posix()}/")

    def _way_to(self, path: str, name: str) -> str:
        folder = self._pictures.path
        if path.endswith(f"/{name}"):
            above, whole = path.removesuffix(f"/{name}"), folder.absolute().as_posix()
            if whole.endswith(f"/{above}"):
                return f"Take --source_dir={whole.removesuffix(f'/{above}') or '/'}"
            return f"Leave {above}/ out of the table"
        if name.endswith(f"/{path}") and folder.is_dir():
            return f"Take --source_dir={folder / name.removesuffix(f'/{path}')}"
        if path.lower() == name.lower():
            return "Write it in the same case"
        if posixpath.splitext(path)[0] == posixpath.splitext(name)[0]:
            return f"Write {Path(name).suffix}, or leave the extension out"
        return "Write it so in the table"

    def _meant(self, path: str) -> list[str]:
        """Returns the pictures of a path without extension or with other zeros before a number."""
        found = self._by_form.get(_unpadded(path), [])
        return [name for name in found if posixpath.splitext(name)[0] == path] or found

    @cached_property
    def _by_form(self) -> dict[str, list[str]]:
        """Path with and without extension, without zeros before a number, to its pictures."""
        found: dict[str, list[str]] = {}
        for name in self._pictures.names:
            for form in (_unpadded(name), _unpadded(posixpath.splitext(name)[0])):
                found.setdefault(form, []).append(name)
        return found

    @cached_property
    def _by_folder(self) -> dict[str, list[str]]:
        """Folder to all pictures below it, sorted."""
        found: dict[str, list[str]] = {}
        for name in sorted(self._pictures.names):
            folder = posixpath.dirname(name)
            while folder:
                found.setdefault(folder, []).append(name)
                folder = posixpath.dirname(folder)
        return found

    @cached_property
    def _alike(self) -> dict[str, list[str]]:
        """The last part of `_alike` to the pictures and folders that have it."""
        found: dict[str, list[str]] = {}
        for name in (*sorted(self._pictures.names), *self._by_folder):
            found.setdefault(_alike(name)[-1], []).append(name)
        return found


def _unpadded(path: str) -> str:
    return re.sub(r"(^|/)0+(?=\d+(\.\w+)?$)", r"\1", path)


def _alike(path: str) -> list[str]:
    """Returns letters and digits of each part, of the last without extension; 0007 as 7."""
    text = unicodedata.normalize("NFKD", posixpath.splitext(path)[0]).casefold()
    parts = [re.sub(r"[\W_]+", "", part) for part in text.split("/")]
    return [part.lstrip("0") or part[-1:] for part in parts]


def _is_below(first: list[str], second: list[str]) -> bool:
    """Returns whether one is the end of the other."""
    length = min(len(first), len(second))
    return first[-length:] == second[-length:]
