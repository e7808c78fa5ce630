"""Algorithm 1 of DMM-CNN: the training loop."""

import dataclasses
from collections.abc import Callable, Iterator

import tensorflow as tf

from tfac.inference.calibration import fit_calibration
from tfac.training.checkpoints import Checkpoints, TrainingState
from tfac.training.config import TrainConfig
from tfac.training.interruption import Interruption
from tfac.training.monitor import Monitor
from tfac.training.step import TrainStep
from tfac.training.thresholds import ThresholdRule
from tfac.training.validation import ValidationResult


@dataclasses.dataclass(frozen=True)
class Plan:
    """How long a run is and when it validates.

    Attributes:
        steps_per_epoch: full batches in the training split.
        total_steps: the paper's M; 0 where the backbone is frozen.
        update_interval: the paper's P, steps.
    """

    steps_per_epoch: int
    total_steps: int
    update_interval: int

    def epoch(self, step: int) -> int:
        """Returns the epoch, counted from 1, that the step after `step` steps belongs to."""
        return max(0, min(step, self.total_steps - 1)) // self.steps_per_epoch + 1

    def validates_at(self, step: int) -> bool:
        """Says whether a validation is due after `step` steps: every P, and at the end."""
        return step % self.update_interval == 0 or step == self.total_steps


def create_plan(config: TrainConfig, num_pictures: int) -> Plan:
    """Returns the plan of a run over a training split of `num_pictures`."""
    steps_per_epoch = num_pictures // config.batch_size
    return Plan(
        steps_per_epoch=steps_per_epoch,
        total_steps=0 if config.freeze else steps_per_epoch * config.epochs,
        update_interval=config.update_interval
        or max(1, steps_per_epoch // config.updates_per_epoch),
    )


def train(
    state: TrainingState,
    *,
    plan: Plan,
    batches: Iterator[dict[str, tf.Tensor]],
    train_step: TrainStep,
    validate: Callable[[], ValidationResult],
    validation_samples: Iterator[tuple[tf.Tensor, tf.Tensor]],
    threshold_rule: ThresholdRule,
    checkpoints: Checkpoints,
    monitor: Monitor,
    interruption: Interruption,
) -> None:
    """Trains from `state.step` to the plan's end, or until the run is interrupted.

    Args:
        state: what is trained; see `TrainingState`.
        plan: how many steps, and how often to validate.
        batches: training batches from `state.step` on.
        train_step: takes a batch, updates the model, returns its losses.
        validate: scores and losses of the whole validation split.
        validation_samples: losses of a few validation pictures a step from `state.step` on; see
            `tfac.training.weighting.Weighting.after_step`.
        threshold_rule: see `tfac.training.thresholds`.
        checkpoints: where the state is saved after every validation.
        monitor: progress, TensorBoard, callbacks, and the watch for losses that are not finite.
        interruption: whether a stop was asked for.

    Raises:
        TrainingError: a loss is NaN or infinite; nothing is saved from then on.
        Interrupted: a stop was asked for; the state is whole, between two steps.

    Reference:
        Mao et al. (DMM-CNN), Algorithm 1. Beyond it: a last validation after the last step.
    """
    for step in range(int(state.step.numpy()), plan.total_steps + 1):  # line 2
        if plan.validates_at(step) and step != int(state.validated_step.numpy()):  # line 3
            with monitor.validating():
                result = validate()  # line 4, Eq. 2
            monitor.check_validation(step, result)
            thresholds = threshold_rule(
                state.thresholds.numpy(),
                result.labels,
                result.scores,
                result.label_mask,
                plan.epoch(step),
            )
            state.thresholds.assign(thresholds)  # line 5, Eq. 6
            state.weighting.update(result.attribute_losses)  # line 6, Eq. 4
            state.plateau.update(result.mean_loss)
            state.validated_step.assign(step)  # line 7
            monitor.record_validation(step, result)
            checkpoints.save(fit_calibration(result.labels, result.scores, result.label_mask))
        monitor.between_steps(step)
        if step == plan.total_steps or state.model.stop_training:
            break
        interruption.stop_if_requested()
        with monitor.waiting_for_input():
            batch = next(batches)
        losses = train_step(batch)  # lines 9 and 10, Eq. 3
        state.weighting.after_step(losses["attributes"], validation_samples)
        state.step.assign_add(1)  # line 11
        monitor.record_step(step + 1, losses)
