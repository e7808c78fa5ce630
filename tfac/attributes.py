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
from tfac.label_rules import LabelRule, celeba_rules, parse_rules

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
        mirrored_pairs: pairs whose labels swap in the mirror image, such as Facing_Left and
            Facing_Right.
        not_mirrored: attributes whose label the mirror image does not tell.
        label_rules: what labels cannot be together.
    """

    part_groups: Mapping[str, tuple[str, ...]]
    subjective_attributes: tuple[str, ...]
    mirrored_pairs: tuple[tuple[str, str], ...] = ()
    not_mirrored: tuple[str, ...] = ()
    label_rules: tuple[LabelRule, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Returns the groups as JSON can hold them; mirroring and rules where names do not tell."""
        groups = {
            "part_groups": {name: list(members) for name, members in self.part_groups.items()},
            "subjective_attributes": list(self.subjective_attributes),
        }
        names = [name for members in self.part_groups.values() for name in members]
        if (self.mirrored_pairs, self.not_mirrored) != guess_mirroring(names):
            groups["mirrored_pairs"] = [list(pair) for pair in self.mirrored_pairs]
            groups["not_mirrored"] = list(self.not_mirrored)
        if self.label_rules != celeba_rules(tuple(names)):
            groups["label_rules"] = [rule.to_dict() for rule in self.label_rules]
        return groups

    def mirroring(self, attributes: Sequence[str]) -> "Mirroring":
        """Returns what the mirror image does to labels and scores in the order of `attributes`."""
        partner = {name: name for name in attributes}
        for first, second in self.mirrored_pairs:
            partner[first], partner[second] = second, first
        return Mirroring(
            tuple(attribute_indices([partner[name] for name in attributes], attributes)),
            tuple(name not in self.not_mirrored for name in attributes),
        )

    @classmethod
    def from_dict(cls, groups: Any, attributes: Sequence[str]) -> "AttributeGroups":
        """Returns the groups of `attributes` that `to_dict` described.

        Raises:
            ConfigError: another form, an unknown name, an attribute that is not in exactly one part
                group, or in more than one of what a mirror does.
        """
        keys, optional = {"part_groups", "subjective_attributes"}, {*_MIRROR_KEYS, "label_rules"}
        if not isinstance(groups, Mapping) or not keys <= set(groups) <= keys | optional:
            raise ConfigError(
                f"attribute groups: expected {' and '.join(sorted(keys))}, and perhaps "
                f"{' and '.join(sorted(optional))}. Received: {groups!r}"
            )
        parts, subjective = groups["part_groups"], groups["subjective_attributes"]
        pairs, broken = guess_mirroring(attributes)
        if not _MIRROR_KEYS.isdisjoint(groups):
            pairs, broken = groups.get("mirrored_pairs", []), groups.get("not_mirrored", [])
        lists = [subjective, *(parts.values() if isinstance(parts, Mapping) else [None])]
        lists += [broken, *(pairs if isinstance(pairs, list | tuple) else [None])]
        if not all(isinstance(names, list | tuple) for names in lists):
            raise ConfigError(
                "attribute groups: expected lists of attribute names, those of part_groups by the "
                f"part's name, mirrored_pairs a list of such lists. Received: {groups!r}"
            )
        for names in lists:
            attribute_indices(names, attributes)
        assign_groups(parts, attributes)
        changed = [name for names in (*pairs, broken) for name in names]
        if any(len(pair) != 2 for pair in pairs) or len(set(changed)) < len(changed):
            raise ConfigError(
                "attribute groups: expected mirrored_pairs of two names and not_mirrored, each "
                f"name once. Received: {groups!r}"
            )
        return cls(
            {name: tuple(members) for name, members in parts.items()},
            tuple(subjective),
            tuple(tuple(pair) for pair in pairs),
            tuple(broken),
            parse_rules(groups["label_rules"], attributes)
            if "label_rules" in groups
            else celeba_rules(tuple(attributes)),
        )


_MIRROR_KEYS = {"mirrored_pairs", "not_mirrored"}


@dataclasses.dataclass(frozen=True)
class Mirroring:
    """What the mirror image of a picture does to its A labels and scores.

    Attributes:
        indices: the label at i of the mirror image is that at indices[i] of the picture.
        kept: whether the mirror image tells the label at all.
    """

    indices: tuple[int, ...]
    kept: tuple[bool, ...]

    @property
    def is_symmetric(self) -> bool:
        """Whether the mirror image has the picture's labels, as with all of CelebA's attributes."""
        return all(self.kept) and self.indices == tuple(range(len(self.indices)))


def guess_mirroring(
    attributes: Sequence[str],
) -> tuple[tuple[tuple[str, str], ...], tuple[str, ...]]:
    """Returns the pairs of attributes that swap in a mirror image, and those that it breaks.

    Names with "left" or "right" in them are taken for such: a pair where the other side is there.
    """
    other = {"left": "right", "right": "left"}
    words = {name: re.findall("[A-Z]?[a-z]+|[A-Z]+", name) for name in attributes}
    words = {name: tuple(word.lower() for word in found) for name, found in words.items()}
    sided = {found: name for name, found in words.items() if not other.keys().isdisjoint(found)}
    partners = {
        name: sided.get(tuple(other.get(word, word) for word in found))
        for found, name in sided.items()
    }
    pairs = tuple(
        (name, partner)
        for name, partner in partners.items()
        if partner and list(attributes).index(name) < list(attributes).index(partner)
    )
    return pairs, tuple(name for name, partner in partners.items() if not partner)


def default_groups(attributes: Sequence[str]) -> AttributeGroups:
    """Returns CelebA's groups of the attributes; others are objective, of the part "other"."""
    parts = {
        part: tuple(name for name in members if name in attributes)
        for part, members in with_others(PART_GROUPS, attributes).items()
    }
    return AttributeGroups(
        {part: members for part, members in parts.items() if members},
        tuple(name for name in attributes if name in SUBJECTIVE_ATTRIBUTES),
        *guess_mirroring(attributes),
        celeba_rules(tuple(attributes)),
    )


def with_others(
    groups: Mapping[str, Sequence[str]], attributes: Sequence[str]
) -> dict[str, Sequence[str]]:
    """Returns the groups with one more, "other", of the attributes that CelebA does not have."""
    other = tuple(name for name in attributes if name not in ATTRIBUTES)
    return {**groups, "other": other} if other else dict(groups)


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
