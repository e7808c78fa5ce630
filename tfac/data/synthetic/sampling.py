"""Draws which attributes a synthetic face shows and how it looks, identity by identity.

`ATTRIBUTE_TABLE` and the three choice tables below hold every probability. Sex and age are drawn
first; everything else is conditional on them, and some attributes on one more (lipstick with
make-up). What belongs to the person (bone structure, hair, beard) is drawn once an identity, what
changes between photos (expression, make-up, accessories) once a picture.

The frequencies follow those published with CelebA (Liu et al., "Deep Learning Face Attributes in
the Wild", ICCV 2015); the split by sex and age is a rounded approximation of the same data.
"""

import dataclasses
from typing import NamedTuple, Self

import numpy as np

from tfac.attributes import ATTRIBUTES, SUBJECTIVE_ATTRIBUTES

MALE_FREQUENCY = 0.417
YOUNG_FREQUENCY = {"women": 0.875, "men": 0.635}


class Row(NamedTuple):
    """Probability that an attribute is shown.

    Attributes:
        women_young, women_old, men_young, men_old: probability by sex and age.
        parent: an attribute drawn earlier that this one goes with, or None.
        ratio: how many times likelier this one is where `parent` is shown than it is overall; the
            probability without `parent` is lowered so that the four columns stay true.
    """

    women_young: float
    women_old: float
    men_young: float
    men_old: float
    parent: str | None = None
    ratio: float = 1.0


# fmt: off
IDENTITY_TABLE: dict[str, Row] = {
    #                       women         men
    #                       young  old    young  old    goes with, how much likelier
    "Chubby":            Row(0.010, 0.050, 0.060, 0.240),
    "Double_Chin":       Row(0.005, 0.050, 0.030, 0.210, "Chubby", 6.0),
    "Big_Nose":          Row(0.080, 0.220, 0.340, 0.570, "Chubby", 1.8),
    "Pointy_Nose":       Row(0.360, 0.330, 0.170, 0.140, "Big_Nose", 0.3),
    "Oval_Face":         Row(0.340, 0.210, 0.250, 0.190, "Chubby", 0.2),
    "Big_Lips":          Row(0.300, 0.230, 0.190, 0.100),
    "Bushy_Eyebrows":    Row(0.080, 0.020, 0.310, 0.120),
    "Arched_Eyebrows":   Row(0.430, 0.380, 0.060, 0.030),
    "Narrow_Eyes":       Row(0.110, 0.120, 0.110, 0.130),
    "Bags_Under_Eyes":   Row(0.090, 0.190, 0.280, 0.460, "Big_Nose", 1.5),
    "Pale_Skin":         Row(0.060, 0.050, 0.030, 0.020),
    "Bald":              Row(0.000, 0.000, 0.022, 0.120, "Chubby", 2.0),
    "Receding_Hairline": Row(0.050, 0.060, 0.070, 0.250),
}
PICTURE_TABLE: dict[str, Row] = {
    "Blurry":              Row(0.040, 0.110, 0.050, 0.070),
    "Smiling":             Row(0.520, 0.690, 0.380, 0.430),
    "Mouth_Slightly_Open": Row(0.510, 0.630, 0.420, 0.440, "Smiling", 1.5),
    "High_Cheekbones":     Row(0.540, 0.720, 0.290, 0.360, "Smiling", 1.6),
    "Wearing_Lipstick":    Row(0.810, 0.730, 0.008, 0.004),
    "Heavy_Makeup":        Row(0.680, 0.530, 0.003, 0.002, "Wearing_Lipstick", 1.2),
    "Rosy_Cheeks":         Row(0.110, 0.140, 0.003, 0.003, "Heavy_Makeup", 1.4),
    "Wearing_Hat":         Row(0.025, 0.030, 0.080, 0.090, "Heavy_Makeup", 0.5),
    "Eyeglasses":          Row(0.020, 0.060, 0.070, 0.230),
    "Bangs":               Row(0.190, 0.360, 0.120, 0.040),
    "Wearing_Earrings":    Row(0.300, 0.480, 0.015, 0.010, "Wearing_Lipstick", 1.1),
    "Wearing_Necklace":    Row(0.190, 0.330, 0.020, 0.015, "Wearing_Earrings", 1.4),
    "Wearing_Necktie":     Row(0.003, 0.003, 0.105, 0.280),
}
# One of each column; what is missing to 1 is none of them.
HAIR_COLOURS = {
    "Black_Hair": (0.210, 0.110, 0.390, 0.180),
    "Blond_Hair": (0.230, 0.310, 0.020, 0.020),
    "Brown_Hair": (0.250, 0.200, 0.190, 0.100),
    "Gray_Hair":  (0.000, 0.080, 0.000, 0.270),
}
HAIR_TEXTURES = {
    "Straight_Hair": (0.200, 0.120, 0.270, 0.230),
    "Wavy_Hair":     (0.440, 0.490, 0.160, 0.130),
}
# Beards of men; the rest have none. Women have none.
BEARDS = {
    ("5_o_Clock_Shadow",):                  0.140,
    ("5_o_Clock_Shadow", "Sideburns"):      0.070,
    ("5_o_Clock_Shadow", "Goatee"):         0.035,
    ("5_o_Clock_Shadow", "Mustache"):       0.020,
    ("Goatee", "Mustache", "Sideburns"):    0.035,
    ("Goatee", "Mustache"):                 0.045,
    ("Goatee", "Sideburns"):                0.010,
    ("Goatee",):                            0.015,
    ("Sideburns",):                         0.020,
    ("Mustache",):                          0.015,
}
# CelebA's share of each attribute, for comparison with what the tables give.
PUBLISHED_FREQUENCIES = dict(zip(ATTRIBUTES, (
    0.111, 0.267, 0.513, 0.205, 0.022, 0.152, 0.241, 0.235, 0.239, 0.148,
    0.051, 0.205, 0.142, 0.058, 0.047, 0.065, 0.063, 0.042, 0.387, 0.455,
    0.417, 0.483, 0.042, 0.115, 0.835, 0.284, 0.043, 0.277, 0.080, 0.066,
    0.057, 0.482, 0.208, 0.320, 0.189, 0.048, 0.472, 0.123, 0.073, 0.774,
), strict=True))
# A face is Attractive where these, all of them drawn, sum to more than 0.
ATTRACTIVE_CUES = {
    "Young": 1.0, "Heavy_Makeup": 0.6, "Wearing_Lipstick": 0.3, "Oval_Face": 0.5,
    "High_Cheekbones": 0.3, "Arched_Eyebrows": 0.3, "Pointy_Nose": 0.3, "Wavy_Hair": 0.2,
    "Bald": -0.6, "Receding_Hairline": -0.4, "Chubby": -1.2, "Double_Chin": -0.6,
    "Big_Nose": -0.6, "Bags_Under_Eyes": -0.5, "Eyeglasses": -0.7, "Blurry": -0.8,
    "Narrow_Eyes": -0.3, "Gray_Hair": -0.4, "Wearing_Hat": -0.3,
}
ATTRACTIVE_OFFSET = -1.25
# fmt: on


class Uniform:
    """Base of records whose fields are all uniform in [0, 1)."""

    @classmethod
    def sample(cls, rng: np.random.Generator) -> Self:
        """Draws every field from `rng`."""
        return cls(*rng.random(len(dataclasses.fields(cls))).tolist())


@dataclasses.dataclass(frozen=True)
class Look(Uniform):
    """How an identity looks beyond its attributes; the drawing maps each field to its range."""

    skin_tone: float
    skin_warmth: float
    face_width: float
    face_length: float
    jaw_squareness: float
    eye_distance: float
    eye_size: float
    eye_colour: float
    brow_height: float
    nose_length: float
    nose_width: float
    mouth_width: float
    mouth_height: float
    lip_fullness: float
    hair_shade: float
    hair_length: float
    hair_volume: float
    hair_parting: float
    ear_size: float


@dataclasses.dataclass(frozen=True)
class View(Uniform):
    """What changes between pictures beyond the attributes: pose, light, background, dress."""

    roll: float
    yaw: float
    pitch: float
    scale: float
    shift_x: float
    shift_y: float
    light_angle: float
    light_strength: float
    brightness: float
    warmth: float
    background_kind: float
    background_hue: float
    background_light: float
    background_other: float
    clothing_kind: float
    clothing_hue: float
    clothing_light: float
    mouth_opening: float
    gaze: float
    lipstick_hue: float
    makeup_hue: float
    jewellery_kind: float
    glasses_kind: float
    glasses_colour: float
    hat_kind: float
    hat_hue: float
    tie_hue: float
    bangs_kind: float
    noise: float


@dataclasses.dataclass(frozen=True)
class Face:
    """Everything that determines a synthetic picture.

    Attributes:
        shown: the attributes drawn, names out of `tfac.attributes.ATTRIBUTES`.
        look: how the identity looks beyond them.
        view: pose, light, background and dress.
    """

    shown: frozenset[str]
    look: Look
    view: View

    def labels(self) -> np.ndarray:
        """Returns uint8 [40] in the order of `ATTRIBUTES`, 1 where the attribute is drawn."""
        return np.array([name in self.shown for name in ATTRIBUTES], np.uint8)


def sample_face(seed: int, split: str, identity: int, index: int) -> Face:
    """Draws picture `index` of an identity; the same arguments give the same face.

    Args:
        seed: of the whole data set.
        split: name of the split; identities of different splits are different people.
        identity: number of the person in the split.
        index: number of the picture among this person's.
    """
    person_seed = [seed, *split.encode(), identity]
    person = np.random.default_rng(person_seed)
    identity_shown, look = _sample_identity(person), Look.sample(person)
    picture = np.random.default_rng([*person_seed, 0, index])
    view = View.sample(picture)
    return Face(_sample_picture(picture, identity_shown), look, view)


def add_label_noise(
    labels: np.ndarray, rate: float, rng: np.random.Generator, names: tuple[str, ...] = ATTRIBUTES
) -> np.ndarray:
    """Returns `labels` [A] with each subjective attribute flipped with probability `rate`."""
    flips = rng.random(len(labels)) < rate
    subjective = np.array([name in SUBJECTIVE_ATTRIBUTES for name in names])
    return labels ^ (flips & subjective).astype(labels.dtype)


def _cell(shown: set[str] | frozenset[str]) -> int:
    """Returns the column of the tables: women young, women old, men young, men old."""
    return 2 * ("Male" in shown) + ("Young" not in shown)


def _probability(table: dict[str, Row], name: str, cell: int, shown: set[str]) -> float:
    row = table[name]
    overall = row[cell]
    if row.parent is None:
        return overall
    parent_overall = table[row.parent][cell]
    with_parent = min(0.97, overall * row.ratio)
    if row.parent in shown:
        return with_parent
    return max(0.0, (overall - parent_overall * with_parent) / (1 - parent_overall))


def _draw(table: dict[str, Row], shown: set[str], rng: np.random.Generator) -> None:
    cell = _cell(shown)
    for name, level in zip(table, rng.random(len(table)).tolist(), strict=True):
        if level < _probability(table, name, cell, shown):
            shown.add(name)


def _choose(choices: dict, weights: list[float], rng: np.random.Generator):
    """Returns one key of `choices` by its weight, or None for the rest to 1."""
    level = rng.random()
    for choice, weight in zip(choices, weights, strict=True):
        if level < weight:
            return choice
        level -= weight
    return None


def _sample_identity(rng: np.random.Generator) -> frozenset[str]:
    male, young = rng.random(2).tolist()
    shown = {"Male"} if male < MALE_FREQUENCY else set()
    if young < YOUNG_FREQUENCY["men" if shown else "women"]:
        shown.add("Young")
    _draw(IDENTITY_TABLE, shown, rng)
    cell = _cell(shown)
    for choices in (HAIR_COLOURS, HAIR_TEXTURES):
        choice = _choose(choices, [weights[cell] for weights in choices.values()], rng)
        if choice is not None and "Bald" not in shown:
            shown.add(choice)
    beard = _choose(BEARDS, list(BEARDS.values()), rng) if "Male" in shown else None
    shown.update(beard or ("No_Beard",))
    if "Bald" in shown:
        shown.discard("Receding_Hairline")
    return frozenset(shown)


def _sample_picture(rng: np.random.Generator, identity_shown: frozenset[str]) -> frozenset[str]:
    shown = set(identity_shown)
    _draw(PICTURE_TABLE, shown, rng)
    if shown & {"Bald", "Receding_Hairline", "Wearing_Hat"}:
        shown.discard("Bangs")
    if "Wearing_Hat" in shown:  # nobody can see these under a hat
        shown -= {"Bald", "Receding_Hairline", "Straight_Hair", "Wavy_Hair"}
    cues = sum(weight for name, weight in ATTRACTIVE_CUES.items() if name in shown)
    if cues + ATTRACTIVE_OFFSET > 0:
        shown.add("Attractive")
    return frozenset(shown)
