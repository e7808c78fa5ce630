import json

import pytest

from tfac.attributes import (
    ATTRIBUTES,
    MCNN_AUX_GROUPS,
    OBJECTIVE_ATTRIBUTES,
    PART_GROUPS,
    PS_MCNN_GROUPS,
    SUBJECTIVE_ATTRIBUTES,
    AttributeGroups,
    assign_groups,
    attribute_indices,
    celeba_name,
    default_groups,
    guess_mirroring,
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


@pytest.mark.parametrize(
    ("groups", "sizes"),
    [
        (PART_GROUPS, [5, 2, 8, 3, 8, 3, 3, 8]),
        (MCNN_AUX_GROUPS, [1, 2, 4, 5, 6, 13, 5, 2, 2]),  # sizes in public code for both papers
        (PS_MCNN_GROUPS, [13, 6, 9, 12]),
    ],
)
def test_groups_hold_every_attribute_once(groups, sizes):
    members = [name for group in groups.values() for name in group]
    assert sorted(members) == sorted(ATTRIBUTES)
    assert [len(group) for group in groups.values()] == sizes


def test_attributes_find_their_groups_and_empty_groups_go():
    groups = {"mouth": ("Smiling",), "nose": ("Big_Nose",), "eyes": ("Eyeglasses", "Narrow_Eyes")}
    names, indices = assign_groups(groups, ("Narrow_Eyes", "Smiling", "Eyeglasses"))
    assert names == ("mouth", "eyes")
    assert indices == (1, 0, 1)


def test_attributes_in_two_groups_are_refused():
    with pytest.raises(ConfigError, match="expected Smiling in exactly one group.*a, b"):
        assign_groups({"a": ("Smiling",), "b": ("Smiling",)}, ("Smiling",))


def test_default_groups_are_celeba_s_and_other():
    groups = default_groups(("Young", "Wears_Mask", "Smiling"))
    assert groups.part_groups == {
        "mouth": ("Smiling",),
        "whole_face": ("Young",),
        "other": ("Wears_Mask",),
    }
    assert groups.subjective_attributes == ("Young", "Smiling")
    assert default_groups(ATTRIBUTES).part_groups == PART_GROUPS


def test_rules_are_celeba_s_where_names_are_and_own_ones_survive_json():
    groups = default_groups(ATTRIBUTES)
    assert "label_rules" not in groups.to_dict() and len(groups.label_rules) == 10
    names = ("Cap", "Hat", "Gray_Hair")
    own = {"at_most_one": ["Cap", "Hat"], "reason": "a head has one thing on it"}
    content = {**default_groups(names).to_dict(), "label_rules": [own]}
    groups = AttributeGroups.from_dict(content, names)
    assert [str(rule) for rule in groups.label_rules] == ["more than one of Cap, Hat"]
    assert groups.to_dict() == content


def test_groups_survive_json():
    groups = default_groups(ATTRIBUTES)
    assert AttributeGroups.from_dict(json.loads(json.dumps(groups.to_dict())), ATTRIBUTES) == groups


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"parts": {}}, "expected part_groups and subjective_attributes"),
        ({"part_groups": ["Smiling"]}, "expected lists of attribute names"),
        ({"part_groups": {"mouth": "Smiling"}}, "expected lists of attribute names"),
        ({"part_groups": {"mouth": []}}, "Smiling in exactly one group"),
        ({"part_groups": {"mouth": ["Smiling", "Smile"]}}, "unknown attribute names.*Smile"),
        ({"subjective_attributes": ["Male"]}, "unknown attribute names"),
        ({"mirrored_pairs": ["Smiling"]}, "expected lists of attribute names"),
        ({"mirrored_pairs": [["Smiling"]]}, "mirrored_pairs of two names"),
        ({"mirrored_pairs": [["Smiling", "Smiling"]]}, "each name once"),
        ({"not_mirrored": ["Male"]}, "unknown attribute names"),
        ({"label_rules": {"any_of": ["Smiling"]}}, "label_rules: expected a list"),
        ({"label_rules": [{"any_of": ["Male"], "reason": ""}]}, "attributes among Smiling"),
    ],
)
def test_groups_of_another_form_are_refused(change, message):
    groups = {"part_groups": {"mouth": ["Smiling"]}, "subjective_attributes": []}
    with pytest.raises(ConfigError, match=message):
        AttributeGroups.from_dict({**groups, **change}, ("Smiling",))


def test_what_a_mirror_does_is_guessed_from_names():
    assert guess_mirroring(ATTRIBUTES) == ((), ())
    names = ("Facing_Left", "Bright", "scarRightCheek", "Facing_Right", "left-handed", "Leftovers")
    assert guess_mirroring(names) == (
        (("Facing_Left", "Facing_Right"),),
        ("scarRightCheek", "left-handed"),
    )
    mirroring = default_groups(names).mirroring(names)
    assert mirroring.indices == (3, 1, 2, 0, 4, 5)
    assert mirroring.kept == (True, True, False, True, False, True)
    assert default_groups(ATTRIBUTES).mirroring(ATTRIBUTES).is_symmetric


def test_what_a_mirror_does_can_be_said():
    names = ("Facing_Left", "Parted", "Facing_Right")
    groups = {"part_groups": {"all": names}, "subjective_attributes": []}
    said = AttributeGroups.from_dict({**groups, "not_mirrored": ["Parted"]}, names)
    assert (said.mirrored_pairs, said.not_mirrored) == ((), ("Parted",))
    for each in (said, AttributeGroups.from_dict(groups, names)):
        assert AttributeGroups.from_dict(json.loads(json.dumps(each.to_dict())), names) == each


@pytest.mark.parametrize(
    ("text", "name"),
    [
        *((name, name) for name in ATTRIBUTES),
        ("eyeglasses", "Eyeglasses"),
        ("Wearing Hat", "Wearing_Hat"),
        ("5_o_Clock_Shadow ", "5_o_Clock_Shadow"),
        ("5 o' Clock Shadow", "5_o_Clock_Shadow"),
        ("no-beard", "No_Beard"),
        ("Beard", None),
        ("Hat", None),
        ("", None),
    ],
)
def test_near_misses_of_names_mean_celeba_s(text, name):
    assert celeba_name(text) == name
