import json

import numpy as np
import pytest

from tfac.data.records.frequencies import count_shown, describe_changes, read_frequencies
from tfac.errors import ConfigError, DataError

NAMES = ("Bald", "Young", "Smiling")


def test_what_counts_is_counted():
    labels, mask = np.array([[1, 0, 1], [1, 1, 0]]), np.array([[1, 1, 0], [0, 1, 0]])
    shown, count = count_shown(labels, mask)
    assert shown.tolist() == [1, 1, 0] and count.tolist() == [1, 2, 0]


def test_attributes_that_are_more_frequent_elsewhere_are_named_the_largest_difference_first():
    here = np.array([100, 700, 500]), np.array([1000, 1000, 1000])
    there = np.array([170, 900, 510]), np.array([1000, 1000, 1000])
    said = describe_changes(NAMES, "train", here, "test", there)
    assert said == (
        "2 attributes are not as frequent in the labels of train (1,000) as in those of test "
        "(1,000): Young 70.0% and 90.0%, Bald 10.0% and 17.0%"
    )


@pytest.mark.parametrize(
    ("here", "there"),
    [
        ((100, 1000), (115, 1000)),  # 1.5 points
        ((5, 50), (10, 50)),  # chance
        ((0, 0), (500, 1000)),  # unknown
        ((3, 3), (1000, 1000)),
    ],
)
def test_small_differences_chance_and_unknown_labels_are_not_said(here, there):
    here, there = (tuple(np.full(3, number) for number in each) for each in (here, there))
    assert describe_changes(NAMES, "train", here, "test", there) == ""


def test_frequencies_are_read_from_a_file(tmp_path):
    path = tmp_path / "frequencies.json"
    path.write_text('{"Young": 0.7}')
    np.testing.assert_array_equal(read_frequencies(str(path), NAMES), [np.nan, 0.7, np.nan])
    assert np.isnan(read_frequencies(None, NAMES)).all()
    for wrong in ({"Old": 0.5}, {"Young": 0}, {"Young": 1}, {"Young": "0.5"}, {"Young": True}):
        path.write_text(json.dumps(wrong))
        with pytest.raises(ConfigError, match="frequencies.json"):
            read_frequencies(str(path), NAMES)
    path.write_text("[0.5]")
    with pytest.raises(DataError):
        read_frequencies(str(path), NAMES)
