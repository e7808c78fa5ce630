"""Parts of a split by attributes: ``Male,Young,Male*Young``."""

import itertools
from collections.abc import Sequence

import numpy as np

from tfac.attributes import attribute_indices
from tfac.errors import ConfigError


def parse_slices(text: str, attributes: Sequence[str]) -> list[tuple[str, ...]]:
    """Returns the attributes that each slicing of ``text`` crosses.

    ``"Male,Male*Young"`` gives ``[("Male",), ("Male", "Young")]``; an empty text gives none.

    Raises:
        ConfigError: a name is not among `attributes`, or a slicing names it twice.
    """
    if not text.strip():
        return []
    slicings = [tuple(part.strip() for part in term.split("*")) for term in text.split(",")]
    for slicing in slicings:
        try:
            attribute_indices(slicing, attributes)
        except ConfigError as error:
            raise ConfigError(f"slices: {error}") from error
        if len(set(slicing)) != len(slicing):
            raise ConfigError(
                f"slices: expected different attributes in a product. Received: {'*'.join(slicing)}"
            )
    return list(dict.fromkeys(slicings))


def slice_rows(
    slicing: tuple[str, ...], attributes: Sequence[str], labels: np.ndarray, label_mask: np.ndarray
) -> dict[str, np.ndarray]:
    """Returns the rows of each slice of one slicing, 2 ** F slices for F attributes.

    A row in which one of the F attributes is not annotated belongs to none of them.

    Args:
        slicing: the F attributes that are crossed.
        attributes: names of the A columns.
        labels: [N, A] in {0, 1}.
        label_mask: [N, A] in {0, 1}.

    Returns:
        Names such as ``"Male=1*Young=0"`` to bool [N].
    """
    columns = attribute_indices(slicing, attributes)
    annotated = (label_mask[:, columns] > 0.5).all(axis=1)
    shown = labels[:, columns] > 0.5  # [N, F]
    return {
        "*".join(f"{name}={value}" for name, value in zip(slicing, values, strict=True)): annotated
        & (shown == values).all(axis=1)
        for values in itertools.product((1, 0), repeat=len(slicing))
    }
