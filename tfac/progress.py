"""Progress of long work: a bar on a terminal, a line now and then in a log file."""

import sys
from typing import Any, TextIO

from tqdm import tqdm

_SECONDS_A_LINE = 30.0


class _Lines:
    """Takes tqdm's bars, which it draws over each other, and writes them below each other."""

    def __init__(self, stream: TextIO):
        self._stream = stream

    def write(self, text: str) -> None:
        if text.strip():
            self._stream.write(text.strip() + "\n")

    def flush(self) -> None:
        self._stream.flush()

    def isatty(self) -> bool:
        return False


def progress(*arguments: Any, **options: Any) -> tqdm:
    """Returns tqdm's progress on the standard error stream, whose arguments these are.

    Where that is no terminal, it is a line at the start, at the end and every 30 seconds.
    """
    if sys.stderr.isatty():
        return tqdm(*arguments, dynamic_ncols=True, **options)
    seconds = {"mininterval": _SECONDS_A_LINE, "maxinterval": _SECONDS_A_LINE}
    return tqdm(*arguments, file=_Lines(sys.stderr), ncols=0, **seconds, **options)
