"""Rates of right answers with their intervals, as the Evaluator judges them."""

import dataclasses

CANDIDATE, BASELINE, CHANGE = "candidate", "baseline", "change"
RATES = ("accuracy", "balanced_accuracy", "true_positive_rate", "true_negative_rate")
ALL = ""  # the slice of all pictures
MEAN = ""  # in an attribute's place: the mean over those for which the rate is defined
UNKNOWN = -1  # in a label's or an answer's place


@dataclasses.dataclass(frozen=True)
class Estimate:
    """A rate and its 95 % interval in percent; None for what is undefined."""

    value: float | None
    low: float | None
    high: float | None


Rates = dict[str, dict[str, Estimate]]  # by attribute (or MEAN), then by rate


@dataclasses.dataclass(frozen=True)
class Analysis:
    """What TFMA found.

    Attributes:
        slices: by slice (ALL, "Male=1*Young=0"), then by CANDIDATE, BASELINE and CHANGE, the
            candidate's minus the baseline's over the attributes that both have.
        gaps: by two slices of a slicing: the candidate's rates in the first minus those in the
            second, means over the attributes that have positives and negatives in all its slices.
    """

    slices: dict[str, dict[str, Rates]]
    gaps: dict[tuple[str, str], dict[str, Estimate]]
