import itertools

import pytest
from serving_configuration import (
    batching_parameters,
    model_config,
    read,
    walk,
)

from tfac.export.warmup import WARMUP_BATCH_SIZES


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
