"""What labels cannot be together: rules as data, and the pictures that break them.

A file of rules is JSON with ``label_rules``, a list; ``celeba_label_rules.json`` here has CelebA's.
A rule is

- ``{"at_most_one": [A, B, ...]}``: two of them are not shown together;
- ``{"if": A, "none_of": [B, ...]}``: what shows A shows none of the others;
- ``{"if": A, "any_of": [B, ...]}``: what shows A shows one of the others at least;
- ``{"any_of": [A, B, ...]}``: each picture shows one of them at least;

each with its ``"reason"``, a text. A label that nobody gave breaks none.
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tfac.errors import DataError
from tfac.files import read_json

CELEBA_RULES = Path(__file__).with_name("celeba_label_rules.json")

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

    def find(
        self, attributes: Sequence[str], labels: np.ndarray, mask: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
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


def read_rules(path: Path, attributes: Sequence[str]) -> list[LabelRule]:
    """Reads a file of rules for a data set with these attributes.

    Of CelebA's own, names that the data set does not have are left out, and so are rules that then
    say nothing.

    Raises:
        DataError: the file is no list of rules, or names attributes that the data set lacks.
    """
    content = read_json(path, "label rules as JSON")
    if list(content) != ["label_rules"] or not isinstance(content["label_rules"], list):
        raise DataError(f"{path}: expected label_rules, a list. Received: {', '.join(content)}")
    rules = []
    for entry in content["label_rules"]:
        rule = _parse(entry, path)
        known = tuple(name for name in rule.names if name in attributes)
        complete = known == rule.names and (rule.condition or known[0]) in attributes
        if complete:
            rules.append(rule)
        elif path != CELEBA_RULES:
            raise DataError(
                f"{path}: expected attributes among {', '.join(attributes)}. Received: {entry}"
            )
        elif rule.kind == "at_most_one" and len(known) > 1:
            rules.append(dataclasses.replace(rule, names=known))
        elif rule.kind == "none_of" and known and rule.condition in attributes:
            rules.append(dataclasses.replace(rule, names=known))
    return rules


def _parse(entry, path: Path) -> LabelRule:
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
        raise DataError(
            f"{path}: expected a rule with a reason and at_most_one, if and none_of, if and "
            f"any_of, or any_of, each a list of attributes. Received: {entry}"
        )
    return LabelRule(kinds[0], tuple(entry[kinds[0]]), entry["reason"], entry.get("if"))
