import numpy as np
import pytest

from tfac.evaluation.attention_pictures import (
    draw_affinity,
    draw_attention,
    draw_attention_masks,
)


def pixels(figure):
    from tfac.training.sample_pictures import figure_pixels

    return figure_pixels(figure).astype(int)


class Attentive:
    """Two groups, two levels, and an affinity on one of them."""

    group_names = ("left", "right")

    def call(self, images, training=False, explain=False):
        masks = np.ones((len(images), 2, 2, 2), np.float32)
        affinity = np.tile(1 - np.eye(2, dtype=np.float32), (len(images), 1, 1))
        return {"P3_attention_mask": masks, "P4_attention_mask": masks, "P4_affinity": affinity}

    def __call__(self, images, **options):
        return self.call(images, **options)


class Silent:
    """A network that has nothing to explain."""

    def call(self, images, training=False):
        return {"scores": images}


def test_a_model_is_asked_for_its_attention():
    images = np.zeros((3, 20, 20, 3), np.uint8)
    figures = draw_attention(Attentive(), images, most_pictures=2)
    assert set(figures) == {"attention_masks", "affinity"}
    assert figures["attention_masks"].get_size_inches()[1] == pytest.approx(4 * 1.3)  # 2 x 2 levels


def test_a_model_without_attention_or_with_too_many_groups_gives_no_picture():
    images = np.zeros((3, 20, 20, 3), np.uint8)
    assert draw_attention(Silent(), images, 2) == {}
    assert draw_attention(Attentive(), images, 2, most_groups=1) == {}
    blind = Attentive()
    blind.call = lambda images, training=False, explain=False: {}
    assert draw_attention(blind, images, 2) == {}


def test_a_mask_is_red_where_it_is_highest_and_blue_where_it_is_zero():
    masks = np.zeros((1, 4, 4, 2), np.float32)
    masks[0, :, 2:, 0] = 7.0  # the right half, whatever the unit
    picture = pixels(
        draw_attention_masks(np.full((1, 60, 40, 3), 90, np.uint8), {"P3": masks}, "ab")
    )
    height, width = picture.shape[:2]
    left, middle, right = (picture[height // 2, int(width * share)] for share in (0.37, 0.5, 0.63))
    assert left[2] > left[0] + 50  # first mask, left half
    assert right[0] > right[2] + 50  # first mask, right half
    empty = picture[height // 2, int(width * 0.9)]
    np.testing.assert_allclose(empty, left, atol=2)  # the second mask is 0 everywhere
    np.testing.assert_array_equal(picture[height // 2, width // 10], [90, 90, 90])


@pytest.mark.parametrize(("num_groups", "rows"), [(1, 4), (8, 4), (40, 20)])
def test_many_groups_take_more_rows(num_groups, rows):
    masks = np.random.default_rng(0).uniform(size=(2, 3, 3, num_groups)).astype(np.float32)
    names = [f"group_{i}" for i in range(num_groups)]
    images = np.zeros((2, 20, 20, 3), np.uint8)
    figure = draw_attention_masks(images, {"P3": masks, "P4": masks[:, :2, :2]}, names)
    assert figure.get_size_inches()[1] == pytest.approx(rows * 1.3)
    assert [text.get_text() for text in figure.axes[0].texts][:2] == ["P3", "group 0"]


@pytest.mark.parametrize("num_groups", [2, 40])
def test_affinity_is_the_mean_over_pictures(num_groups):
    affinity = np.random.default_rng(0).uniform(size=(3, num_groups, num_groups))
    names = [f"group_{i}" for i in range(num_groups)]
    figure = draw_affinity({"P3": affinity, "P4": 0 * affinity}, names)
    panels = [axes for axes in figure.axes if axes.get_title()]
    assert [axes.get_title()[:2] for axes in panels] == ["P3", "P4"]
    np.testing.assert_allclose(panels[0].images[0].get_array(), affinity.mean(axis=0))
    assert [label.get_text() for label in panels[0].get_yticklabels()][:2] == ["group 0", "group 1"]
    assert pixels(figure).shape[2] == 3
