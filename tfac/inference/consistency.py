"""Answers that hold together: the best ones that break no rule."""

import itertools
from collections.abc import Sequence

import numpy as np
from keras import ops

from tfac.attributes import attribute_indices
from tfac.errors import ConfigError
from tfac.label_rules import LabelRule

_MOST_JOINED = 16  # attributes that rules join: 65,536 combinations are looked through
_MOST_ALLOWED = 4096  # of which as many may break no rule
_LEAST_LOSS = 1e-6  # so that nothing is turned over for nothing


class ConsistentAnswers:
    """Turns answers that may contradict each other into those that break no rule.

    Of all answers that break none it is the one that turns over the least: the sum of what is lost
    by each attribute that it answers otherwise. Answers that broke no rule stay as they were.

    Rules join attributes, and what is joined is answered together, by looking through all
    combinations that are allowed. The result is exact.

    Args:
        attributes: names [A].
        rules: of these attributes.

    Raises:
        ConfigError: rules join more than 16 attributes or leave more than 4,096 combinations of
            them, or no combination at all.
    """

    def __init__(self, attributes: Sequence[str], rules: Sequence[LabelRule]):
        self._parts = [
            (attribute_indices(names, attributes), _allowed(names, rules))
            for names in _joined(attributes, rules)
        ]
        used = [column for columns, _ in self._parts for column in columns]
        alone = [column for column in range(len(attributes)) if column not in used]
        self._alone = np.array(alone, np.int32)
        self._order = np.argsort([*alone, *used])

    def __call__(self, answers, losses):
        """Returns answers [B, A], 0 or 1 as float32.

        Args:
            answers: bool [B, A].
            losses: float32 [B, A], at least 0, what each loses by being turned over.
        """
        given = ops.cast(answers, "float32")
        losses = losses + _LEAST_LOSS
        columns_of = [ops.take(given, self._alone, axis=1)]
        for columns, allowed in self._parts:
            turned = ops.expand_dims(ops.take(given, columns, axis=1), 1) != allowed  # [B, K, n]
            lost = ops.expand_dims(ops.take(losses, columns, axis=1), 1)
            total = ops.sum(ops.where(turned, lost, 0.0), axis=2)
            # The first of the least: argmin of Keras is an operation that ONNX and LiteRT lack.
            least = ops.top_k(-total, 1)[1][:, 0]
            columns_of.append(ops.take(allowed, least, axis=0))
        return ops.take(ops.concatenate(columns_of, axis=1), self._order, axis=1)


def _joined(attributes: Sequence[str], rules: Sequence[LabelRule]) -> list[list[str]]:
    """Returns the attributes that rules join, directly or through others."""
    groups: list[set[str]] = []
    for rule in rules:
        group = {*rule.names, *((rule.condition,) if rule.condition else ())}
        apart = [other for other in groups if other.isdisjoint(group)]
        groups = [*apart, group.union(*(other for other in groups if other not in apart))]
    return [[name for name in attributes if name in group] for group in groups]


def _allowed(names: list[str], rules: Sequence[LabelRule]) -> np.ndarray:
    """Returns the combinations of attributes that break no rule, 0 or 1 as float32 [K, n].

    Combinations of fewer attributes come first, so that of equally probable ones these are taken.
    """
    if len(names) > _MOST_JOINED:
        raise ConfigError(
            f"label rules: expected at most {_MOST_JOINED} attributes that rules join. Received: "
            f"{', '.join(names)}"
        )
    every = np.array(list(itertools.product((0, 1), repeat=len(names))), np.uint8)
    every = every[np.argsort(every.sum(axis=1), kind="stable")]
    known = np.ones(every.shape, bool)
    allowed = np.ones(len(every), bool)
    for rule in rules:
        if rule.names[0] in names:
            allowed &= ~rule.find(names, every, known)[0]
    if not 0 < allowed.sum() <= _MOST_ALLOWED:
        raise ConfigError(
            f"label rules: expected 1 to {_MOST_ALLOWED} combinations of {', '.join(names)} that "
            f"break none. Received: {allowed.sum()}"
        )
    return every[allowed].astype(np.float32)
