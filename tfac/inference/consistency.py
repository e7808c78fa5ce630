"""Answers that hold together: the most probable ones that break no rule."""

import itertools
from collections.abc import Sequence

import numpy as np
from keras import ops

from tfac.attributes import attribute_indices
from tfac.errors import ConfigError
from tfac.label_rules import LabelRule

_MOST_JOINED = 16  # attributes that rules join: 65,536 combinations are looked through
_MOST_ALLOWED = 4096  # of which as many may break no rule


class ConsistentAnswers:
    """Turns margins of attributes into answers that break no rule.

    A margin is what the log-odds of an attribute are above those of its threshold; without rules
    the answer is whether it is above 0. With them it is, of all answers that break none, the one
    that turns over the least sum of margins: the most probable one, if attributes are independent
    given the picture and each threshold's probability is taken for even odds. Answers that broke no
    rule stay as they were.

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
        joined = [_allowed(names, rules) for names in _joined(attributes, rules)]
        self._parts = [
            (attribute_indices(names, attributes), allowed.astype("float32"))
            for names, allowed in joined
        ]
        used = [column for columns, _ in self._parts for column in columns]
        alone = [column for column in range(len(attributes)) if column not in used]
        self._alone = np.array(alone, np.int32)
        self._order = np.argsort([*alone, *used])

    def __call__(self, margins):
        """Returns answers [B, A], 0 or 1 as float32, for margins [B, A]; an array or a tensor."""
        given = ops.cast(margins > 0, "float32")
        answers = [ops.take(given, self._alone, axis=1)]
        for columns, allowed in self._parts:
            turned = ops.expand_dims(ops.take(given, columns, axis=1), 1) != allowed  # [B, K, n]
            cost = ops.expand_dims(ops.abs(ops.take(margins, columns, axis=1)), 1)
            total = ops.sum(ops.where(turned, cost, 0.0), axis=2)
            answers.append(ops.take(allowed, ops.argmin(total, axis=1), axis=0))
        return ops.take(ops.concatenate(answers, axis=1), self._order, axis=1)


def _joined(attributes: Sequence[str], rules: Sequence[LabelRule]) -> list[list[str]]:
    """Returns the attributes that rules join, directly or through others."""
    groups: list[set[str]] = []
    for rule in rules:
        group = {*rule.names, *((rule.condition,) if rule.condition else ())}
        apart = [other for other in groups if other.isdisjoint(group)]
        groups = [*apart, group.union(*(other for other in groups if other not in apart))]
    return [[name for name in attributes if name in group] for group in groups]


def _allowed(names: list[str], rules: Sequence[LabelRule]) -> tuple[list[str], np.ndarray]:
    """Returns the names and the combinations of them that break no rule, bool [K, n].

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
    return names, every[allowed].astype(bool)
