import json

import numpy as np
import pytest

from tfac.data.records.info import read_info
from tfac.data.records.pipeline import evaluation_dataset
from tfac.errors import ConfigError, DataError
from tfac.training import class_balance
from tfac.training.class_balance import (
    LabelCounts,
    cached_label_counts,
    class_weights,
    count_labels,
    describe_missing,
)

# Positives and negatives: rare, even, common, never, always, never annotated.
COUNTS = LabelCounts(
    positives=np.array([10, 20, 90, 0, 7, 0]), negatives=np.array([40, 20, 10, 9, 0, 0])
)


@pytest.mark.parametrize(
    ("balance", "expected"),  # by hand, a negative's weight first
    [
        ("positive", [[1, 4], [1, 1], [1, 1 / 9], [1, 1], [1, 1], [1, 1]]),
        ("majority", [[0.25, 1], [1, 1], [1, 1 / 9], [1, 1], [1, 1], [1, 1]]),
    ],
)
def test_weights_follow_the_counts_and_one_class_alone_weighs_one(balance, expected):
    weights = class_weights(COUNTS, balance)
    assert weights.dtype == np.float32
    np.testing.assert_allclose(weights, expected, rtol=1e-6)


def test_no_balance_means_no_weights():
    assert class_weights(COUNTS, "none") is None


def test_counts_are_those_of_the_annotated_labels(tiny_records):
    info = read_info(tiny_records)
    counts = count_labels(info, "train")
    positives, negatives = np.zeros(40), np.zeros(40)
    dataset = evaluation_dataset(info, "train", image_size=(16, 16), batch_size=1)
    for picture in dataset.unbatch().as_numpy_iterator():
        for j in range(40):
            if picture["label_mask"][j]:
                positives[j] += picture["labels"][j] == 1
                negatives[j] += picture["labels"][j] == 0
    np.testing.assert_array_equal(counts.positives, positives)
    np.testing.assert_array_equal(counts.negatives, negatives)
    assert (counts.positives + counts.negatives).tolist() == [23] * 3 + [24] * 37


def test_labels_are_counted_once_a_workdir(tiny_records, tmp_path, monkeypatch):
    info = read_info(tiny_records)
    first = cached_label_counts(tmp_path, info, "train")
    with monkeypatch.context() as patch:
        patch.setattr(class_balance, "count_labels", None)  # a second count would fail
        again = cached_label_counts(tmp_path, info, "train")
    np.testing.assert_array_equal(first.positives, again.positives)
    np.testing.assert_array_equal(first.negatives, again.negatives)
    other = cached_label_counts(tmp_path, info, "validation")  # another split is counted anew
    assert (other.positives + other.negatives).max() == 12
    record = json.loads((tmp_path / "label_counts.json").read_text())
    assert record["split"] == "validation"


def test_damaged_counts_are_named(tiny_records, tmp_path):
    (tmp_path / "label_counts.json").write_text("[]")
    with pytest.raises(DataError, match="label_counts.json is not what tfac-train wrote"):
        cached_label_counts(tmp_path, read_info(tiny_records), "train")


def test_unknown_split_is_refused(tiny_records):
    with pytest.raises(ConfigError, match="unknown or empty split"):
        count_labels(read_info(tiny_records), "dev")


def test_attributes_without_labels_or_a_class_are_named():
    counts = LabelCounts(positives=np.array([1, 0, 0, 3]), negatives=np.array([2, 0, 4, 0]))
    assert describe_missing(counts, ("A", "B", "C", "D")) == (
        "no label of B; no picture that shows C; no picture that does not show D"
    )
    assert describe_missing(LabelCounts(np.ones(1), np.ones(1)), ("A",)) == ""
