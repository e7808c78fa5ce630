import math

import pytest

from tests.experiments.run_files import write_failure, write_result
from tfac.experiments.plan import workdir
from tfac.experiments.results import METRICS, Spread, read_outcomes

ACCURACY = METRICS["accuracy"]


def test_spread_is_the_mean_and_sample_deviation_of_what_is_defined():
    spread = Spread.of([1.0, math.nan, 3.0])
    assert (spread.mean, spread.count) == (2.0, 2)
    assert spread.deviation == pytest.approx(math.sqrt(2))
    assert math.isnan(Spread.of([1.0]).deviation) and math.isnan(Spread.of([]).mean)


def test_outcomes_hold_results_failures_and_what_does_not_count(tmp_path):
    write_result(tmp_path, "dmm_cnn", 0, 90.0)
    write_result(tmp_path, "dmm_cnn", 10, 92.0)
    write_result(tmp_path, "dmm_cnn", 2, 50.0, split="validation")
    write_failure(tmp_path, "dmm_cnn", 3, "no memory")
    workdir(tmp_path, "small", "dmm_cnn", 4).mkdir()
    outcome = read_outcomes(tmp_path, "small", "test")["dmm_cnn"]
    assert outcome.values(ACCURACY) == {0: 90.0, 10: 92.0}
    assert outcome.failures == {3: "no memory"}
    assert outcome.others == {2: "judged on validation", 4: "not finished"}
    assert outcome.by_attribute(("trained", "accuracy"))["Young"] == 91.0
    assert outcome.cost("images_per_second") == 105
    assert math.isnan(outcome.spread(METRICS["landmark error"]).mean)  # no landmark branch
    assert math.isnan(outcome.spread(METRICS["average precision"]).mean)  # null in the file


def test_differences_are_within_a_seed(tmp_path):
    for seed, (ours, theirs) in {0: (91.0, 90.0), 1: (81.0, 78.0)}.items():
        write_result(tmp_path, "dmm_cnn", seed, ours)
        write_result(tmp_path, "baseline", seed, theirs)
    write_result(tmp_path, "dmm_cnn", 2, 0.0)
    outcomes = read_outcomes(tmp_path, "small", "test")
    difference = outcomes["dmm_cnn"].difference(outcomes["baseline"], ACCURACY)
    assert (difference.mean, difference.count) == (2.0, 2)


def test_experiments_of_the_same_options_share_results(tmp_path):
    write_result(tmp_path, "baseline", 0, 90.0)
    shared = read_outcomes(tmp_path, "small", "test")["mgg_baseline"]
    assert shared.ran_as == "baseline" and shared.values(ACCURACY) == {0: 90.0}


def test_options_that_are_not_the_protocol_s_are_found(tmp_path):
    write_result(tmp_path, "baseline", 1, 90.0, epochs=2)
    write_result(tmp_path, "dmm_cnn", 1, 90.0)
    outcomes = read_outcomes(tmp_path, "small", "test")
    assert outcomes["baseline"].departures() == {"epochs": 2}
    assert outcomes["dmm_cnn"].departures() == {}
