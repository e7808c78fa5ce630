"""What a run shows of itself: progress, TensorBoard, callbacks; and the watch on its losses."""

import contextlib
import time
from collections.abc import Iterator, Sequence

import keras
import numpy as np

from tfac.errors import TrainingError
from tfac.evaluation.attention_pictures import draw_attention
from tfac.evaluation.attribute_metrics import attribute_metrics, mean_over_attributes
from tfac.evaluation.report import count_contradictions
from tfac.label_rules import LabelRule
from tfac.losses import AttributeLoss
from tfac.progress import progress
from tfac.training.checkpoints import TrainingState
from tfac.training.sample_pictures import draw_samples, figure_pixels
from tfac.training.schedules import current_learning_rate
from tfac.training.summaries import Summaries
from tfac.training.validation import ValidationResult

# Fetching a loss waits for the device, so losses are fetched this many steps at a time.
FETCH_EVERY = 20


class Monitor:
    """Watches and reports a run.

    Args:
        state: the run's state, read only.
        attributes: attribute names [A].
        label_rules: what answers are held against.
        attribute_loss: says what probabilities the thresholds are.
        plan: the run's `tfac.training.loop.Plan`.
        batch_size: pictures a step.
        summaries: where TensorBoard reads.
        callbacks: Keras callbacks; `on_epoch_end` gets the latest validation's logs.
        show_progress: draw the progress bar and print a line a validation.
    """

    def __init__(
        self,
        state: TrainingState,
        *,
        attributes: Sequence[str],
        label_rules: Sequence[LabelRule],
        attribute_loss: AttributeLoss,
        plan,
        batch_size: int,
        summaries: Summaries,
        callbacks: Sequence[keras.callbacks.Callback] = (),
        show_progress: bool = True,
    ):
        self._state = state
        self._attributes = tuple(attributes)
        self._label_rules = label_rules
        self._attribute_loss = attribute_loss
        self._plan = plan
        self._batch_size = batch_size
        self._summaries = summaries
        self._callbacks = keras.callbacks.CallbackList(list(callbacks), model=state.model)
        self._show_progress = show_progress
        self._unchecked: list[tuple[int, dict]] = []
        self._losses: list[np.ndarray] = []  # [A] of each step since the last validation
        self._validation_logs: dict[str, float] = {}
        self._waited = 0.0
        self._window_start = time.perf_counter()

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Shows the progress bar and runs the callbacks' begin and end around the block."""
        self._first_step = self._last_step = first_step = int(self._state.step.numpy())
        self._state.model.stop_training = False
        self._bar = progress(
            total=self._plan.total_steps,
            initial=first_step,
            unit="step",
            disable=not self._show_progress,
        )
        self._callbacks.on_train_begin()
        if first_step % self._plan.steps_per_epoch:
            self._callbacks.on_epoch_begin(first_step // self._plan.steps_per_epoch)
        try:
            with self._bar:
                yield
                self._warn_of_left_out_steps()
        finally:
            self._summaries.flush()
        self._callbacks.on_train_end()

    @contextlib.contextmanager
    def validating(self) -> Iterator[None]:
        """Looks at the losses before the validation in the block starts."""
        self.check_losses()
        self._callbacks.on_test_begin()
        yield

    def between_steps(self, step: int) -> None:
        """Tells the callbacks of the epochs that end and begin after `step` steps."""
        epoch, batch = divmod(step, self._plan.steps_per_epoch)
        if batch:
            return
        if step > self._first_step:
            self._callbacks.on_epoch_end(epoch - 1, dict(self._validation_logs))
        if step < self._plan.total_steps:
            self._callbacks.on_epoch_begin(epoch)

    @contextlib.contextmanager
    def waiting_for_input(self) -> Iterator[None]:
        """Times the block as waiting for input."""
        start = time.perf_counter()
        yield
        self._callbacks.on_train_batch_begin(self._last_step % self._plan.steps_per_epoch)
        self._waited += time.perf_counter() - start

    def record_step(self, step: int, losses: dict) -> None:
        """Takes in the losses of training step number `step`, which are on the device still."""
        self._last_step = step
        self._callbacks.on_train_batch_end((step - 1) % self._plan.steps_per_epoch)
        self._unchecked.append((step, losses))
        self._bar.update()
        if len(self._unchecked) >= FETCH_EVERY:
            self.check_losses()

    def check_losses(self) -> None:
        """Fetches and reports the losses not yet looked at.

        Raises:
            TrainingError: one is NaN or infinite.
        """
        if not self._unchecked:
            return
        fetched = []
        for step, losses in self._unchecked:
            losses = {name: keras.ops.convert_to_numpy(loss) for name, loss in losses.items()}
            self._require_finite(f"step {step}", losses)
            fetched.append(losses)
        self._losses += [losses["attributes"] for losses in fetched]
        seconds = time.perf_counter() - self._window_start
        values = {
            "training/total_loss": np.mean([losses["total"] for losses in fetched]),
            "images_per_second": len(fetched) * self._batch_size / seconds,
            "input_wait_share": self._waited / seconds,
            "learning_rate": current_learning_rate(self._state.optimizer),
        }
        for name in sorted(fetched[0].keys() - {"attributes", "total"}):
            term = "landmark" if name == "landmarks" else name.removesuffix("_scores")
            values[f"training/{term}_loss"] = np.mean([losses[name] for losses in fetched])
        shown = {
            "loss": f"{values['training/total_loss']:.4g}",
            "images_s": f"{values['images_per_second']:.0f}",
        }
        if left_out := self._state.left_out_steps:
            values["left_out_steps"] = shown["left_out"] = left_out
        self._summaries.write_scalars(self._unchecked[-1][0], values)
        self._bar.set_postfix(shown, refresh=False)
        self._unchecked = []
        self._start_window()

    def check_validation(self, step: int, result: ValidationResult) -> None:
        """Refuses a validation loss that is not finite.

        Raises:
            TrainingError: one is NaN or infinite.
        """
        losses = {"attributes": result.attribute_losses}
        if result.landmark_loss is not None:
            losses["landmarks"] = result.landmark_loss
        self._require_finite(f"the validation after step {step}", losses)

    def record_validation(self, step: int, result: ValidationResult) -> None:
        """Reports a validation, with the weights and thresholds that came from it."""
        state = self._state
        metrics = attribute_metrics(
            result.labels,
            result.scores,
            state.thresholds.numpy(),
            result.label_mask,
            ranking=False,
        )
        by_attribute = {
            "validation/loss": result.attribute_losses,
            "validation/accuracy": metrics["accuracy"],
            "validation/balanced_accuracy": metrics["balanced_accuracy"],
            "attribute_weights": state.weighting.attribute_weights.numpy(),
            "threshold_probabilities": self._attribute_loss.probabilities(state.thresholds).numpy(),
        }
        means = {
            "validation/mean_loss": result.mean_loss,
            "validation/mean_accuracy": mean_over_attributes(metrics["accuracy"]),
            "validation/mean_majority_accuracy": mean_over_attributes(metrics["majority_accuracy"]),
            "validation/mean_balanced_accuracy": mean_over_attributes(metrics["balanced_accuracy"]),
        }
        if self._label_rules:
            answers = result.scores > state.thresholds.numpy()
            found = count_contradictions(
                self._attributes, self._label_rules, answers, result.labels, result.label_mask
            )
            means["validation/contradictions"] = found["contradictions"] / 100
        if result.landmark_loss is not None:
            means["validation/landmark_loss"] = result.landmark_loss
        if self._losses:
            by_attribute["training/loss"] = np.mean(self._losses, axis=0)
            means["training/mean_loss"] = by_attribute["training/loss"].mean()
            self._losses = []
        self._summaries.write_scalars(step, means)
        self._summaries.write_by_attribute(step, self._attributes, by_attribute)
        if step % self._plan.steps_per_epoch == 0 or step == self._plan.total_steps:
            picture = draw_samples(result, state.thresholds.numpy(), self._attributes)
            self._summaries.write_pictures(step, "validation/samples", picture[np.newaxis])
            images = result.samples.images
            for name, figure in draw_attention(state.model, images, len(images)).items():
                pixels = figure_pixels(figure)[np.newaxis]
                self._summaries.write_pictures(step, f"validation/{name}", pixels)
        self._validation_logs = {
            name.replace("validation/", "val_").replace("val_mean_", "val_"): float(value)
            for name, value in means.items()
            if name.startswith("validation/")
        }
        self._callbacks.on_test_end(self._validation_logs)
        self._print_validation(step, means)
        self._start_window()

    def _print_validation(self, step: int, means: dict[str, float]) -> None:
        if not self._show_progress:
            return
        self._bar.write(
            f"step {step:>6}  epoch {step / self._plan.steps_per_epoch:5.2f}  "
            f"validation: loss {means['validation/mean_loss']:.4f}  "
            f"accuracy {means['validation/mean_accuracy']:.2%} "
            f"(commoner answer {means['validation/mean_majority_accuracy']:.2%})  "
            f"balanced accuracy {means['validation/mean_balanced_accuracy']:.2%}  "
            f"learning rate {current_learning_rate(self._state.optimizer):.3g}"
            + (f"  left out {left_out} steps" if (left_out := self._state.left_out_steps) else "")
        )

    def _warn_of_left_out_steps(self) -> None:
        left_out = self._state.left_out_steps
        if left_out and self._show_progress:
            self._bar.write(
                f"warning: loss scaling left out {left_out} of {int(self._state.step.numpy())} "
                "steps, whose gradients overflowed in float16; --precision=mixed_bfloat16 or a "
                "lower --loss_scale leaves out none or fewer"
            )

    def _start_window(self) -> None:
        self._waited = 0.0
        self._window_start = time.perf_counter()

    def _require_finite(self, where: str, losses: dict[str, np.ndarray]) -> None:
        bad = ~np.isfinite(losses["attributes"])
        names = [name for name, is_bad in zip(self._attributes, bad, strict=True) if is_bad]
        terms = sorted(losses.keys() - {"attributes"})
        names += [name for name in terms if not np.isfinite(losses[name])]
        if not names:
            return
        others = f" and {len(names) - 5} others" if len(names) > 5 else ""
        raise TrainingError(
            f"the loss is NaN or infinite at {where}, for {', '.join(names[:5])}{others}. The last "
            "checkpoint is from before and left as it is. A lower learning_rate or a "
            "gradient_clip_norm may help"
        )
