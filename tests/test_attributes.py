import pytest

from tfac.attributes import (
    ATTRIBUTES,
    OBJECTIVE_ATTRIBUTES,
    SUBJECTIVE_ATTRIBUTES,
    attribute_indices,
)
from tfac.errors import ConfigError


def test_names_are_celebas_in_celebas_order(real_faces):
    header = (real_faces / "celeba64" / "list_attr_celeba.txt").read_text().splitlines()[1]
    assert header.split() == list(ATTRIBUTES)


def test_groups_split_the_attributes_22_to_18():
    assert len(ATTRIBUTES) == len(set(ATTRIBUTES)) == 40
    assert (len(OBJECTIVE_ATTRIBUTES), len(SUBJECTIVE_ATTRIBUTES)) == (22, 18)
    assert set(OBJECTIVE_ATTRIBUTES) | set(SUBJECTIVE_ATTRIBUTES) == set(ATTRIBUTES)


def test_indices_follow_the_names():
    assert attribute_indices(["Young", "5_o_Clock_Shadow"]) == [39, 0]


def test_unknown_names_are_refused():
    with pytest.raises(ConfigError, match="unknown attribute names.*Received: Tall"):
        attribute_indices(["Male", "Tall"])
