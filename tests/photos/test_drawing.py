import numpy as np
import pytest

from tfac.photos.drawing import DrawnFace, draw_faces

GREY = 120


def picture(height, width):
    return np.full((height, width, 3), GREY, np.uint8)


def face(left, top, right, bottom, lines=("97%  Smiling", " 8%  Young")):
    landmarks = np.array([((left + right) / 2, (top + bottom) / 2)])
    return DrawnFace((left, top, right, bottom), landmarks, lines)


def touched(drawn, region):
    left, top, right, bottom = region
    return (drawn[top:bottom, left:right] != GREY).any()


@pytest.mark.parametrize("height, width", [(64, 64), (250, 180), (2000, 3000), (30, 900)])
def test_panel_stands_beside_the_photo_and_holds_text(height, width):
    drawn = draw_faces(picture(height, width), [face(5, 5, 20, 25)])
    factor = max(1, round(640 / max(height, width)))
    assert drawn.shape[0] >= height * factor and drawn.shape[1] > width * factor
    panel = drawn[:, width * factor :].max(axis=-1)
    assert panel.max() > 200  # text
    for edge in (panel[0], panel[-1], panel[:, 0], panel[:, -1]):
        assert edge.max() < 60  # no text touches an edge of the panel


def test_box_and_landmarks_are_where_they_belong():
    drawn = draw_faces(picture(700, 800), [face(200, 100, 400, 300)])[:, :800]
    assert touched(drawn, (198, 150, 204, 250)) and touched(drawn, (396, 150, 402, 250))
    assert touched(drawn, (250, 98, 350, 104)) and touched(drawn, (250, 296, 350, 302))
    assert touched(drawn, (298, 198, 303, 203))  # the landmark
    assert not touched(drawn, (210, 110, 290, 290))
    assert not touched(drawn, (410, 0, 800, 700))


def test_small_photo_is_enlarged_with_its_marks():
    drawn = draw_faces(picture(64, 64), [face(16, 16, 48, 48)])[:, :640]
    assert touched(drawn, (158, 200, 164, 300)) and touched(drawn, (318, 318, 323, 323))


@pytest.mark.parametrize(
    "rectangle", [(-30, -40, 60, 70), (650, 500, 900, 720), (-100, -100, 900, 900)]
)
def test_face_that_reaches_beyond_the_photo_is_drawn(rectangle):
    drawn = draw_faces(picture(600, 800), [face(*rectangle), face(300, 200, 400, 300)])
    assert drawn.shape[0] == 600


def test_without_faces_the_photo_stays_as_it_is():
    np.testing.assert_array_equal(draw_faces(picture(700, 800), []), picture(700, 800))


def test_face_without_landmarks_or_attributes_is_drawn():
    drawn = draw_faces(picture(700, 800), [DrawnFace((10, 10, 90, 90), None, ())])
    assert touched(drawn[:, :800], (8, 20, 14, 80))


def test_many_faces_leave_the_panel_no_wider_than_the_photo():
    faces = [face(80 * i, 10, 80 * i + 60, 90, ["50%  Attribute"] * 15) for i in range(20)]
    drawn = draw_faces(picture(1200, 1700), faces)
    assert drawn.shape[1] <= 2 * 1700
