import itertools

import pytest
from google.protobuf import text_format
from serving_configuration import (
    batching_parameters,
    model_config,
    monitoring_config,
    read,
    walk,
)

from tfac.export.warmup import WARMUP_BATCH_SIZES


def test_the_server_starts_with_both_labels_on_the_first_version():
    model = model_config(read("serving/models.config"))
    assert model.model_platform == "tensorflow"
    assert model.base_path == f"/models/{model.name}"
    assert list(model.model_version_policy.specific.versions) == [1]
    assert dict(model.version_labels) == {"stable": 1, "canary": 1}


def test_each_step_of_the_walk_moves_what_it_says():
    states = [
        (list(model.model_version_policy.specific.versions), dict(model.version_labels))
        for model in map(model_config, walk())
    ]
    assert states == [
        ([1], {"stable": 1, "canary": 1}),
        ([1, 2], {"stable": 1, "canary": 1}),
        ([1, 2], {"stable": 1, "canary": 2}),
        ([1, 2], {"stable": 2, "canary": 2}),
        ([2], {"stable": 2, "canary": 2}),
    ]


def forward_and_back():
    start, load, canary, everybody, unload = map(model_config, walk())
    forward = [start, load, canary, everybody, unload]
    return [
        *itertools.pairwise(forward),
        (canary, load),
        (everybody, load),
        (unload, everybody),
    ]


@pytest.mark.parametrize("step", range(7))
def test_a_label_moves_only_to_a_version_that_is_loaded_before_and_after(step):
    """Otherwise TensorFlow Serving refuses the file, or answers none who name the label."""
    before, after = forward_and_back()[step]
    loaded = set(before.model_version_policy.specific.versions)
    stays = set(after.model_version_policy.specific.versions) & loaded
    assert set(after.version_labels.values()) <= stays
    assert (after.name, after.base_path) == (before.name, before.base_path)


def test_batches_have_the_sizes_that_were_warmed_up():
    parameters = batching_parameters(read("serving/batching_parameters.txt"))
    assert tuple(parameters.allowed_batch_sizes) == WARMUP_BATCH_SIZES
    assert parameters.max_batch_size.value == WARMUP_BATCH_SIZES[-1]
    assert 0 < parameters.batch_timeout_micros.value <= 5000
    assert parameters.num_batch_threads.value >= 1
    assert 1 <= parameters.max_enqueued_batches.value <= 100  # a queue with an end
    assert not parameters.pad_variable_length_inputs  # would change decoded pictures


def test_a_batching_parameter_that_does_not_exist_is_refused():
    with pytest.raises(text_format.ParseError, match="max_batchsize"):
        batching_parameters("max_batchsize { value: 32 }")


def test_metrics_are_where_prometheus_and_kubernetes_look():
    prometheus = monitoring_config(read("serving/monitoring.config")).prometheus_config
    assert prometheus.enable
    assert prometheus.path == "/monitoring/prometheus/metrics"
