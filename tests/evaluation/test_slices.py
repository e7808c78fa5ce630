import numpy as np
import pytest

from tfac.errors import ConfigError
from tfac.evaluation.slices import parse_slices, slice_rows

ATTRIBUTES = ("Male", "Smiling", "Young")


def test_names_and_products_are_parsed_once_each():
    assert parse_slices("Male, Male*Young,Male", ATTRIBUTES) == [("Male",), ("Male", "Young")]
    assert parse_slices("", ATTRIBUTES) == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("male", "Received: male"),
        ("Male*Old", "Received: Old"),
        ("Male,", "unknown attribute names"),
        ("Male**Young", "unknown attribute names"),
        ("Male*Male", "expected different attributes in a product"),
    ],
)
def test_what_is_no_slicing_is_refused(text, message):
    with pytest.raises(ConfigError, match=f"slices: .*{message}"):
        parse_slices(text, ATTRIBUTES)


def test_product_gives_every_combination_and_each_row_once():
    labels = np.array([[1, 0, 1], [1, 1, 0], [0, 0, 1], [0, 1, 0], [1, 0, 1]])
    rows = slice_rows(("Male", "Young"), ATTRIBUTES, labels, np.ones_like(labels))
    assert {name: np.flatnonzero(chosen).tolist() for name, chosen in rows.items()} == {
        "Male=1*Young=1": [0, 4],
        "Male=1*Young=0": [1],
        "Male=0*Young=1": [2],
        "Male=0*Young=0": [3],
    }


def test_row_that_is_not_annotated_is_in_no_slice():
    labels, label_mask = np.array([[1, 0, 0]] * 2), np.array([[0, 1, 1], [1, 1, 1]])
    rows = slice_rows(("Male",), ATTRIBUTES, labels, label_mask)
    assert rows["Male=1"].tolist() == [False, True]
    assert rows["Male=0"].tolist() == [False, False]
