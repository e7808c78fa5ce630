"""Evaluator: how good a model is, for whom, and whether it may go into service."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from pipelines.components.beam import create_workers
from pipelines.components.estimates import (
    ALL,
    BASELINE,
    CANDIDATE,
    CHANGE,
    MEAN,
    RATES,
    UNKNOWN,
    Analysis,
    Estimate,
    Rates,
)
from pipelines.components.features import BEAM_RUNNER, SLICES, TEST
from pipelines.engine.artifacts import (
    Examples,
    Input,
    Model,
    ModelBlessing,
    ModelEvaluation,
    Output,
)
from pipelines.engine.component import component
from tfac.errors import DataError
from tfac.files import write_json

METRICS_FILE, VALIDATION_FILE, TFMA_FOLDER = "metrics.json", "validation.json", "tfma"
BLESSED_FILE, NOT_BLESSED_FILE = "BLESSED", "NOT_BLESSED"

_RATE = "balanced_accuracy"  # what models are compared by: 50 % is chance for every attribute


@dataclasses.dataclass(frozen=True)
class Limits:
    """What a model has to reach to be blessed, all in points of percent; see `evaluator`."""

    min_balanced_accuracy: float
    min_accuracy: float
    min_slice_balanced_accuracy: float
    max_gap: float
    max_loss: float
    max_attribute_loss: float
    max_contradictions: float = 100.0


@component(neutral=("batch_size", "beam_runner", "beam_options"))
def evaluator(
    examples: Input[Examples],
    model: Input[Model],
    baseline: Input[Model] | None,
    evaluation: Output[ModelEvaluation],
    blessing: Output[ModelBlessing],
    *,
    split: str = TEST,
    min_balanced_accuracy: float = 55.0,
    min_accuracy: float = 0.0,
    min_slice_balanced_accuracy: float = 0.0,
    max_gap: float = 100.0,
    max_loss: float = 0.5,
    max_attribute_loss: float = 15.0,
    max_contradictions: float = 100.0,
    batch_size: int = 64,
    beam_runner: str = BEAM_RUNNER,
    beam_options: list[str] | None = None,
) -> None:
    """Evaluates what would be served, by attribute and slice, and blesses it if it is good enough.

    Args:
        examples: the data set.
        model: the candidate; its export is what is asked.
        baseline: the model in service, which is asked about the same pictures.
        evaluation: metrics.json as tfac-evaluate writes it; tfma/, TFMA's own result; and
            validation.json: `blessed`, `reasons`, and TFMA's estimates with their intervals in
            `slices` and `gaps`. Its properties are the mean rates in percent.
        blessing: BLESSED or NOT_BLESSED; its properties are `blessed` and `reasons`, a sentence for
            each limit that the candidate does not keep.
        split: what is evaluated on.
        min_balanced_accuracy: the least mean balanced accuracy, percent.
        min_accuracy: the least mean accuracy, percent.
        min_slice_balanced_accuracy: the least mean balanced accuracy in any slice, percent.
        max_gap: how far mean balanced accuracies of two slices may be apart, points.
        max_loss: how far the mean balanced accuracy may be below the baseline's, points.
        max_attribute_loss: the same for every attribute alone, where it is more than chance
            explains; it also says how far below 50 % the baseline has to be for an attribute's
            labels to count as turned over.
        max_contradictions: how many pictures may have answers that break a label rule, percent.
        batch_size: pictures at once.
        beam_runner: Beam's runner; all of its workers see the same files.
        beam_options: the runner's options, such as "--direct_num_workers=2".

    Raises:
        ConfigError: the data set lacks an attribute that a model predicts.
        DataError: the data set or a model is broken, or the split has no pictures.
    """
    from pipelines.components.slice_analysis import analyse
    from tfac.data.records.info import read_info
    from tfac.evaluation.report import summarise, write_report
    from tfac.inference.exported_network import load_exported_network

    info = read_info(examples.path)
    if not info.splits.get(split):
        raise DataError(f"split {split} of {info.path}: expected pictures. Received: none")
    candidate = load_exported_network(find_export(model))
    scores = _score(candidate, info, split, batch_size)
    attributes = candidate.attributes
    slicings = [names for names in SLICES if set(names) <= set(attributes)]
    report = {
        "model": model.properties.get("name", ""),
        "data_set": info.name,
        "split": split,
        "thresholds": "trained",
        "consistent": candidate.consistent,
        **summarise(
            attributes, candidate.thresholds, scores, slicings, candidate.groups.label_rules
        ),
    }
    write_report(report, evaluation.path / METRICS_FILE)
    answers = {CANDIDATE: _answers(candidate, scores, attributes)}
    if baseline is not None:
        before = load_exported_network(find_export(baseline))
        before_scores = _score(before, info, split, batch_size)
        answers[BASELINE] = _answers(before, before_scores, attributes)
    analysis = analyse(
        evaluation.path / TFMA_FOLDER,
        attributes,
        np.where(scores.label_mask > 0.5, scores.labels > 0.5, UNKNOWN),
        answers,
        slicings,
        create_workers(beam_runner, beam_options).pipeline_options(),
    )
    limits = Limits(
        min_balanced_accuracy,
        min_accuracy,
        min_slice_balanced_accuracy,
        max_gap,
        max_loss,
        max_attribute_loss,
        max_contradictions,
    )
    reasons = list(find_reasons(analysis, limits))
    found = report.get("contradictions", 0)
    if found > max_contradictions:
        reasons.append(
            f"answers that break a label rule: expected at most {max_contradictions:g} % of the "
            f"pictures. Received: {found:.2f}"
        )
    _write(analysis, limits, reasons, evaluation, blessing)
    means = analysis.slices[ALL][CANDIDATE][MEAN]
    evaluation.properties |= {f"mean_{rate}": means[rate].value for rate in RATES}


def find_export(model: Model) -> Path:
    """Returns the folder of a model's SavedModel, the only one that it has.

    Raises:
        DataError: there is none, or more than one.
    """
    found = sorted((model.path / "saved_model").glob("*/*/saved_model.pb"))
    if len(found) != 1:
        raise DataError(
            f"{model.path / 'saved_model'}: expected one exported model. Received: {len(found)}"
        )
    return found[0].parent


def find_reasons(analysis: Analysis, limits: Limits) -> Iterator[str]:
    """Yields, in words, why a model is not good enough; nothing where it is."""
    candidate = analysis.slices[ALL][CANDIDATE]
    minima = {_RATE: limits.min_balanced_accuracy, "accuracy": limits.min_accuracy}
    for rate, least in minima.items():
        found = candidate[MEAN][rate]
        if not _reaches(found, least):
            yield f"mean {_words(rate)}: expected {least:g} % or more. {_got(found)}"
    for name, by_model in analysis.slices.items():
        found = by_model[CANDIDATE][MEAN][_RATE]
        least = limits.min_slice_balanced_accuracy
        if name != ALL and found.value is not None and found.value < least:
            yield f"{name}: mean {_words(_RATE)}: expected {least:g} % or more. {_got(found)}"
    for (first, second), rates in analysis.gaps.items():
        gap = rates[_RATE]
        if gap.value is not None and abs(gap.value) > limits.max_gap:
            yield (
                f"{first} and {second}: mean {_words(_RATE)}: expected at most "
                f"{limits.max_gap:g} points apart. {_got(_turned(gap) if gap.value < 0 else gap)}"
            )
    if CHANGE in analysis.slices[ALL]:
        yield from _losses(analysis.slices[ALL], limits)


def _losses(models: Mapping[str, Rates], limits: Limits) -> Iterator[str]:
    """Yields what the candidate does worse than the model in service."""
    change = models[CHANGE][MEAN][_RATE]
    if change.value is not None and change.value < -limits.max_loss:
        yield (
            f"mean {_words(_RATE)}: expected at most {limits.max_loss:g} points less than the "
            f"model in service has. {_got(_turned(change))}"
        )
    for attribute, rates in models[CHANGE].items():
        loss, before = rates[_RATE], models[BASELINE][attribute][_RATE]
        after = models[CANDIDATE][attribute][_RATE]
        if attribute == MEAN or loss.value is None:
            continue
        if loss.value < -limits.max_attribute_loss and _is_below(loss, 0):
            yield (
                f"{attribute}: {_words(_RATE)}: expected at most {limits.max_attribute_loss:g} "
                f"points less than the model in service has. Received: {after.value:.2f} % after "
                f"{before.value:.2f} %"
            )
        elif before.value < 50 - limits.max_attribute_loss and _is_below(before, 50):
            yield (
                f"{attribute}: the model in service has {before.value:.2f} % {_words(_RATE)}, less "
                "than chance: are the labels turned over?"
            )


def _reaches(estimate: Estimate, least: float) -> bool:
    # Where nothing could be measured, nothing is known to be good.
    return estimate.value is not None and estimate.value >= least


def _words(rate: str) -> str:
    return rate.replace("_", " ")


def _got(estimate: Estimate) -> str:
    if estimate.value is None:
        return "Received: none, as no attribute has both positives and negatives"
    return f"Received: {estimate.value:.2f}{_interval(estimate)}"


def _interval(estimate: Estimate) -> str:
    if estimate.low is None:
        return ""
    return f" (95 % interval {estimate.low:.2f} to {estimate.high:.2f})"


def _turned(estimate: Estimate) -> Estimate:
    """Returns a difference the other way round."""
    if estimate.low is None:
        return Estimate(-estimate.value, None, None)
    return Estimate(-estimate.value, -estimate.high, -estimate.low)


def _is_below(estimate: Estimate, bound: float) -> bool:
    """Returns whether a rate is below a bound by more than chance explains."""
    return estimate.high is not None and estimate.high < bound


def _write(
    analysis: Analysis,
    limits: Limits,
    reasons: Sequence[str],
    evaluation: ModelEvaluation,
    blessing: ModelBlessing,
) -> None:
    verdict = {"blessed": not reasons, "reasons": list(reasons)}
    content = {
        **verdict,
        "limits": dataclasses.asdict(limits),
        "slices": {
            name: {
                model: {attribute: _as_json(rates) for attribute, rates in by_attribute.items()}
                for model, by_attribute in by_model.items()
            }
            for name, by_model in analysis.slices.items()
        },
        "gaps": [
            {"slices": list(pair), **_as_json(rates)} for pair, rates in analysis.gaps.items()
        ],
    }
    write_json(evaluation.path / VALIDATION_FILE, content)
    name = NOT_BLESSED_FILE if reasons else BLESSED_FILE
    (blessing.path / name).write_text("".join(f"{reason}\n" for reason in reasons), "utf-8")
    blessing.properties |= verdict


def _as_json(rates: Mapping[str, Estimate]) -> dict[str, dict[str, float | None]]:
    return {rate: dataclasses.asdict(estimate) for rate, estimate in rates.items()}


def _score(model, info, split: str, batch_size: int):
    from tfac.data.records.pipeline import evaluation_dataset, read_batches
    from tfac.evaluation.split_scores import score_split

    dataset = evaluation_dataset(info, split, image_size=model.image_size, batch_size=batch_size)
    return score_split(model, read_batches(dataset, info, split), info)


def _answers(model, scores, attributes: Sequence[str]) -> np.ndarray:
    """Returns a model's answers [N, A] to `attributes`, UNKNOWN to those that it does not know."""
    predictions = np.asarray(model.answers(scores.scores)).astype(int)
    answers = np.full((len(predictions), len(attributes)), UNKNOWN)
    for a, name in enumerate(attributes):
        if name in model.attributes:
            answers[:, a] = predictions[:, model.attributes.index(name)]
    return answers
