import json

import numpy as np
import pytest
from model_samples import model_of

from pipelines.components.estimates import BASELINE, CANDIDATE, CHANGE, MEAN, Analysis, Estimate
from pipelines.components.evaluator import Limits, evaluator, find_export, find_reasons
from pipelines.engine.artifacts import Examples, Model, ModelBlessing, ModelEvaluation
from tfac.errors import DataError

LIMITS = Limits(
    min_balanced_accuracy=60,
    min_accuracy=50,
    min_slice_balanced_accuracy=55,
    max_gap=10,
    max_loss=1,
    max_attribute_loss=15,
)


def rates(value: float | None) -> dict[str, Estimate]:
    """The same for both rates, with an interval of two points around it."""
    ends = (None, None) if value is None else (value - 1, value + 1)
    estimate = Estimate(value, *ends)
    return {"accuracy": estimate, "balanced_accuracy": estimate}


def analysis_of(candidate: dict, baseline: dict | None = None, slices=(), gaps=()) -> Analysis:
    models = {CANDIDATE: {name: rates(value) for name, value in candidate.items()}}
    if baseline:
        models[BASELINE] = {name: rates(value) for name, value in baseline.items()}
        models[CHANGE] = {name: rates(candidate[name] - baseline[name]) for name in candidate}
    parts = {name: {CANDIDATE: {MEAN: rates(value)}} for name, value in dict(slices).items()}
    return Analysis({"": models, **parts}, {pair: rates(gap) for pair, gap in dict(gaps).items()})


def test_model_that_keeps_all_limits_has_no_reasons():
    slices, gaps = {"Male=1": 56, "Male=0": 64}, {("Male=1", "Male=0"): -8}
    found = analysis_of({MEAN: 60, "Bald": 20}, {MEAN: 61, "Bald": 35}, slices, gaps)
    assert list(find_reasons(found, LIMITS)) == []


@pytest.mark.parametrize(
    "found, reason",
    [
        (
            analysis_of({MEAN: 59}),
            "mean balanced accuracy: expected 60 % or more. Received: 59.00 (95 % interval 58.00 "
            "to 60.00)",
        ),
        (
            analysis_of({MEAN: 70}, slices={"Male=1": 54, "Young=1": None}),
            "Male=1: mean balanced accuracy: expected 55 % or more. Received: 54.00 (95 % interval "
            "53.00 to 55.00)",
        ),
        (
            analysis_of({MEAN: 70}, gaps={("Male=1", "Male=0"): -12}),
            "Male=1 and Male=0: mean balanced accuracy: expected at most 10 points apart. "
            "Received: 12.00 (95 % interval 11.00 to 13.00)",
        ),
        (
            analysis_of({MEAN: 70}, {MEAN: 75}),
            "mean balanced accuracy: expected at most 1 points less than the model in service has. "
            "Received: 5.00 (95 % interval 4.00 to 6.00)",
        ),
        (
            analysis_of({MEAN: 70, "Bald": 20}, {MEAN: 70, "Bald": 80}),
            "Bald: balanced accuracy: expected at most 15 points less than the model in service "
            "has. Received: 20.00 % after 80.00 %",
        ),
        (
            analysis_of({MEAN: 70, "Bald": 80}, {MEAN: 70, "Bald": 20}),
            "Bald: the model in service has 20.00 % balanced accuracy, less than chance: are the "
            "labels turned over?",
        ),
    ],
)
def test_each_limit_has_its_reason(found, reason):
    assert list(find_reasons(found, LIMITS)) == [reason]


def test_attribute_is_not_held_against_a_model_where_chance_explains_it():
    wide, unknown = Estimate(-30.0, -61.0, 1.0), Estimate(-30.0, None, None)
    for change in (wide, unknown):
        found = analysis_of({MEAN: 70, "Bald": 50}, {MEAN: 70, "Bald": 80})
        found.slices[""][CHANGE]["Bald"]["balanced_accuracy"] = change
        assert list(find_reasons(found, LIMITS)) == []


def test_what_cannot_be_measured_is_not_blessed():
    reasons = list(find_reasons(analysis_of({MEAN: None}), LIMITS))
    assert len(reasons) == 2 and all("no attribute has both" in reason for reason in reasons)


def test_model_without_export_is_refused(tmp_path):
    with pytest.raises(DataError, match="expected one exported model. Received: 0"):
        find_export(Model(tmp_path))


def evaluate(records, tmp_path, model, baseline=None, **parameters):
    evaluation, blessing = ModelEvaluation(tmp_path / "e"), ModelBlessing(tmp_path / "b")
    for output in (evaluation, blessing):
        output.path.mkdir()
    evaluator(Examples(records), model, baseline, evaluation, blessing, **parameters)
    return evaluation, blessing


@pytest.mark.slow
def test_evaluation_says_what_tfac_evaluate_says(tiny_records, tiny_export, tmp_path):
    pytest.importorskip("tensorflow_model_analysis")
    from tfac.export.model_card import write_model_card

    model = model_of(tiny_export, tmp_path / "model")
    evaluation, blessing = evaluate(
        tiny_records,
        tmp_path,
        model,
        model,
        split="train",
        min_balanced_accuracy=99.0,
        max_attribute_loss=60.0,
        max_contradictions=1.0,
    )
    report = json.loads((evaluation.path / "metrics.json").read_text())
    found = json.loads((evaluation.path / "validation.json").read_text())
    pairs = [(report, found["slices"][""])]
    pairs += [(report["slices"][name], found["slices"][name]) for name in found["slices"] if name]
    assert len(pairs) > 5
    for part, models in pairs:
        for rate in ("accuracy", "balanced_accuracy"):
            mean = models["candidate"][MEAN][rate]
            np.testing.assert_allclose(
                np.float64(part[f"mean_{rate}"]), np.float64(mean["value"]), rtol=1e-9
            )
            for attribute, values in part["attributes"].items():
                estimate = models["candidate"][attribute][rate]["value"]
                np.testing.assert_allclose(
                    np.float64(values[rate]), np.float64(estimate), rtol=1e-9
                )
    whole = found["slices"][""]
    mean = whole["candidate"][MEAN]["accuracy"]
    assert mean["low"] < mean["value"] < mean["high"]
    assert whole["change"][MEAN]["accuracy"] == {"value": 0, "low": 0, "high": 0}
    assert {tuple(gap["slices"]) for gap in found["gaps"]} > {("Male=1", "Male=0")}
    assert blessing.properties["blessed"] is False
    assert (
        (blessing.path / "NOT_BLESSED").read_text().startswith("mean balanced accuracy: expected")
    )
    assert report["contradictions"] > 1
    (reason,) = [each for each in found["reasons"] if "label rule" in each]
    assert f"at most 1 % of the pictures. Received: {report['contradictions']:.2f}" in reason
    metadata = json.loads((find_export(model) / "assets.extra" / "tfac.json").read_text())
    write_model_card(tmp_path, metadata, report)
