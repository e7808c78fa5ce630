import pytest

pytest.importorskip("sqlalchemy")

from PIL import Image
from toy_pipeline import run_toys

from pipelines.engine.origin import ORIGIN_FILE, read_origin
from pipelines.engine.store import MetadataStore
from pipelines.lineage import describe, draw, find_push, find_steps
from tfac.errors import DataError


def steps_of(folder, store=None):
    origin = read_origin(folder)
    with store or MetadataStore(origin.store) as records:
        push = find_push(records, origin.artifact_id, origin.fingerprint, version=int(folder.name))
        return find_steps(records, push)


def test_lineage_of_a_push_names_and_draws_what_it_followed_from(toy_root, tmp_path):
    run_toys(toy_root)
    run_toys(toy_root, quality=7)
    run_toys(toy_root, quality=3)  # refused; has no part in it
    steps = steps_of(toy_root.parent / "served" / "2")
    assert [(step.execution.component, step.execution.run_id) for step in steps] == [
        ("ExampleGen", 1),
        ("StatisticsGen", 1),
        ("ExampleValidator", 1),
        ("Trainer", 2),
        ("Evaluator", 2),
        ("Pusher", 2),
    ]
    text = describe(steps)
    assert "parameter quality: 7" in text
    assert "read outside of the pipeline: 1 2 3 4" in text
    assert "blessed: true" in text
    assert f"code: {steps[0].execution.code_version[:12]}" in text
    assert "input baseline: Trainer/4/model" in text and "(of an earlier run)" in text
    assert "\n  parameter quality: 5\n" not in text  # the baseline's own history is its own
    figure = draw(steps, "toy, version 2")
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert {"ExampleGen", "Trainer", "Evaluator", "Pusher", "Trainer/4/model"} <= set(texts)
    figure.savefig(tmp_path / "lineage.png")
    with Image.open(tmp_path / "lineage.png") as picture:
        assert min(picture.size) > 100


def test_lineage_is_found_from_a_moved_folder(toy_root, tmp_path_factory):
    run_toys(toy_root)
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "all"
    toy_root.parent.rename(elsewhere)
    assert len(steps_of(elsewhere / "served" / "1")) == 6


def test_version_that_the_records_do_not_know_is_refused(toy_root):
    run_toys(toy_root)
    served = toy_root.parent / "served"
    (served / "1").rename(served / "9")
    with pytest.raises(DataError, match="push of version 9"):
        steps_of(served / "9")


@pytest.mark.parametrize("content", [None, "{}", "[]", "not json"])
def test_folder_without_a_note_is_refused(tmp_path, content):
    if content:
        (tmp_path / ORIGIN_FILE).parent.mkdir()
        (tmp_path / ORIGIN_FILE).write_text(content)
    with pytest.raises(DataError, match="Pusher writes"):
        read_origin(tmp_path)
