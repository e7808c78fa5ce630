"""What to do about broken source data: stop at the first problem, or skip and count."""

import collections
import sys
from pathlib import Path

from tqdm import tqdm

from tfac.errors import DataError
from tfac.files import whole_file

ON_ERROR = ("stop", "skip")
MOST_NAMED = 10


class Problems:
    """Collects the problems met while source data is read.

    Args:
        on_error: "stop" raises at the first problem; "skip" names the first MOST_NAMED on the
            standard error stream, counts all by kind and goes on.

    Attributes:
        skipped: kind of problem to how often it was met.
        messages: what was wrong, a line each, in the order met.
    """

    def __init__(self, on_error: str = "stop"):
        if on_error not in ON_ERROR:
            raise ValueError(f"expected on_error to be one of {ON_ERROR}. Received: {on_error}")
        self.on_error = on_error
        self.skipped: collections.Counter[str] = collections.Counter()
        self.messages: list[str] = []

    def report(self, kind: str, message: str) -> None:
        """Handles one problem.

        Args:
            kind: a few words under which problems of this kind are counted.
            message: names file and line, what was expected and what was received.

        Raises:
            DataError: `on_error` is "stop".
        """
        if self.on_error == "stop":
            raise DataError(f"{message}. (--on_error=skip leaves such out and counts them)")
        self.skipped[kind] += 1
        self.messages.append(message)
        if len(self.messages) <= MOST_NAMED:
            tqdm.write(f"skipped: {message}", file=sys.stderr)
        elif len(self.messages) == MOST_NAMED + 1:
            tqdm.write("skipped: more, which are counted", file=sys.stderr)

    def write(self, path: Path) -> None:
        """Writes all messages to a file, where there are any; OSError where it cannot."""
        if self.messages:
            with whole_file(path) as aside:
                aside.write_text("".join(f"{message}\n" for message in self.messages), "utf-8")
