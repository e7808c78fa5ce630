"""What labels, and answers, cannot be together: rules as data, and the pictures that break them.

``label_rules`` in JSON is a list; ``celeba_label_rules.json`` here has CelebA's. A rule is

- ``{"at_most_one": [A, B, ...]}``: two of them are not shown together;
- ``{"if": A, "none_of": [B, ...]}``: what shows A shows none of the others;
- ``{"if": A, "any_of": [B, ...]}``: what shows A shows one of the others at least;
- ``{"any_of": [A, B, ...]}``: each picture shows one of them at least;

each with its ``"reason"``, a text. A label that nobody gave breaks none.

Reference:
    Wu et al., LogicNet (arXiv 2311.11208), which counts such contradictions of CelebA's attributes.
"""

import dataclasses
import functools
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfac.errors import ConfigError, DataError
from tfac.files import read_json

if TYPE_CHECKING:
    import numpy as np  # flags import this module, and need no arrays

_CELEBA_RULES = Path(__file__).with_name("celeba_label_rules.json")

_KINDS = ("at_most_one", "none_of", "any_of")


@dataclasses.dataclass(frozen=True)
class LabelRule:
    """A rule.

    Attributes:
        kind: at_most_one, none_of or any_of.
        names: the attributes that it counts.
        reason: why.
        condition: the attribute that a picture must show for the rule to hold; None for any.
    """

    kind: str
    names: tuple[str, ...]
    reason: str
    condition: str | None = None

    def __str__(self):
        """What breaks the rule, in words."""
        if self.kind == "none_of":
            return f"{self.condition} with {' or '.join(self.names)}"
        if self.condition:
            return f"{self.condition} without {' or '.join(self.names)}"
        return f"{'none' if self.kind == 'any_of' else 'more than one'} of {', '.join(self.names)}"

    def to_dict(self) -> dict[str, Any]:
        """Returns the rule as JSON has it."""
        condition = {} if self.condition is None else {"if": self.condition}
        return {**condition, self.kind: list(self.names), "reason": self.reason}

    def find(
        self, attributes: Sequence[str], labels: "np.ndarray", mask: "np.ndarray"
    ) -> tuple["np.ndarray", "np.ndarray"]:
        """Returns which pictures break the rule and which it is about, bool [N].

        It is about those that show the condition; without one, those that show one of the names, or
        in an any_of that have all of them annotated.

        Args:
            attributes: names of the A columns, which have all of the rule's.
            labels: [N, A] in {0, 1}.
            mask: bool [N, A], False where nobody annotated the attribute.
        """
        columns = [list(attributes).index(name) for name in self.names]
        shown = (labels.astype(bool) & mask)[:, columns]  # [N, names]
        hidden = (~labels.astype(bool) & mask)[:, columns]
        if self.condition:
            column = list(attributes).index(self.condition)
            about = labels[:, column].astype(bool) & mask[:, column]
        else:
            about = mask[:, columns].all(axis=1) if self.kind == "any_of" else shown.any(axis=1)
        broken = {
            "at_most_one": shown.sum(axis=1) > 1,
            "none_of": shown.any(axis=1),
            "any_of": hidden.all(axis=1),
        }[self.kind]
        return about & broken, about


def read_rules(path: Path, attributes: Sequence[str]) -> tuple[LabelRule, ...]:
    """Reads a file with ``label_rules`` for a data set with these attributes.

    Raises:
        DataError: the file is no list of rules, or names attributes that the data set lacks.
    """
    content = read_json(path, "label rules as JSON")
    if list(content) != ["label_rules"]:
        raise DataError(f"{path}: expected label_rules, a list. Received: {', '.join(content)}")
    try:
        return parse_rules(content["label_rules"], attributes)
    except ConfigError as error:
        raise DataError(f"{path}: {error}") from error


def parse_rules(entries: Any, attributes: Sequence[str]) -> tuple[LabelRule, ...]:
    """Returns the rules that JSON's `label_rules` describe.

    Raises:
        ConfigError: it is no list of rules, or names an attribute that is not one of `attributes`.
    """
    if not isinstance(entries, list):
        raise ConfigError(f"label_rules: expected a list. Received: {entries!r}")
    rules = []
    for entry in entries:
        rules.append(_parse(entry))
        if not {*rules[-1].names, rules[-1].condition or rules[-1].names[0]} <= set(attributes):
            raise ConfigError(
                f"label_rules: expected attributes among {', '.join(attributes)}. Received: {entry}"
            )
    return tuple(rules)


@functools.cache
def celeba_rules(attributes: tuple[str, ...]) -> tuple[LabelRule, ...]:
    """Returns CelebA's rules as far as they say something of these attributes."""
    rules = []
    for entry in read_json(_CELEBA_RULES, "label rules as JSON")["label_rules"]:
        rule = _parse(entry)
        known = tuple(name for name in rule.names if name in attributes)
        least = {"at_most_one": 2, "none_of": 1, "any_of": len(rule.names)}[rule.kind]
        if len(known) >= least and rule.condition in (None, *attributes):
            rules.append(dataclasses.replace(rule, names=known))
    return tuple(rules)


def _parse(entry: Any) -> LabelRule:
    kinds = [kind for kind in _KINDS if isinstance(entry, dict) and kind in entry]
    good = (
        len(kinds) == 1
        and set(entry) <= {"if", "reason", *kinds}
        and isinstance(entry.get("reason"), str)
        and isinstance(entry.get("if", ""), str)
        and isinstance(entry[kinds[0]], list)
        and entry[kinds[0]]
        and all(isinstance(name, str) for name in entry[kinds[0]])
        and {"at_most_one": "if" not in entry, "none_of": "if" in entry}.get(kinds[0], True)
    )
    if not good:
        raise ConfigError(
            "label_rules: expected a rule with a reason and at_most_one, if and none_of, if and "
            f"any_of, or any_of, each a list of attributes. Received: {entry}"
        )
    return LabelRule(kinds[0], tuple(entry[kinds[0]]), entry["reason"], entry.get("if"))
