"""TensorFlow Model Analysis on answers computed before: rates by attribute and slice, with gaps.

One metric of TFMA's kind counts the right and wrong answers to all attributes at once. Slices and
intervals (jackknife over 20 parts of the pictures) are TFMA's own; its differences between slices
take minutes, so those are made here. With a baseline the same pass compares the two models picture
by picture, so that the interval of a change is that of a paired comparison.
"""

import itertools
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import apache_beam as beam
import numpy as np
import tensorflow_model_analysis as tfma
from apache_beam.options.pipeline_options import PipelineOptions
from tensorflow_model_analysis.metrics import metric_types
from tensorflow_model_analysis.proto import config_pb2

from pipelines.components.estimates import (
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

_COMPARED = "compared by "  # before a slicing's name: the mean that its gaps are between
_SEED = 0  # of the parts that the intervals come from


def analyse(
    folder: Path,
    attributes: Sequence[str],
    labels: np.ndarray,
    answers: Mapping[str, np.ndarray],
    slicings: Sequence[tuple[str, ...]],
    options: PipelineOptions,
) -> Analysis:
    """Runs TFMA on Beam and reads what it has written.

    Args:
        folder: where to; `tfma.load_eval_result` reads it.
        attributes: names [A].
        labels: int [N, A]: 0, 1 or UNKNOWN.
        answers: CANDIDATE's and perhaps BASELINE's, each as the labels.
        slicings: attributes to slice by; several are crossed.
        options: Beam's.
    """
    config = _eval_config(attributes, labels, list(answers), slicings)
    pictures = list(_extracts(attributes, labels, answers, slicings))
    with beam.Pipeline(options=options) as pipeline:
        _ = (
            pipeline
            | beam.Create(pictures)
            | tfma.ExtractEvaluateAndWriteResults(
                eval_config=config,
                extractors=[tfma.extractors.SliceKeyExtractor(eval_config=config)],
                evaluators=tfma.default_evaluators(
                    eval_config=config, random_seed_for_testing=_SEED
                ),
                output_path=str(folder),
            )
        )
    return _read_analysis(folder, slicings)


def _extracts(
    attributes: Sequence[str],
    labels: np.ndarray,
    answers: Mapping[str, np.ndarray],
    slicings: Sequence[tuple[str, ...]],
) -> Iterator[dict]:
    sliced = {name: attributes.index(name) for name in itertools.chain(*slicings)}
    stacked = np.stack(list(answers.values()), axis=1)  # [N, models, A]
    for own_labels, own_answers in zip(labels, stacked, strict=True):
        known = {name: a for name, a in sliced.items() if own_labels[a] != UNKNOWN}
        yield {
            tfma.LABELS_KEY: own_labels,
            tfma.PREDICTIONS_KEY: own_answers,
            tfma.FEATURES_KEY: {name: own_labels[[a]] for name, a in known.items()},
        }


def _eval_config(
    attributes: Sequence[str],
    labels: np.ndarray,
    models: Sequence[str],
    slicings: Sequence[tuple[str, ...]],
) -> config_pb2.EvalConfig:
    config = config_pb2.EvalConfig(
        model_specs=[config_pb2.ModelSpec()],
        slicing_specs=[
            config_pb2.SlicingSpec(),
            *(config_pb2.SlicingSpec(feature_keys=slicing) for slicing in slicings),
        ],
    )
    means = {MEAN: list(attributes)}
    means |= {_mean_of(s): _with_both_classes(attributes, labels, s) for s in slicings}
    config.metrics_specs.add().metrics.add(
        class_name=AnswerRates.__name__,
        module=AnswerRates.__module__,
        config=json.dumps({"attributes": list(attributes), "models": list(models), "means": means}),
    )
    config.options.compute_confidence_intervals.value = True
    config.options.confidence_intervals.method = config_pb2.ConfidenceIntervalOptions.JACKKNIFE
    return config


def _mean_of(slicing: tuple[str, ...]) -> str:
    return f"{_COMPARED}{'*'.join(slicing)}"


def _with_both_classes(
    attributes: Sequence[str], labels: np.ndarray, slicing: tuple[str, ...]
) -> list[str]:
    """Returns the attributes that have positives and negatives in every slice of a slicing."""
    columns = labels[:, [attributes.index(name) for name in slicing]]
    known = (columns != UNKNOWN).all(axis=1)
    slices, rows = np.unique(columns[known], axis=0, return_inverse=True)
    inside = [labels[known][rows.ravel() == number] for number in range(len(slices))]
    both = np.array([(part == 0).any(axis=0) & (part == 1).any(axis=0) for part in inside])
    return [name for a, name in enumerate(attributes) if both[:, a].all()]


class AnswerRates(metric_types.Metric):
    """Rates of right answers to each attribute and their means, of one or two models."""

    def __init__(
        self,
        attributes: list[str],
        models: list[str],
        means: dict[str, list[str]],
        name: str = "answer_rates",
    ):
        super().__init__(
            _rate_computations, name=name, attributes=attributes, models=models, means=means
        )


def _rate_computations(
    attributes: list[str], models: list[str], means: dict[str, list[str]], name: str = ""
) -> metric_types.MetricComputations:
    combiner = _RateCombiner(attributes, models, means)
    return [
        metric_types.MetricComputation(
            keys=list(combiner.keys.values()), preprocessors=None, combiner=combiner
        )
    ]


class _RateCombiner(beam.CombineFn):
    """Counts, for each model and attribute, right answers to and number of positives, negatives."""

    def __init__(self, attributes: list[str], models: list[str], means: dict[str, list[str]]):
        self._attributes, self._models = attributes, models
        self._columns = {
            **{name: [a] for a, name in enumerate(attributes)},
            **{name: [attributes.index(part) for part in parts] for name, parts in means.items()},
        }
        compared = [CHANGE] if len(models) == 2 else []
        self.keys = {
            (model, attribute, rate): metric_types.MetricKey(
                name=f"{model}/{rate}", output_name=attribute
            )
            for model in (*models, *compared)
            for attribute in self._columns
            for rate in RATES
        }

    def create_accumulator(self) -> np.ndarray:
        return np.zeros([len(self._models), 4, len(self._attributes)], np.int64)

    def add_input(self, counts: np.ndarray, element) -> np.ndarray:
        labels, answers = np.asarray(element.labels), np.asarray(element.predictions)
        known = (labels != UNKNOWN) & (answers != UNKNOWN)  # [models, A]
        right = known & (answers == labels)
        shown = labels == 1
        parts = [right & shown, known & shown, right & ~shown, known & ~shown]
        return counts + np.stack(parts, axis=1)

    def merge_accumulators(self, accumulators) -> np.ndarray:
        return np.sum(list(accumulators), axis=0)

    def extract_output(self, counts: np.ndarray) -> dict:
        rates = dict(zip(self._models, map(_rates, counts), strict=True))
        if len(self._models) == 2:
            rates[CHANGE] = {rate: rates[CANDIDATE][rate] - rates[BASELINE][rate] for rate in RATES}
        output = {}
        for (model, attribute, rate), key in self.keys.items():
            values = rates[model][rate][self._columns[attribute]]
            known = values[~np.isnan(values)]
            output[key] = float(known.mean()) if known.size else math.nan
        return output


def _rates(counts: np.ndarray) -> dict[str, np.ndarray]:
    """Returns the rates [A] in percent, NaN where there is nothing to count."""
    right_shown, shown, right_not, not_shown = counts.astype(float)
    with np.errstate(invalid="ignore"):
        of_shown, of_not = 100 * right_shown / shown, 100 * right_not / not_shown
        accuracy = 100 * (right_shown + right_not) / (shown + not_shown)
    return dict(zip(RATES, (accuracy, (of_shown + of_not) / 2, of_shown, of_not), strict=True))


def _read_analysis(folder: Path, slicings: Sequence[tuple[str, ...]]) -> Analysis:
    slices: dict[str, dict[str, Rates]] = {}
    for proto in tfma.load_metrics(str(folder)):
        by_model = slices.setdefault(_slice_name(proto.slice_key, slicings), {})
        for entry in proto.metric_keys_and_values:
            model, _, rate = entry.key.name.partition("/")
            by_attribute = by_model.setdefault(model, {})
            by_attribute.setdefault(entry.key.output_name, {})[rate] = _estimate(entry)
    gaps = {pair: _possible(rates, -100.0) for pair, rates in _gaps(slices, slicings)}
    means = [_mean_of(slicing) for slicing in slicings]
    for by_model in slices.values():
        for model, by_attribute in by_model.items():
            by_model[model] = {
                attribute: _possible(rates, -100.0 if model == CHANGE else 0.0)
                for attribute, rates in by_attribute.items()
                if attribute not in means
            }
    return Analysis(slices, gaps)


def _possible(rates: Mapping[str, Estimate], lowest: float) -> dict[str, Estimate]:
    """Ends the intervals, which are as wide above a rate as below, where rates end: at 100 %."""
    return {
        rate: each
        if each.low is None
        else Estimate(each.value, max(each.low, lowest), min(each.high, 100.0))
        for rate, each in rates.items()
    }


def _gaps(
    slices: Mapping[str, Mapping[str, Rates]], slicings: Sequence[tuple[str, ...]]
) -> Iterator[tuple[tuple[str, str], dict[str, Estimate]]]:
    for slicing in slicings:
        names = [
            _name(slicing, values) for values in itertools.product((1, 0), repeat=len(slicing))
        ]
        there = [name for name in names if name in slices]
        for pair in itertools.combinations(there, 2):
            first, second = (slices[name][CANDIDATE][_mean_of(slicing)] for name in pair)
            yield pair, {rate: _difference(first[rate], second[rate]) for rate in RATES}


def _difference(first: Estimate, second: Estimate) -> Estimate:
    """Returns the difference of two rates over other pictures, whose errors are independent."""
    if first.value is None or second.value is None:
        return Estimate(None, None, None)
    value = first.value - second.value
    if first.low is None or second.low is None:
        return Estimate(value, None, None)
    half = math.hypot((first.high - first.low) / 2, (second.high - second.low) / 2)
    return Estimate(value, value - half, value + half)


def _estimate(entry) -> Estimate:
    numbers = [entry.value.double_value.value, math.nan, math.nan]
    if entry.HasField("confidence_interval"):
        interval = entry.confidence_interval
        ends = interval.lower_bound, interval.upper_bound
        numbers[1:] = [end.double_value.value for end in ends]
    return Estimate(*(None if math.isnan(number) else number for number in numbers))


def _slice_name(key, slicings: Sequence[tuple[str, ...]]) -> str:
    values = {each.column: each.int64_value for each in key.single_slice_keys}
    slicing = next((names for names in slicings if set(names) == set(values)), ())
    return _name(slicing, [values[name] for name in slicing])


def _name(slicing: Sequence[str], values: Sequence[int]) -> str:
    return "*".join(f"{name}={value}" for name, value in zip(slicing, values, strict=True))
