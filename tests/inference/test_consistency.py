import itertools

import numpy as np
import pytest
import tensorflow as tf

from tfac.attributes import ATTRIBUTES
from tfac.errors import ConfigError
from tfac.inference.consistency import ConsistentAnswers
from tfac.label_rules import LabelRule, celeba_rules

NAMES = ("A", "B", "C", "D", "E", "F")
RULES = (
    LabelRule("at_most_one", ("B", "C", "D"), ""),
    LabelRule("none_of", ("B",), "", "F"),
    LabelRule("any_of", ("A", "E"), ""),
)


def breaks(names, rules, answers):
    known = np.ones(answers.shape, bool)
    return np.any([rule.find(names, answers, known)[0] for rule in rules], axis=0)


def brute_force(margins):
    """Of all answers that break no rule, in plain loops, the one with the highest log-odds."""
    best, most = None, -np.inf
    for answer in itertools.product((0, 1), repeat=len(NAMES)):
        odds = sum(
            margin if shown else -margin for margin, shown in zip(margins, answer, strict=True)
        )
        if odds > most and not breaks(NAMES, RULES, np.array([answer]))[0]:
            best, most = answer, odds
    return best


def test_answers_are_those_of_brute_force():
    margins = np.random.default_rng(0).normal(size=(200, 6)).astype(np.float32)
    answers = np.asarray(ConsistentAnswers(NAMES, RULES)(margins))
    np.testing.assert_array_equal(answers, [brute_force(row) for row in margins])
    given = (margins > 0).astype(np.float32)
    kept = ~breaks(NAMES, RULES, given)
    assert 20 < kept.sum() < 180
    np.testing.assert_array_equal(answers[kept], given[kept])


def test_celeba_s_answers_hold_together_in_a_graph_too():
    margins = np.random.default_rng(1).normal(size=(500, 40)).astype(np.float32)
    rules, consistent = (
        celeba_rules(ATTRIBUTES),
        ConsistentAnswers(ATTRIBUTES, celeba_rules(ATTRIBUTES)),
    )
    assert breaks(ATTRIBUTES, rules, margins > 0).mean() > 0.9
    answers = np.asarray(consistent(margins))
    assert not breaks(ATTRIBUTES, rules, answers).any()
    free = [name not in str(rules) for name in ATTRIBUTES]
    np.testing.assert_array_equal(answers[:, free], margins[:, free] > 0)
    np.testing.assert_array_equal(tf.function(consistent)(tf.constant(margins)), answers)


def test_what_broke_no_rule_stays_whatever_the_margins():
    margins = np.float32([[1e-7, 1e30, -1e-7, 0, -1e30, -1e30]])
    answers = np.asarray(ConsistentAnswers(NAMES, RULES)(margins))
    np.testing.assert_array_equal(answers, [[1, 1, 0, 0, 0, 0]])


def test_without_rules_answers_are_those_of_the_thresholds():
    margins = np.float32([[1, -1, 0]])
    np.testing.assert_array_equal(ConsistentAnswers(NAMES[:3], ())(margins), [[1, 0, 0]])


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ([LabelRule("at_most_one", tuple(f"N{i}" for i in range(17)), "")], "at most 16.*N0, N1"),
        ([LabelRule("any_of", tuple(f"N{i}" for i in range(13)), "")], "to 4096.*Received: 8191"),
        (
            [
                LabelRule("any_of", ("N0",), ""),
                LabelRule("any_of", ("N1",), ""),
                LabelRule("none_of", ("N1",), "", "N0"),
            ],
            "1 to 4096 combinations of N0, N1.*Received: 0",
        ),
    ],
)
def test_rules_without_an_answer_or_with_too_many_are_refused(rules, message):
    with pytest.raises(ConfigError, match=message):
        ConsistentAnswers([f"N{i}" for i in range(17)], rules)
