"""CelebA's 40 facial attributes: the one place where names, order and groups are written.

References:
    Liu et al., "Deep Learning Face Attributes in the Wild", ICCV 2015 (names and order).
    Mao et al., "Deep Multi-task Multi-label CNN for Effective Facial Attribute Classification",
    section 3.2.1 (objective and subjective groups, 22 and 18 attributes). The paper's own list is a
    picture; this reading keeps every attribute that its text fixes.
    Chen et al., "Improving Facial Attribute Recognition by Group and Graph Learning" (MGG-Net),
    section 4 (eight part groups). The paper names the parts and not which attributes they hold.
    Hand and Chellappa, "Attributes for Improved Attributes", AAAI 2017 (MCNN-AUX, nine groups), and
    Cao et al., "Partially Shared Multi-task Convolutional Neural Network with Local Constraint for
    Face Attribute Learning", CVPR 2018 (PS-MCNN, four groups): as public reimplementations have
    them, not checked against the papers' own tables.
"""

import dataclasses
import re
from collections.abc import Mapping, Sequence
from typing import Any

from tfac.errors import ConfigError

ATTRIBUTES: tuple[str, ...] = (
    "5_o_Clock_Shadow",
    "Arched_Eyebrows",
    "Attractive",
    "Bags_Under_Eyes",
    "Bald",
    "Bangs",
    "Big_Lips",
    "Big_Nose",
    "Black_Hair",
    "Blond_Hair",
    "Blurry",
    "Brown_Hair",
    "Bushy_Eyebrows",
    "Chubby",
    "Double_Chin",
    "Eyeglasses",
    "Goatee",
    "Gray_Hair",
    "Heavy_Makeup",
    "High_Cheekbones",
    "Male",
    "Mouth_Slightly_Open",
    "Mustache",
    "Narrow_Eyes",
    "No_Beard",
    "Oval_Face",
    "Pale_Skin",
    "Pointy_Nose",
    "Receding_Hairline",
    "Rosy_Cheeks",
    "Sideburns",
    "Smiling",
    "Straight_Hair",
    "Wavy_Hair",
    "Wearing_Earrings",
    "Wearing_Hat",
    "Wearing_Lipstick",
    "Wearing_Necklace",
    "Wearing_Necktie",
    "Young",
)

SUBJECTIVE_ATTRIBUTES: tuple[str, ...] = (
    "Arched_Eyebrows",
    "Attractive",
    "Bags_Under_Eyes",
    "Big_Lips",
    "Big_Nose",
    "Bushy_Eyebrows",
    "Chubby",
    "Double_Chin",
    "Heavy_Makeup",
    "High_Cheekbones",
    "Narrow_Eyes",
    "Oval_Face",
    "Pale_Skin",
    "Pointy_Nose",
    "Receding_Hairline",
    "Rosy_Cheeks",
    "Smiling",
    "Young",
)

OBJECTIVE_ATTRIBUTES: tuple[str, ...] = tuple(
    name for name in ATTRIBUTES if name not in SUBJECTIVE_ATTRIBUTES
)

PART_GROUPS: dict[str, tuple[str, ...]] = {
    "eyes": (
        "Arched_Eyebrows",
        "Bags_Under_Eyes",
        "Bushy_Eyebrows",
        "Eyeglasses",
        "Narrow_Eyes",
    ),
    "nose": ("Big_Nose", "Pointy_Nose"),
    "mouth": (
        "5_o_Clock_Shadow",
        "Big_Lips",
        "Goatee",
        "Mouth_Slightly_Open",
        "Mustache",
        "No_Beard",
        "Smiling",
        "Wearing_Lipstick",
    ),
    "hairline": ("Bald", "Bangs", "Receding_Hairline"),
    "around_head": (
        "Black_Hair",
        "Blond_Hair",
        "Brown_Hair",
        "Gray_Hair",
        "Straight_Hair",
        "Wavy_Hair",
        "Wearing_Earrings",
        "Wearing_Hat",
    ),
    "neck": ("Double_Chin", "Wearing_Necklace", "Wearing_Necktie"),
    "middle_face": ("High_Cheekbones", "Rosy_Cheeks", "Sideburns"),
    "whole_face": (
        "Attractive",
        "Blurry",
        "Chubby",
        "Heavy_Makeup",
        "Male",
        "Oval_Face",
        "Pale_Skin",
        "Young",
    ),
}

MCNN_AUX_GROUPS: dict[str, tuple[str, ...]] = {
    "gender": ("Male",),
    "nose": ("Big_Nose", "Pointy_Nose"),
    "mouth": ("Big_Lips", "Mouth_Slightly_Open", "Smiling", "Wearing_Lipstick"),
    "eyes": (
        "Arched_Eyebrows",
        "Bags_Under_Eyes",
        "Bushy_Eyebrows",
        "Eyeglasses",
        "Narrow_Eyes",
    ),
    "face": (
        "Attractive",
        "Blurry",
        "Heavy_Makeup",
        "Oval_Face",
        "Pale_Skin",
        "Young",
    ),
    "around_head": (
        "Bald",
        "Bangs",
        "Black_Hair",
        "Blond_Hair",
        "Brown_Hair",
        "Gray_Hair",
        "Receding_Hairline",
        "Straight_Hair",
        "Wavy_Hair",
        "Wearing_Earrings",
        "Wearing_Hat",
        "Wearing_Necklace",
        "Wearing_Necktie",
    ),
    "facial_hair": (
        "5_o_Clock_Shadow",
        "Goatee",
        "Mustache",
        "No_Beard",
        "Sideburns",
    ),
    "cheeks": ("High_Cheekbones", "Rosy_Cheeks"),
    "fat": ("Chubby", "Double_Chin"),
}

PS_MCNN_GROUPS: dict[str, tuple[str, ...]] = {
    "upper": (
        "Arched_Eyebrows",
        "Bags_Under_Eyes",
        "Bald",
        "Bangs",
        "Black_Hair",
        "Blond_Hair",
        "Brown_Hair",
        "Bushy_Eyebrows",
        "Eyeglasses",
        "Gray_Hair",
        "Narrow_Eyes",
        "Receding_Hairline",
        "Wearing_Hat",
    ),
    "middle": (
        "Big_Nose",
        "High_Cheekbones",
        "Pointy_Nose",
        "Rosy_Cheeks",
        "Sideburns",
        "Wearing_Earrings",
    ),
    "lower": (
        "Big_Lips",
        "Double_Chin",
        "Goatee",
        "Mouth_Slightly_Open",
        "Mustache",
        "No_Beard",
        "Wearing_Lipstick",
        "Wearing_Necklace",
        "Wearing_Necktie",
    ),
    "whole": (
        "5_o_Clock_Shadow",
        "Attractive",
        "Blurry",
        "Chubby",
        "Heavy_Makeup",
        "Male",
        "Oval_Face",
        "Pale_Skin",
        "Smiling",
        "Straight_Hair",
        "Wavy_Hair",
        "Young",
    ),
}


def assign_groups(
    groups: Mapping[str, Sequence[str]], attributes: Sequence[str]
) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """Says which group each attribute is in.

    Args:
        groups: attribute names by group name. Names that are not among `attributes` are left out,
            and so are groups left empty.
        attributes: the attributes to find groups for, A of them.

    Returns:
        The names of the groups that hold attributes, G of them in the order of `groups`, and for
        each of the A attributes the position of its group among those.

    Raises:
        ConfigError: an attribute is not in exactly one group.
    """
    for attribute in attributes:
        found = [name for name, members in groups.items() if attribute in members]
        if len(found) != 1:
            raise ConfigError(
                f"groups: expected {attribute} in exactly one group. "
                f"Received: {', '.join(found) or 'none'}"
            )
    names = tuple(
        name for name, members in groups.items() if not set(members).isdisjoint(attributes)
    )
    indices = tuple(
        next(i for i, name in enumerate(names) if attribute in groups[name])
        for attribute in attributes
    )
    return names, indices


@dataclasses.dataclass(frozen=True)
class AttributeGroups:
    """How a set of attributes is grouped, as its own data set says.

    Attributes:
        part_groups: attribute names by part of the face (MGG-Net's and LGA-Net's groups).
        subjective_attributes: the attributes that DMM-CNN's subjective branch answers.
    """

    part_groups: Mapping[str, tuple[str, ...]]
    subjective_attributes: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Returns the groups as JSON can hold them."""
        return {
            "part_groups": {name: list(members) for name, members in self.part_groups.items()},
            "subjective_attributes": list(self.subjective_attributes),
        }

    @classmethod
    def from_dict(cls, groups: Any, attributes: Sequence[str]) -> "AttributeGroups":
        """Returns the groups of `attributes` that `to_dict` described.

        Raises:
            ConfigError: another form, an unknown name, or an attribute that is not in exactly one
                part group.
        """
        keys = {"part_groups", "subjective_attributes"}
        if not isinstance(groups, Mapping) or set(groups) != keys:
            raise ConfigError(
                f"attribute groups: expected {' and '.join(sorted(keys))}. Received: {groups!r}"
            )
        parts, subjective = groups["part_groups"], groups["subjective_attributes"]
        lists = [subjective, *(parts.values() if isinstance(parts, Mapping) else [None])]
        if not all(isinstance(names, list | tuple) for names in lists):
            raise ConfigError(
                "attribute groups: expected lists of attribute names, those of part_groups by the "
                f"part's name. Received: {groups!r}"
            )
        for names in lists:
            attribute_indices(names, attributes)
        assign_groups(parts, attributes)
        return cls({name: tuple(members) for name, members in parts.items()}, tuple(subjective))


def default_groups(attributes: Sequence[str]) -> AttributeGroups:
    """Returns CelebA's groups of the attributes; others are objective, of the part "other"."""
    other = tuple(name for name in attributes if name not in ATTRIBUTES)
    parts = {
        part: tuple(name for name in members if name in attributes)
        for part, members in {**PART_GROUPS, "other": other}.items()
    }
    return AttributeGroups(
        {part: members for part, members in parts.items() if members},
        tuple(name for name in attributes if name in SUBJECTIVE_ATTRIBUTES),
    )


def attribute_indices(names: Sequence[str], attributes: Sequence[str] = ATTRIBUTES) -> list[int]:
    """Returns the position of each name in `attributes`.

    Args:
        names: attribute names to look up.
        attributes: the order to look them up in; CelebA's by default.

    Raises:
        ConfigError: a name is not among `attributes`.
    """
    unknown = [name for name in names if name not in attributes]
    if unknown:
        raise ConfigError(
            f"unknown attribute names: expected names among {', '.join(attributes)}. "
            f"Received: {', '.join(unknown)}"
        )
    return [list(attributes).index(name) for name in names]


def celeba_name(text: str) -> str | None:
    """Returns the attribute of CelebA that a name means, whatever its case, spaces and signs.

    "eyeglasses", "5 o' Clock Shadow" and "wearing-hat " are such names; of others it is None.
    """
    return _CELEBA_NAMES.get(_letters(text))


def _letters(text: str) -> str:
    return re.sub(r"[\W_]+", "", text).lower()


_CELEBA_NAMES = {_letters(name): name for name in ATTRIBUTES}
