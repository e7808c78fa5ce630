"""Whether attributes are as frequent in one split as in another."""

import math
from collections.abc import Sequence

import numpy as np

from tfac.errors import ConfigError
from tfac.files import read_json

# Differences of frequencies that are said: larger than this, and than chance explains.
_POINTS, _DEVIATIONS = 2, 4
_MOST_NAMED = 10

Counts = tuple[np.ndarray, np.ndarray]  # true labels [A], and labels that count [A]


def count_shown(labels: np.ndarray, label_mask: np.ndarray) -> Counts:
    """Returns the true labels [A] and all that count [A], of labels and their mask [N, A]."""
    counted = np.asarray(label_mask) > 0.5
    return (counted & (np.asarray(labels) > 0.5)).sum(axis=0), counted.sum(axis=0)


def frequency_difference(first: tuple[int, int], second: tuple[int, int]) -> tuple[float, float]:
    """Returns how far two frequencies are apart: in points of percent and standard deviations.

    Args:
        first: how often the attribute is shown, and in how many pictures it is annotated.
        second: the same elsewhere.
    """
    (a, n), (b, m) = first, second
    if not n or not m:
        return 0.0, 0.0
    points, pooled = 100 * abs(a / n - b / m), (a + b) / (n + m)
    deviation = 100 * math.sqrt(pooled * (1 - pooled) * (1 / n + 1 / m))
    if not points:
        return 0.0, 0.0
    return points, points / deviation if deviation else math.inf


def describe_changes(
    attributes: Sequence[str], first: str, here: Counts, second: str, there: Counts
) -> str:
    """Returns which attributes are more or less frequent in one split than in another.

    Those are named, the largest difference first, whose share differs by 2 points and by 4 standard
    deviations or more; "" where none does.

    Args:
        attributes: names [A].
        first: name of a split, whose counts are `here`.
        here: its counts.
        second: name of the other, whose counts are `there`.
        there: its counts.
    """
    found = []
    for a, name in enumerate(attributes):
        counts = [(shown[a], count[a]) for shown, count in (here, there)]
        points, deviations = frequency_difference(*counts)
        if points >= _POINTS and deviations >= _DEVIATIONS:
            shares = " and ".join(f"{shown / count:.1%}" for shown, count in counts)
            found.append((points, f"{name} {shares}"))
    if not found:
        return ""
    named = [text for _, text in sorted(found, key=lambda each: -each[0])]
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
