import pytest

pytest.importorskip("tensorflow_model_analysis")

from pipelines.components.estimates import Estimate
from pipelines.components.slice_analysis import _possible


def test_intervals_end_where_rates_do():
    rates = {"accuracy": Estimate(97.0, 88.3, 105.7), "balanced_accuracy": Estimate(1, -3, 5)}
    rates["true_positive_rate"] = Estimate(None, None, None)
    assert _possible(rates, 0.0) == {
        "accuracy": Estimate(97.0, 88.3, 100.0),
        "balanced_accuracy": Estimate(1, 0.0, 5),
        "true_positive_rate": Estimate(None, None, None),
    }
    assert _possible({"accuracy": Estimate(-97.0, -103.0, -91.0)}, -100.0) == {
        "accuracy": Estimate(-97.0, -100.0, -91.0)
    }
