import numpy as np
import pytest

from tfac.attributes import ATTRIBUTES, SUBJECTIVE_ATTRIBUTES
from tfac.data.synthetic.sampling import (
    ATTRACTIVE_CUES,
    ATTRACTIVE_OFFSET,
    HAIR_COLOURS,
    PUBLISHED_FREQUENCIES,
    add_label_noise,
    sample_face,
)

BEARD_KINDS = {"5_o_Clock_Shadow", "Goatee", "Mustache", "Sideburns"}


@pytest.fixture(scope="module")
def faces():
    return [sample_face(0, "train", identity, 0) for identity in range(10_000)]


@pytest.fixture(scope="module")
def labels(faces):
    return {
        name: column
        for name, column in zip(
            ATTRIBUTES, np.array([face.labels() for face in faces]).T.astype(float), strict=True
        )
    }


def test_frequencies_lie_near_the_published_ones(labels):
    for name in ATTRIBUTES:
        published = PUBLISHED_FREQUENCIES[name]
        assert abs(labels[name].mean() - published) < 0.01 + 0.1 * published, name


@pytest.mark.parametrize(
    ("first", "second", "sign"),
    [
        ("Wearing_Lipstick", "Heavy_Makeup", 1),
        ("Smiling", "High_Cheekbones", 1),
        ("Smiling", "Mouth_Slightly_Open", 1),
        ("Chubby", "Double_Chin", 1),
        ("Male", "Big_Nose", 1),
        ("Male", "Wearing_Necktie", 1),
        ("Young", "Attractive", 1),
        ("Male", "Wearing_Lipstick", -1),
        ("Male", "No_Beard", -1),
        ("Young", "Gray_Hair", -1),
        ("Young", "Bags_Under_Eyes", -1),
        ("Big_Nose", "Pointy_Nose", -1),
    ],
)
def test_attributes_correlate_as_in_life(labels, first, second, sign):
    assert sign * np.corrcoef(labels[first], labels[second])[0, 1] > 0.08


def test_labels_are_consistent(faces):
    for face in faces:
        shown = face.shown
        assert ("No_Beard" in shown) != bool(shown & BEARD_KINDS)
        assert len(shown & set(HAIR_COLOURS)) <= 1
        assert not {"Straight_Hair", "Wavy_Hair"} <= shown
        if "Bald" in shown:
            assert not shown & {*HAIR_COLOURS, "Bangs", "Receding_Hairline", "Wearing_Hat"}
        if shown & BEARD_KINDS:
            assert "Male" in shown


def test_attractive_follows_from_the_drawn_cues(faces):
    for face in faces[:500]:
        cues = sum(weight for name, weight in ATTRACTIVE_CUES.items() if name in face.shown)
        assert ("Attractive" in face.shown) == (cues + ATTRACTIVE_OFFSET > 0)


def test_same_arguments_give_the_same_face():
    assert sample_face(3, "test", 5, 2) == sample_face(3, "test", 5, 2)


@pytest.mark.parametrize("other", [(4, "test", 5), (3, "train", 5), (3, "test", 6)])
def test_another_seed_split_or_identity_is_another_person(other):
    assert sample_face(3, "test", 5, 0).look != sample_face(*other, 0).look


def test_pictures_of_an_identity_share_the_person_but_not_the_view():
    first, second = (sample_face(0, "train", 9, index) for index in (0, 1))
    lasting = {"Male", "Young", "Big_Nose", "Oval_Face", "Goatee", *HAIR_COLOURS}
    assert first.look == second.look
    assert first.view != second.view
    assert first.shown & lasting == second.shown & lasting


def test_label_noise_touches_subjective_attributes_alone():
    labels = np.zeros((3000, len(ATTRIBUTES)), np.uint8)
    rng = np.random.default_rng(0)
    noisy = np.array([add_label_noise(row, 0.2, rng) for row in labels])
    for name, share in zip(ATTRIBUTES, noisy.mean(axis=0), strict=True):
        if name in SUBJECTIVE_ATTRIBUTES:
            assert 0.16 < share < 0.24
        else:
            assert share == 0
