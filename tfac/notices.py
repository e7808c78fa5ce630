"""TensorFlow's start-up notices, which nobody can act on."""

import contextlib
import os
from collections.abc import Iterator


@contextlib.contextmanager
def without_notices() -> Iterator[None]:
    """Turns file descriptor 2 aside, where libraries write whatever the log level says.

    TF_CPP_MIN_LOG_LEVEL=0 or 1 keeps everything.
    """
    if os.environ.get("TF_CPP_MIN_LOG_LEVEL") in ("0", "1"):
        yield
        return
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"
    stderr = os.dup(2)
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
