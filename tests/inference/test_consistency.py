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


def brute_force(given, losses):
    """Of all answers that break no rule, in plain loops, the one that loses least."""
    best, least = None, np.inf
    for answer in itertools.product((0, 1), repeat=len(NAMES)):
        loss = sum(
            loss for loss, one, other in zip(losses, given, answer, strict=True) if one != other
        )
        if loss < least and not breaks(NAMES, RULES, np.array([answer]))[0]:
            best, least = answer, loss
    return best


def test_answers_are_those_of_brute_force():
    rng = np.random.default_rng(0)
    given, losses = rng.random((200, 6)) < 0.4, rng.random((200, 6), np.float32)
    answers = np.asarray(ConsistentAnswers(NAMES, RULES)(given, losses))
    np.testing.assert_array_equal(
        answers, [brute_force(*row) for row in zip(given, losses, strict=True)]
    )
    kept = ~breaks(NAMES, RULES, given)
    assert 20 < kept.sum() < 180
    np.testing.assert_array_equal(answers[kept], given[kept])


def test_celeba_s_answers_hold_together_in_a_graph_too():
    rng = np.random.default_rng(1)
    given, losses = rng.random((500, 40)) < 0.5, rng.random((500, 40), np.float32)
    rules = celeba_rules(ATTRIBUTES)
    consistent = ConsistentAnswers(ATTRIBUTES, rules)
    assert breaks(ATTRIBUTES, rules, given).mean() > 0.9
    answers = np.asarray(consistent(given, losses))
    assert not breaks(ATTRIBUTES, rules, answers).any()
    free = [name not in str(rules) for name in ATTRIBUTES]
    np.testing.assert_array_equal(answers[:, free], given[:, free])
    graph = tf.function(consistent)(tf.constant(given), tf.constant(losses))
    np.testing.assert_array_equal(graph, answers)


def test_what_broke_no_rule_stays_even_if_turning_it_over_loses_nothing():
    given = np.array([[True, True, False, False, False, False]])
    answers = ConsistentAnswers(NAMES, RULES)(given, np.zeros((1, 6), np.float32))
    np.testing.assert_array_equal(answers, given)


def test_without_rules_answers_are_those_given():
    given = np.array([[True, False, False]])
    answers = ConsistentAnswers(NAMES[:3], ())(given, np.ones((1, 3), np.float32))
    np.testing.assert_array_equal(answers, given)


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
