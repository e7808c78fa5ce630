import dataclasses

import numpy as np
import pytest

from tfac.attributes import ATTRIBUTES
from tfac.data.synthetic.drawing import draw_face
from tfac.data.synthetic.sampling import ATTRACTIVE_CUES, Face, Look, View, sample_face
from tfac.landmarks import DLIB_68

SIZE = 128
# Where in the picture (left, top, right, bottom) an attribute must show.
REGIONS = {
    "eyes": (0.25, 0.30, 0.75, 0.52),
    "nose": (0.38, 0.40, 0.62, 0.62),
    "mouth": (0.35, 0.55, 0.65, 0.80),
    "hair": (0.15, 0.05, 0.85, 0.45),
    "neck": (0.25, 0.72, 0.75, 1.00),
    "cheeks": (0.20, 0.42, 0.80, 0.75),
    "face": (0.10, 0.05, 0.90, 1.00),
}
REGION_OF = {
    "5_o_Clock_Shadow": "mouth",
    "Arched_Eyebrows": "eyes",
    "Bags_Under_Eyes": "eyes",
    "Bald": "hair",
    "Bangs": "hair",
    "Big_Lips": "mouth",
    "Big_Nose": "nose",
    "Black_Hair": "hair",
    "Blond_Hair": "hair",
    "Brown_Hair": "hair",
    "Bushy_Eyebrows": "eyes",
    "Eyeglasses": "eyes",
    "Goatee": "mouth",
    "Gray_Hair": "hair",
    "Heavy_Makeup": "eyes",
    "High_Cheekbones": "cheeks",
    "Mouth_Slightly_Open": "mouth",
    "Mustache": "mouth",
    "Narrow_Eyes": "eyes",
    "Pointy_Nose": "nose",
    "Receding_Hairline": "hair",
    "Rosy_Cheeks": "cheeks",
    "Sideburns": "cheeks",
    "Smiling": "mouth",
    "Straight_Hair": "hair",
    "Wavy_Hair": "hair",
    "Wearing_Hat": "hair",
    "Wearing_Lipstick": "mouth",
    "Wearing_Necklace": "neck",
    "Wearing_Necktie": "neck",
    "Double_Chin": "neck",
}
# These two follow from others that are drawn and add nothing of their own.
DERIVED = {"Attractive", "No_Beard"}


def neutral_face(*shown: str, **view: float) -> Face:
    """A face looking straight ahead in even light, of middling build."""
    look = Look(*[0.5] * len(dataclasses.fields(Look)))
    middle = View(*[0.5] * len(dataclasses.fields(View)))
    straight = dataclasses.replace(middle, light_strength=0.0, background_kind=0.0, **view)
    return Face(frozenset(shown), look, straight)


@pytest.mark.parametrize("name", [name for name in ATTRIBUTES if name not in DERIVED])
def test_each_attribute_changes_the_picture_where_it_belongs(name):
    without, _ = draw_face(neutral_face("Young"), SIZE)
    shown = {"Young"} ^ {name}
    drawn, _ = draw_face(neutral_face(*shown), SIZE)
    left, top, right, bottom = (round(SIZE * side) for side in REGIONS[REGION_OF.get(name, "face")])
    difference = np.abs(drawn.astype(int) - without)[top:bottom, left:right].max(axis=2)
    assert (difference > 24).sum() >= 12


def test_attractive_rests_on_attributes_that_are_drawn():
    assert not set(ATTRACTIVE_CUES) & DERIVED


def test_same_face_gives_the_same_picture():
    face = sample_face(1, "train", 4, 1)
    first, second = draw_face(face, 64), draw_face(face, 64)
    np.testing.assert_array_equal(first[0], second[0])
    np.testing.assert_array_equal(first[1], second[1])


def test_landmarks_lie_inside_the_picture():
    for identity in range(200):
        _, landmarks = draw_face(sample_face(0, "validation", identity, 0), 32)
        assert landmarks.shape == (68, 2)
        assert 0 < landmarks.min() and landmarks.max() < 1


def test_landmarks_of_a_straight_face_are_symmetrical():
    _, landmarks = draw_face(neutral_face("Smiling", "Arched_Eyebrows"), SIZE)
    mirrored = landmarks[list(DLIB_68.mirror)] * (-1, 1) + (1, 0)
    np.testing.assert_allclose(mirrored, landmarks, atol=1e-5)


def test_landmarks_do_not_depend_on_the_size_of_the_picture():
    face = sample_face(0, "train", 2, 0)
    small, large = draw_face(face, 48)[1], draw_face(face, 300)[1]
    np.testing.assert_allclose(small, large, atol=1e-5)


def test_eye_landmarks_lie_on_the_drawn_eyes():
    """The whites of the eyes are the brightest thing between the eye corners."""
    picture, landmarks = draw_face(neutral_face("Young", "Black_Hair"), 256)
    for eye in (slice(36, 42), slice(42, 48)):
        x, y = (landmarks[eye] * 256 - 0.5).T
        inside = picture[round(y.mean()), [round(x.min()) + 4, round(x.max()) - 4]]
        outside = picture[round(y.max()) + 5, round(x.mean())]
        assert inside.mean() > outside.mean() + 20


@pytest.mark.parametrize("size", [32, 65, 128, 600])
def test_pictures_have_the_size_asked_for(size):
    picture, _ = draw_face(sample_face(0, "train", 0, 0), size)
    assert picture.shape == (size, size, 3)
    assert picture.dtype == np.uint8


def test_blurry_pictures_are_blurred():
    sharp, _ = draw_face(neutral_face("Young"), SIZE)
    blurred, _ = draw_face(neutral_face("Young", "Blurry"), SIZE)

    def detail(picture):
        return np.abs(np.diff(picture.astype(int), axis=1)).mean()

    assert detail(blurred) < 0.5 * detail(sharp)
