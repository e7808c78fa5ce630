import json

import numpy as np
import pytest

from tfac.attributes import ATTRIBUTES
from tfac.errors import DataError
from tfac.label_rules import LabelRule, celeba_rules, read_rules

NAMES = ("A", "B", "C")
# Shown, hidden and not annotated.
ROWS = ["110", "100", "000", "1?1", "0?0", "1?0", "???"]
LABELS = np.array([[int(cell == "1") for cell in row] for row in ROWS], np.uint8)
MASK = np.array([[cell != "?" for cell in row] for row in ROWS])


@pytest.mark.parametrize(
    ("rule", "broken", "about"),
    [
        (LabelRule("at_most_one", NAMES, ""), [0, 3], [0, 1, 3, 5]),
        (LabelRule("none_of", ("B", "C"), "", "A"), [0, 3], [0, 1, 3, 5]),
        (LabelRule("any_of", ("B", "C"), "", "A"), [1], [0, 1, 3, 5]),
        (LabelRule("any_of", NAMES, ""), [2], [0, 1, 2]),
    ],
)
def test_rules_find_what_certainly_breaks_them(rule, broken, about):
    found = rule.find(NAMES, LABELS, MASK)
    assert [np.flatnonzero(rows).tolist() for rows in found] == [broken, about]


def test_celeba_s_rules_are_read_as_far_as_the_attributes_are_there():
    assert len(celeba_rules(ATTRIBUTES)) == 10
    rules = celeba_rules(("Black_Hair", "Gray_Hair", "No_Beard", "Goatee"))
    assert [str(rule) for rule in rules] == [
        "more than one of Black_Hair, Gray_Hair",
        "No_Beard with Goatee",
    ]
    assert celeba_rules(("Scarf",)) == ()


def test_own_rules_come_by_file(tmp_path):
    path = tmp_path / "rules.json"
    rule = {"if": "A", "any_of": ["B"], "reason": "so it is"}
    path.write_text(json.dumps({"label_rules": [rule]}))
    assert read_rules(path, NAMES) == (LabelRule("any_of", ("B",), "so it is", "A"),)
    with pytest.raises(DataError, match="rules.json: label_rules: expected attributes among A, C"):
        read_rules(path, ("A", "C"))


@pytest.mark.parametrize(
    "rule",
    [
        {"any_of": ["A"]},
        {"any_of": [], "reason": ""},
        {"any_of": ["A"], "none_of": ["B"], "reason": ""},
        {"none_of": ["A"], "reason": ""},
        {"if": "B", "at_most_one": ["A"], "reason": ""},
        {"any_of": "A", "reason": ""},
        {"any_of": ["A"], "unless": "B", "reason": ""},
        "any_of",
    ],
)
def test_a_rule_of_another_form_is_refused(tmp_path, rule):
    path = tmp_path / "rules.json"
    path.write_text(json.dumps({"label_rules": [rule]}))
    with pytest.raises(DataError, match="rules.json: label_rules: expected a rule with a reason"):
        read_rules(path, NAMES)
