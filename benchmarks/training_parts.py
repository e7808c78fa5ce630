"""Where a real training run spends its time; for `training.py` and `validation.py`.

The run is `tfac.training.run.run_training` itself. Clocks are put around what it calls, and at the
end of every epoch the bare step and the bare inference are timed on a batch kept in memory, so that
both sides of a ratio are a few seconds apart. On a GPU a part's time is what the program waits for
in it.
"""

import collections
import contextlib
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest import mock

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras

from tfac.data.preparing.workers import Processes
from tfac.data.synthetic.faces import SyntheticFacesConfig, prepare_synthetic_faces
from tfac.training import run
from tfac.training.checkpoints import Checkpoints
from tfac.training.config import TrainConfig
from tfac.training.monitor import Monitor

# CelebA's official splits.
CELEBA_TRAIN, CELEBA_VALIDATION = 162_770, 19_867
# Parts whose time grows with the steps, with the pictures validated, and with the validations.
STEP_PARTS = ("step", "input", "logging of steps", "rest of the loop")
VALIDATION_PARTS = ("validation",)
UPDATE_PARTS = ("reports of validations", "checkpoints")
PARTS = (*STEP_PARTS, *VALIDATION_PARTS, *UPDATE_PARTS)

_DRAWN_SIZE = 218  # CelebA's height


class _Clock:
    """Seconds by part; while a part is inside another the inner one counts."""

    def __init__(self):
        self.seconds = collections.Counter()
        self._parts, self._since = ["rest of the loop"], time.perf_counter()

    def _switch(self) -> None:
        now = time.perf_counter()
        self.seconds[self._parts[-1]] += now - self._since
        self._since = now

    @contextlib.contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Counts the block as `name`."""
        self._switch()
        self._parts.append(name)
        try:
            yield
        finally:
            self._switch()
            self._parts.pop()

    def timed(self, name: str, function: Callable) -> Callable:
        """Returns `function`, its calls counted as `name`."""

        def timed(*arguments, **options):
            with self.part(name):
                return function(*arguments, **options)

        return timed

    def take(self) -> dict[str, float]:
        """Returns the seconds since the last call."""
        self._switch()
        seconds, self.seconds = dict(self.seconds), collections.Counter()
        return seconds


class _Windows(keras.callbacks.Callback):
    """Ends an epoch with the same number of bare steps and inferences, and notes the times."""

    def __init__(self, clock: _Clock):
        super().__init__()
        self.windows, self._clock = [], clock
        self._first, self._steps, self._validations = {}, 0, 0

    def keep_first(self, name: str, create: Callable, part: str | None = None) -> Callable:
        """Returns `create` for functions of which the bare one and its first batch are kept."""

        def create_kept(*arguments, **options):
            function = create(*arguments, **options)

            def kept(batch):
                self._first.setdefault(name, (function, batch))
                return function(batch)

            return self._clock.timed(part, kept) if part else kept

        return create_kept

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        """Counts."""
        self._steps += 1

    def on_test_end(self, logs: dict | None = None) -> None:
        """Counts."""
        self._validations += 1

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Times the bare functions, outside of the run's own time."""
        seconds = self._clock.take()
        window = {
            "steps": self._steps,
            "validations": self._validations,
            "seconds": {part: seconds.get(part, 0.0) for part in PARTS},
            "bare_step_seconds": self._seconds_a_call("step", max(2, self._steps)),
            "bare_inference_seconds": self._seconds_a_picture("inference"),
        }
        if epoch:  # the first compiles
            self.windows.append(window)
        self._steps = self._validations = 0
        self._clock.take()

    def _seconds_a_picture(self, name: str) -> float:
        return self._seconds_a_call(name, 2) / len(self._first[name][1])

    def _seconds_a_call(self, name: str, calls: int) -> float:
        function, batch = self._first[name]
        start = time.perf_counter()
        for _ in range(calls):
            outputs = function(batch)
        for output in outputs.values():
            output.numpy()  # until the device is done
        return (time.perf_counter() - start) / calls


@contextlib.contextmanager
def drawn_faces(train: int, validation: int) -> Iterator[Path]:
    """Yields a prepared data set of drawn faces of CelebA's height."""
    with tempfile.TemporaryDirectory() as folder:
        config = SyntheticFacesConfig(
            image_size=_DRAWN_SIZE, train_count=train, validation_count=validation, test_count=1
        )
        path, _ = prepare_synthetic_faces(config, Path(folder) / "data", Processes())
        yield path


def measure(config: TrainConfig, data_dir: Path) -> list[dict]:
    """Trains and returns a window for each epoch but the first.

    A window has "steps" and "validations" and how many "seconds" of its own time went into each of
    `PARTS`; "bare_step_seconds", a step on the same batch again and again, and
    "bare_inference_seconds", a picture of a validation batch.
    """
    clock = _Clock()
    windows = _Windows(clock)
    get_rule = run.get_threshold_rule

    def timed_rule(*arguments):
        return clock.timed("validation", get_rule(*arguments))

    hooks = [
        (run, "create_train_step", windows.keep_first("step", run.create_train_step, "step")),
        (run, "create_predict_step", windows.keep_first("inference", run.create_predict_step)),
        (run, "validate", clock.timed("validation", run.validate)),
        (run, "get_threshold_rule", timed_rule),
        (Checkpoints, "save", clock.timed("checkpoints", Checkpoints.save)),
        (Monitor, "waiting_for_input", _within(clock, "input", Monitor.waiting_for_input)),
        *(
            (Monitor, name, clock.timed(part, getattr(Monitor, name)))
            for name, part in (
                ("check_losses", "logging of steps"),
                ("record_step", "logging of steps"),
                ("record_validation", "reports of validations"),
            )
        ),
    ]
    with contextlib.ExitStack() as stack:
        for owner, name, hook in hooks:
            stack.enter_context(mock.patch.object(owner, name, hook))
        workdir = stack.enter_context(tempfile.TemporaryDirectory())
        run.run_training(config, data_dir, workdir, [windows], show_progress=False)
    return windows.windows


def _within(clock: _Clock, part: str, context: Callable) -> Callable:
    @contextlib.contextmanager
    def timed(*arguments):
        with clock.part(part), context(*arguments):
            yield

    return timed


def seconds_on_celeba(window: dict, batch_size: int, validated: int) -> dict[str, float]:
    """Returns the parts' seconds in an epoch of CelebA with four validations.

    Args:
        window: from `measure`.
        batch_size: pictures a step.
        validated: pictures of its validation split.
    """
    steps = CELEBA_TRAIN // batch_size / window["steps"]
    updates = 4 / window["validations"]
    pictures = updates * CELEBA_VALIDATION / validated
    scale = {
        **dict.fromkeys(STEP_PARTS, steps),
        **dict.fromkeys(VALIDATION_PARTS, pictures),
        **dict.fromkeys(UPDATE_PARTS, updates),
    }
    return {part: seconds * scale[part] for part, seconds in window["seconds"].items()}
