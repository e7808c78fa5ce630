"""CelebA's 40 facial attributes: the one place where names, order and groups are written.

References:
    Liu et al., "Deep Learning Face Attributes in the Wild", ICCV 2015 (names and order).
    Mao et al., "Deep Multi-task Multi-label CNN for Effective Facial Attribute Classification",
    section 3.2.1 (objective and subjective groups, 22 and 18 attributes). The paper's own list is a
    picture; this reading keeps every attribute that its text fixes.
"""

from collections.abc import Sequence

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
