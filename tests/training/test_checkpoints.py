import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.models.model_checks import create_tiny_backbone
from tfac.errors import DataError
from tfac.inference.calibration import Calibration
from tfac.models import create_model
from tfac.training import checkpoints
from tfac.training.checkpoints import (
    Checkpoints,
    create_state,
    has_checkpoint,
    read_calibration,
    restore_for_use,
)
from tfac.training.schedules import NoPlateau
from tfac.training.weighting import UniformWeighting


def create_network(seed, **options):
    """A DMM-CNN with all that a checkpoint could miss: listed layers and statistics."""
    keras.utils.set_random_seed(seed)
    arguments = {"backbone": create_tiny_backbone(), "branch_normalization": True}
    return create_model("dmm_cnn", **arguments | options)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A workdir with a checkpoint, and the model that was saved, with no variable as it began."""
    workdir = tmp_path_factory.mktemp("workdir")
    model = create_network(seed=1)
    for variable in model.variables:
        if variable.dtype == "float32":
            variable.assign(variable + 0.5)
    optimizer = keras.optimizers.SGD(0.1, momentum=0.9)
    state = create_state(model, optimizer, UniformWeighting(40), NoPlateau(), num_attributes=40)
    state.thresholds.assign(tf.range(40, dtype=tf.float32))
    state.step.assign(12)
    Checkpoints(workdir, state).save()
    return workdir, model


def test_every_variable_of_the_model_comes_back(saved):
    workdir, model = saved
    other = create_network(seed=2)
    thresholds, step = restore_for_use(workdir, other, 40)
    assert step == 12 and thresholds.tolist() == list(range(40))
    for expected, restored in zip(model.variables, other.variables, strict=True):
        np.testing.assert_array_equal(restored.numpy(), expected.numpy(), err_msg=expected.path)


def test_checkpoint_of_another_network_is_refused(saved):
    other = create_network(seed=2, branch_normalization=False)
    with pytest.raises(DataError, match="cannot restore the checkpoint"):
        restore_for_use(saved[0], other, 40)


@pytest.fixture
def twice(tmp_path):
    """A workdir with two checkpoints, of steps 1 and 2; and what makes a state like theirs."""

    def create():
        dense = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3)])
        return create_state(dense, keras.optimizers.SGD(0.1), UniformWeighting(3), NoPlateau(), 3)

    state = create()
    saves = Checkpoints(tmp_path, state)
    for step in (1, 2):
        state.step.assign(step)
        saves.save()
    return tmp_path, create


def test_a_calibration_belongs_to_the_checkpoints_since_it_was_found(twice):
    workdir, create = twice
    assert read_calibration(workdir, 2, 3) is None
    state = create()
    state.step.assign(5)
    saved = Calibration(np.array([1, 2, 3], np.float32), np.array([0, -1, 1], np.float32))
    Checkpoints(workdir, state).save(saved)
    assert read_calibration(workdir, 4, 3) is None  # killed before the checkpoint was there
    for step in (5, 6):
        assert read_calibration(workdir, step, 3).to_dict() == saved.to_dict()
    (workdir / "calibration.json").write_text("{}")
    with pytest.raises(DataError, match="calibration.json is not what tfac-train wrote"):
        read_calibration(workdir, 5, 3)


def cut(path):
    path.write_bytes(path.read_bytes()[:20])


@pytest.mark.parametrize(
    ("damage", "step"),
    [
        (lambda folder: (folder / "checkpoint").write_text(""), 2),
        (lambda folder: (folder / "checkpoint").write_bytes(b"\xff{not a list"), 2),
        (lambda folder: (folder / "checkpoint").unlink(), 2),
        (lambda folder: (folder / "ckpt-2.index").unlink(), 1),
        (lambda folder: cut(folder / "ckpt-2.index"), 1),
        (lambda folder: cut(folder / "ckpt-2.data-00000-of-00001"), 1),
    ],
)
def test_a_damaged_folder_goes_on_from_the_newest_whole_checkpoint(twice, damage, step, capsys):
    workdir, create = twice
    (workdir / "checkpoints" / "ckpt-3_temp").mkdir()
    damage(workdir / "checkpoints")
    assert has_checkpoint(workdir)
    state = create()
    saves = Checkpoints(workdir, state)
    assert saves.restore_latest() and int(state.step) == step
    saves.save()
    saves.save()
    assert tf.train.latest_checkpoint(str(workdir / "checkpoints")).endswith(f"ckpt-{step + 2}")
    assert len(list((workdir / "checkpoints").glob("ckpt-*.index"))) == 2
    assert not list((workdir / "checkpoints").glob("*_temp"))


def test_a_folder_whose_checkpoints_are_gone_is_no_new_one(twice):
    workdir, create = twice
    for index in (workdir / "checkpoints").glob("*.index"):
        index.unlink()
    for read in (has_checkpoint, lambda workdir: Checkpoints(workdir, create())):
        with pytest.raises(DataError, match="checkpoints: expected a whole checkpoint"):
            read(workdir)


@pytest.mark.parametrize("lost", ["*.index", "*.data-*"])
def test_half_of_every_checkpoint_is_no_new_run_either(twice, lost):
    folder = twice[0] / "checkpoints"
    for path in (*folder.glob(lost), folder / "checkpoint"):
        path.unlink()
    with pytest.raises(DataError, match="checkpoints: expected a whole checkpoint"):
        has_checkpoint(twice[0])


def test_a_first_save_that_was_stopped_is_a_new_run(twice):
    folder = twice[0] / "checkpoints"
    for path in folder.iterdir():
        if not path.name.startswith("ckpt-1.data-"):
            path.unlink()
    (folder / "ckpt-1.index.tempstate12").touch()
    assert not has_checkpoint(twice[0])


def test_nothing_in_the_folder_is_touched_before_the_first_save(twice):
    workdir, create = twice
    (workdir / "checkpoints" / "checkpoint").write_text("not a list")
    (workdir / "checkpoints" / "ckpt-3_temp").mkdir()
    Checkpoints(workdir, create()).restore_latest()
    assert (workdir / "checkpoints" / "checkpoint").read_text() == "not a list"
    assert (workdir / "checkpoints" / "ckpt-3_temp").is_dir()


def test_the_disk_holds_a_checkpoint_before_training_goes_on(twice, monkeypatch):
    told = []
    monkeypatch.setattr(checkpoints, "flush", lambda *paths: told.extend(p.name for p in paths))
    Checkpoints(twice[0], twice[1]()).save()
    assert set(told) == {"ckpt-1.index", "ckpt-1.data-00000-of-00001", "checkpoints"}


def test_missing_checkpoint_is_named(tmp_path):
    with pytest.raises(DataError, match=f"expected a checkpoint in {tmp_path / 'checkpoints'}"):
        restore_for_use(tmp_path, keras.Sequential([]), 40)
