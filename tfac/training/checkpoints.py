"""What a run is made of, and its checkpoints."""

import dataclasses
import functools
import os
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import keras
import tensorflow as tf

from tfac.errors import DataError
from tfac.files import flush, read_json, write_json
from tfac.inference.calibration import Calibration
from tfac.training.schedules import NoPlateau, PlateauSchedule
from tfac.training.weighting import Weighting

_KEPT = 2  # one to go on from, one more in case the disk fails on the newest

# What TensorFlow raises for a checkpoint of another model or a damaged one.
_RESTORE_ERRORS = (AssertionError, ValueError, IndexError, tf.errors.OpError)


@dataclasses.dataclass(frozen=True, eq=False)
class TrainingState:
    """All that changes while training; a checkpoint holds all of it.

    The position of the input is `step`: `tfac.data.records.pipeline.train_dataset` starts at any
    step.

    Attributes:
        model: the network.
        optimizer: built on what the model and the weighting have to train; with its loss scale,
            where it has one.
        weighting: the attribute weights and what they are computed from.
        plateau: what lowers the learning rate.
        thresholds: float32 [A], score space.
        step: training steps done.
        validated_step: the step at which the last validation ran, -1 before the first.
    """

    model: keras.Model
    optimizer: keras.optimizers.Optimizer
    weighting: Weighting
    plateau: PlateauSchedule | NoPlateau
    thresholds: tf.Variable
    step: tf.Variable
    validated_step: tf.Variable

    @property
    def left_out_steps(self) -> int:
        """How many of the steps done loss scaling left out, as their gradients overflowed."""
        return int(self.step.numpy()) - int(self.optimizer.iterations.numpy())

    @property
    def trainable_variables(self) -> list[keras.Variable]:
        """What the optimizer trains."""
        return [*self.model.trainable_variables, *self.weighting.learnt_variables]


def create_step() -> tf.Variable:
    """Returns the number of training steps done by a run that has not begun, int64."""
    return tf.Variable(0, trainable=False, dtype=tf.int64, name="step")


def create_state(
    model, optimizer, weighting, plateau, num_attributes: int, step: tf.Variable | None = None
) -> TrainingState:
    """Returns the state of a run that has not begun: thresholds 0, step 0.

    `step` is that of `create_step` where the optimizer follows it, by default a new one.
    """
    state = TrainingState(
        model=model,
        optimizer=optimizer,
        weighting=weighting,
        plateau=plateau,
        thresholds=tf.Variable(tf.zeros([num_attributes]), trainable=False, name="thresholds"),
        step=create_step() if step is None else step,
        validated_step=tf.Variable(-1, trainable=False, dtype=tf.int64, name="validated_step"),
    )
    optimizer.build(state.trainable_variables)
    return state


CALIBRATION_FILE = "calibration.json"


class Checkpoints:
    """The checkpoints of a workdir; each appears whole or not at all.

    Nothing in the folder is touched before the first save.

    Args:
        workdir: the run's folder; checkpoints go to its subfolder `checkpoints`.
        state: what is saved and restored.
        writes: whether this process saves; of several workers the chief alone does.

    Raises:
        DataError: there were checkpoints, but none is whole.
    """

    def __init__(self, workdir: Path, state: TrainingState, writes: bool = True):
        self._writes = writes
        self._workdir, self._state = workdir, state
        parts = {field.name: getattr(state, field.name) for field in dataclasses.fields(state)}
        parts["model"] = _variables(state.model)
        self._checkpoint, self._found = tf.train.Checkpoint(**parts), _whole_checkpoints(workdir)

    @functools.cached_property
    def _manager(self) -> tf.train.CheckpointManager:
        _clear(self._workdir)
        folder = str(self._workdir / "checkpoints")
        return tf.train.CheckpointManager(self._checkpoint, folder, max_to_keep=_KEPT)

    def save(self, calibration: Calibration | None = None) -> None:
        """Saves the state, and the calibration that came from its validation, if any.

        Checkpoints are numbered by saves, not steps: writing a second one under the same name, for
        a step saved before and after its validation, would not be safe against a kill.
        """
        if self._writes:
            if calibration is not None:
                record = {"step": int(self._state.step.numpy()), **calibration.to_dict()}
                write_json(self._workdir / CALIBRATION_FILE, record)
            path = Path(self._manager.save())
            flush(*path.parent.glob(f"{path.name}.*"), path.parent)

    def restore_latest(self) -> bool:
        """Restores the newest whole checkpoint into the state; False if there is none.

        Raises:
            DataError: no checkpoint belongs to this model and optimizer, or all are damaged.
        """
        if self._found:
            restore = self._checkpoint.restore
            _restore_first(self._found, lambda path: restore(path).assert_consumed())
        return bool(self._found)


def has_checkpoint(workdir: Path) -> bool:
    """Says whether a run in `workdir` has saved anything yet.

    Raises:
        DataError: it has, but no checkpoint is whole.
    """
    return bool(_whole_checkpoints(workdir))


def _whole_checkpoints(workdir: Path) -> list[str]:
    """Returns the checkpoints that have all their files, the newest first.

    Files are looked at, not TensorFlow's list of them, which may be damaged or name what is gone.

    Raises:
        DataError: there is something of checkpoints, but none is whole. (What is of the first
            alone, and no index, is of a save that was stopped before there was any checkpoint.)
    """
    folder = workdir / "checkpoints"
    indices = {path.stem[5:]: path for path in folder.glob("ckpt-*.index")}
    whole = {
        int(number): str(path.with_suffix(""))
        for number, path in indices.items()
        if number.isdecimal() and any(folder.glob(f"{path.stem}.data-*"))
    }
    parts = {path.name for path in folder.glob("*") if path.is_file()}
    if not whole and not all(re.match(r"ckpt-1\.(?!index$)", name) for name in parts):
        raise DataError(
            f"{folder}: expected a whole checkpoint (ckpt-N.index and ckpt-N.data-...), but there "
            "is none any more. Bring its files back, or remove the folder to begin anew"
        )
    return [whole[number] for number in sorted(whole, reverse=True)]


def _clear(workdir: Path) -> None:
    """Removes what failed saves have left, and mends TensorFlow's list of the checkpoints."""
    folder = workdir / "checkpoints"
    for rest in folder.glob("ckpt-*_temp"):
        shutil.rmtree(rest, ignore_errors=True)
    paths = _whole_checkpoints(workdir)[::-1]
    try:
        listed = tf.train.get_checkpoint_state(str(folder))
    except ValueError:
        listed = None
    if paths and (listed is None or list(listed.all_model_checkpoint_paths) != paths):
        times = [os.path.getmtime(f"{path}.index") for path in paths]
        tf.compat.v1.train.update_checkpoint_state(
            str(folder), paths[-1], paths, all_model_checkpoint_timestamps=times
        )


def _restore_first(paths: list[str], restore: Callable[[str], object]) -> None:
    """Calls `restore` with the first of `paths` that it takes; says what it passed over.

    Raises:
        DataError: it takes none; about the first.
    """
    refused = None
    for path in paths:
        try:
            restore(path)
        except _RESTORE_ERRORS as error:
            message = f"cannot restore the checkpoint {path}: {_first_line(error)}"
            refused = refused or DataError(message)
            continue
        if refused:
            print(f"warning: {refused}. Taken in its place: {path}", file=sys.stderr, flush=True)
        return
    raise refused


def read_calibration(workdir: Path, step: int, num_attributes: int) -> Calibration | None:
    """Returns the calibration that belongs to a checkpoint; None where there is none.

    That is the one of the last validation, at most `step` steps into the run.

    Raises:
        DataError: the file is damaged.
    """
    path = workdir / CALIBRATION_FILE
    if not path.is_file():
        return None  # of a run before there were any
    try:
        record = read_json(path)
        calibration = Calibration.from_dict(record, num_attributes)
        return calibration if record["step"] <= step else None
    except (ValueError, LookupError, TypeError) as error:
        raise DataError(f"{path} is not what tfac-train wrote: {error}") from error


def restore_for_use(workdir: Path, model: keras.Model, num_attributes: int) -> tuple:
    """Restores the newest whole checkpoint's model, without what only training needs.

    Returns:
        (thresholds, float32 array [A]; step)

    Raises:
        DataError: there is no checkpoint, or it does not belong to this model or is damaged.
    """
    paths = _whole_checkpoints(workdir)
    if not paths:
        raise DataError(
            f"expected a checkpoint in {workdir / 'checkpoints'}, but there is none yet. "
            "tfac-train writes the first after its first validation"
        )
    thresholds = tf.Variable(tf.zeros([num_attributes]), trainable=False)
    step = tf.Variable(0, trainable=False, dtype=tf.int64)
    checkpoint = tf.train.Checkpoint(model=_variables(model), thresholds=thresholds, step=step)
    _restore_first(
        paths,
        lambda path: checkpoint.restore(path).assert_existing_objects_matched().expect_partial(),
    )
    return thresholds.numpy(), int(step.numpy())


def _variables(model: keras.Model) -> list[tf.Variable]:
    """Every variable of the model: weights, statistics and the state of random layers.

    Given the model itself, TensorFlow would miss layers that it keeps in lists and random states.
    """
    return [variable.value for variable in model.variables]


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0][:300]
