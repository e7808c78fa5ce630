"""What a run is made of, and its checkpoints."""

import dataclasses
from pathlib import Path

import keras
import tensorflow as tf

from tfac.errors import DataError
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


class Checkpoints:
    """The checkpoints of a workdir; each appears whole or not at all.

    Args:
        workdir: the run's folder; checkpoints go to its subfolder `checkpoints`.
        state: what is saved and restored.
        writes: whether this process saves; of several workers the chief alone does.
    """

    def __init__(self, workdir: Path, state: TrainingState, writes: bool = True):
        self._writes = writes
        parts = {field.name: getattr(state, field.name) for field in dataclasses.fields(state)}
        parts["model"] = _variables(state.model)
        self._manager = tf.train.CheckpointManager(
            tf.train.Checkpoint(**parts), str(workdir / "checkpoints"), max_to_keep=_KEPT
        )

    def save(self) -> None:
        """Saves the state.

        Checkpoints are numbered by saves, not steps: writing a second one under the same name, for
        a step saved before and after its validation, would not be safe against a kill.
        """
        if self._writes:
            self._manager.save()

    def restore_latest(self) -> bool:
        """Restores the newest checkpoint into the state; False if there is none.

        Raises:
            DataError: the checkpoint does not belong to this model and optimizer, or is damaged.
        """
        path = self._manager.latest_checkpoint
        if path is None:
            return False
        try:
            self._manager.checkpoint.restore(path).assert_consumed()
        except _RESTORE_ERRORS as error:
            raise DataError(
                f"cannot restore the checkpoint {path}: {_first_line(error)}"
            ) from error
        return True


def has_checkpoint(workdir: Path) -> bool:
    """Says whether a run in `workdir` has saved anything yet."""
    return tf.train.latest_checkpoint(str(workdir / "checkpoints")) is not None


def restore_for_use(workdir: Path, model: keras.Model, num_attributes: int) -> tuple:
    """Restores the newest checkpoint's model, without what only training needs.

    Returns:
        (thresholds, float32 array [A]; step)

    Raises:
        DataError: there is no checkpoint, or it does not belong to this model or is damaged.
    """
    path = tf.train.latest_checkpoint(str(workdir / "checkpoints"))
    if path is None:
        raise DataError(
            f"expected a checkpoint in {workdir / 'checkpoints'}, but there is none yet. "
            "tfac-train writes the first after its first validation"
        )
    thresholds = tf.Variable(tf.zeros([num_attributes]), trainable=False)
    step = tf.Variable(0, trainable=False, dtype=tf.int64)
    checkpoint = tf.train.Checkpoint(model=_variables(model), thresholds=thresholds, step=step)
    try:
        status = checkpoint.restore(path)
        status.assert_existing_objects_matched().expect_partial()
    except _RESTORE_ERRORS as error:
        raise DataError(f"cannot restore the checkpoint {path}: {_first_line(error)}") from error
    return thresholds.numpy(), int(step.numpy())


def _variables(model: keras.Model) -> list[tf.Variable]:
    """Every variable of the model: weights, statistics and the state of random layers.

    Given the model itself, TensorFlow would miss layers that it keeps in lists and random states.
    """
    return [variable.value for variable in model.variables]


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0][:300]
