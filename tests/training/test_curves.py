import os

from PIL import Image

from tfac.training.curves import are_drawn, changing_tags, draw_curves, read_series
from tfac.training.summaries import Summaries


def test_curves_come_from_the_summaries(tmp_path):
    summaries = Summaries(tmp_path / "tensorboard")
    for step in (0, 10, 20):
        summaries.write_scalars(step, {"validation/mean_loss": 1 / (step + 1)})
        summaries.write_by_attribute(
            step, ["Young"], {"threshold_probabilities": [0.01 * step], "attribute_weights": [1.0]}
        )
    summaries.flush()
    draw_curves(tmp_path / "tensorboard", tmp_path / "curves.png")
    with Image.open(tmp_path / "curves.png") as picture:
        assert picture.width > 1000


def test_a_picture_is_of_all_events_that_are_not_newer(tmp_path):
    picture, events = tmp_path / "curves.png", tmp_path / "tensorboard"
    events.mkdir()
    assert not are_drawn(events, picture)
    picture.touch()
    for name in ("first", "second"):
        (events / name).touch()
        os.utime(events / name, (1e9, 1e9))
    assert are_drawn(events, picture)
    os.utime(picture, (1e9 - 1, 1e9 - 1))
    assert not are_drawn(events, picture)


def test_of_a_step_gone_over_again_the_last_value_counts(tmp_path):
    for value in (1.0, 2.0):
        summaries = Summaries(tmp_path)
        summaries.write_scalars(5, {"validation/mean_loss": value})
        summaries.flush()
    steps, values = read_series(tmp_path)["validation/mean_loss"]
    assert steps.tolist() == [5] and values.tolist() == [2.0]


def test_what_never_changes_has_no_panel(tmp_path):
    sizes = {}
    for name, moves in (("still", 0.0), ("moving", 0.01)):
        summaries = Summaries(tmp_path / name)
        for step in (0, 10):
            arrays = {"threshold_probabilities": [0.5 + moves * step], "attribute_weights": [1.0]}
            summaries.write_by_attribute(step, ["Young"], arrays)
        summaries.flush()
        draw_curves(tmp_path / name, tmp_path / f"{name}.png")
        with Image.open(tmp_path / f"{name}.png") as picture:
            sizes[name] = picture.height
    assert changing_tags(read_series(tmp_path / "still"), "threshold_probabilities") == []
    assert sizes["still"] < sizes["moving"]  # one row of panels or two
