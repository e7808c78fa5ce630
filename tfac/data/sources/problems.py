"""What to do about broken source data: stop at the first problem, or skip and count."""

import collections
import sys

from tqdm import tqdm

from tfac.errors import DataError

ON_ERROR = ("stop", "skip")


class Problems:
    """Collects the problems met while source data is read.

    Args:
        on_error: "stop" raises at the first problem; "skip" names each on the standard error
            stream, counts it by kind and goes on.

    Attributes:
        skipped: kind of problem to how often it was met.
    """

    def __init__(self, on_error: str = "stop"):
        if on_error not in ON_ERROR:
            raise ValueError(f"expected on_error to be one of {ON_ERROR}. Received: {on_error}")
        self.on_error = on_error
        self.skipped: collections.Counter[str] = collections.Counter()

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
        tqdm.write(f"skipped: {message}", file=sys.stderr)
