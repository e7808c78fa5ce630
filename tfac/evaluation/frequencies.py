"""Whether attributes are as frequent in one split as in another."""

from collections.abc import Sequence

import numpy as np

from tfac.errors import ConfigError
from tfac.files import read_json

# Differences of frequencies that are said: larger than this, and than chance explains.
_POINTS = 0.02
_STANDARD_ERRORS = 4
_MOST_NAMED = 10

Counts = tuple[np.ndarray, np.ndarray]  # true labels [A], and labels that count [A]


def count_shown(labels: np.ndarray, label_mask: np.ndarray) -> Counts:
    """Returns the true labels [A] and all that count [A], of labels and their mask [N, A]."""
    counted = np.asarray(label_mask) > 0.5
    return (counted & (np.asarray(labels) > 0.5)).sum(axis=0), counted.sum(axis=0)


def describe_changes(
    attributes: Sequence[str], first: str, here: Counts, second: str, there: Counts
) -> str:
    """Returns which attributes are more or less frequent in one split than in another.

    Those are named, the largest difference first, whose share differs by 2 points and by 4 standard
    errors or more; "" where none does.

    Args:
        attributes: names [A].
        first: name of a split, whose counts are `here`.
        here: its counts.
        second: name of the other, whose counts are `there`.
        there: its counts.
    """
    known = (here[1] > 0) & (there[1] > 0)
    counts = np.maximum([here[1], there[1]], 1)
    shares = np.array([here[0], there[0]]) / counts
    pooled = (here[0] + there[0]) / counts.sum(axis=0)
    error = np.sqrt(pooled * (1 - pooled) * (1 / counts).sum(axis=0))
    difference = np.where(known, np.abs(shares[0] - shares[1]), 0)
    differs = difference >= np.maximum(_POINTS, _STANDARD_ERRORS * error)
    if not differs.any():
        return ""
    order = [a for a in np.argsort(-difference) if differs[a]]
    named = [f"{attributes[a]} {shares[0][a]:.1%} and {shares[1][a]:.1%}" for a in order]
    more = f", and {len(named) - _MOST_NAMED} more" if len(named) > _MOST_NAMED else ""
    return (
        f"{len(named)} attributes are not as frequent in the labels of {first} "
        f"({here[1].max():,}) as in those of {second} ({there[1].max():,}): "
        f"{', '.join(named[:_MOST_NAMED])}{more}"
    )


def read_frequencies(path: str | None, attributes: Sequence[str]) -> np.ndarray:
    """Reads a JSON object of attributes and the shares of pictures that show them.

    Returns:
        [A], each in (0, 1); NaN for attributes that it leaves out, and where `path` is None.

    Raises:
        ConfigError: the file names another attribute, or has another value.
        DataError: the file cannot be read or is no JSON object.
    """
    given = {} if path is None else read_json(path)
    for name, share in given.items():
        if name not in attributes:
            raise ConfigError(f"{path}: expected attributes of the network. Received: {name}")
        if isinstance(share, bool) or not isinstance(share, (int, float)) or not 0 < share < 1:
            raise ConfigError(
                f"{path}: {name}: expected a share above 0 and below 1. Received: {share!r}"
            )
    return np.array([given.get(name, np.nan) for name in attributes], np.float64)
