import contextlib
import dataclasses
import functools
import json
import shutil
import signal

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tests.training.conftest import SignalAt
from tfac import speed
from tfac.data.records.pipeline import evaluation_dataset
from tfac.errors import ConfigError, DataError, TrainingError
from tfac.files import only_writer
from tfac.losses import SquaredError
from tfac.training import run as run_module
from tfac.training.config import TrainConfig
from tfac.training.interruption import Interrupted
from tfac.training.run import run_training
from tfac.training.weighting import AdaptiveWeighting
from tfac.training.workdir import load_trained_network

CONFIG = TrainConfig(
    image_size=(16, 16),
    weighting="dynamic_mean_one",
    thresholds="adaptive",
    updates_per_epoch=1,
    epochs=4,
    batch_size=8,
    optimizer="sgd",
    learning_rate=0.01,
    schedule="plateau",
    warmup_epochs=0.0,
)  # 24 pictures: 3 steps an epoch, 12 in all

pytestmark = pytest.mark.usefixtures("tiny_network")


def run(data_dir, workdir, config=CONFIG, **arguments):
    return run_training(config, data_dir, workdir, show_progress=False, **arguments)


def contents(state):
    """Every number of the state."""
    variables = [
        *state.model.variables,
        *state.optimizer.variables,
        *state.weighting.variables,
        *state.weighting.learnt_variables,
        state.weighting.attribute_weights,
        *state.plateau.variables,
        state.thresholds,
        state.step,
        state.validated_step,
    ]
    return [keras.ops.convert_to_numpy(variable) for variable in variables]


def assert_same(first, second):
    for a, b in zip(contents(first), contents(second), strict=True):
        np.testing.assert_array_equal(a, b)


class Killed(BaseException):
    pass


class KillAt(keras.callbacks.Callback):
    """Ends the run at a step as abruptly as an exception can."""

    def __init__(self, step):
        super().__init__()
        self.step = step

    def on_train_batch_end(self, batch, logs=None):
        self.step -= 1
        if not self.step:
            raise Killed


@pytest.fixture
def short_intervals(monkeypatch):
    """Adaptive Weighting changes its weights every two steps from step 4 on."""
    short = functools.partial(AdaptiveWeighting, interval=2)
    monkeypatch.setattr("tfac.training.weighting.AdaptiveWeighting", short)


@pytest.mark.parametrize(
    "options",
    [
        {"weighting": "dynamic_raw", "thresholds": "adaptive", "schedule": "plateau"},
        pytest.param(
            {
                "weighting": "aw",
                "class_balance": "majority",
                "precision": "mixed_float16",
                "schedule": "cosine",
                "optimizer": "adamw",
            },
            marks=pytest.mark.slow,
        ),
        pytest.param({"weighting": "dwa", "epochs": 3}, marks=pytest.mark.slow),
        pytest.param({"weighting": "uncertainty"}, marks=pytest.mark.slow),
        pytest.param({"weighting": "gradnorm"}, marks=pytest.mark.slow),
    ],
)
def test_resumed_run_equals_an_uninterrupted_one(tiny_records, tmp_path, short_intervals, options):
    options = {"epochs": 2, "plateau_patience": 1, **options}
    config = dataclasses.replace(CONFIG, **options)
    whole = run(tiny_records, tmp_path / "whole", config)
    # After step 2; in step 5, losing steps 4 and 5; at the end of the last step.
    for stop in (SignalAt(step=2), KillAt(step=3), SignalAt(step=3)):
        with pytest.raises((Interrupted, Killed)):
            run(tiny_records, tmp_path / "stopped", config, callbacks=[stop])
    resumed = run(tiny_records, tmp_path / "stopped", config)
    assert int(resumed.step) == 3 * config.epochs
    assert_same(whole, resumed)
    assert np.std(keras.ops.convert_to_numpy(resumed.weighting.attribute_weights)) > 0


def test_stop_asked_for_in_validation_does_not_wait_for_its_end(tiny_records, tmp_path):
    config = dataclasses.replace(CONFIG, epochs=1)
    whole = run(tiny_records, tmp_path / "whole", config)
    with pytest.raises(Interrupted):
        stop = SignalAt(validation=2, number=signal.SIGINT)
        run(tiny_records, tmp_path / "stopped", config, callbacks=[stop])
    assert load_trained_network(tmp_path / "stopped").step == 3
    assert_same(whole, run(tiny_records, tmp_path / "stopped", config))


def test_same_seed_gives_the_same_run_and_a_finished_run_is_left_as_it_is(tiny_records, tmp_path):
    config = dataclasses.replace(CONFIG, epochs=1, seed=7)
    first = run(tiny_records, tmp_path / "a", config)
    assert_same(first, run(tiny_records, tmp_path / "b", config))
    checkpoint = tf.train.latest_checkpoint(str(tmp_path / "a" / "checkpoints"))
    assert_same(first, run(tiny_records, tmp_path / "a", config))
    assert tf.train.latest_checkpoint(str(tmp_path / "a" / "checkpoints")) == checkpoint

    record = json.loads((tmp_path / "a" / "config.json").read_text())
    assert record["config"]["seed"] == 7 and record["config"]["image_size"] == [16, 16]
    assert record["versions"]["tensorflow"] == tf.__version__
    assert record["data"]["splits"]["train"] == 24

    with pytest.raises(ConfigError, match="config.epochs: 1 there, 2 now; config.seed: 7 there"):
        run(tiny_records, tmp_path / "a", dataclasses.replace(CONFIG, epochs=2, seed=5))


def test_two_processes_do_not_train_in_one_workdir(tiny_records, tmp_path):
    with only_writer(tmp_path / "a", "workdir"):
        with pytest.raises(ConfigError, match="workdir .*a: another process is writing to it"):
            run(tiny_records, tmp_path / "a", CONFIG)
    assert not (tmp_path / "a").exists()


def files(folder):
    """The files in a folder, and when each was written."""
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def read_only(monkeypatch):
    """Nothing can be written to workdirs; permissions would not keep root from it."""

    @contextlib.contextmanager
    def refuse(folder, flag):
        raise DataError(f"{flag} {folder}: cannot be written: Read-only file system")
        yield

    monkeypatch.setattr(run_module, "only_writer", refuse)


def test_a_finished_run_may_be_read_only_and_one_that_has_not_ended_not(
    tiny_records, finished_run, tmp_path, read_only
):
    config, workdir, state = finished_run
    before = files(workdir)
    assert_same(state, run(tiny_records, workdir, config))
    assert files(workdir) == before
    begun = tmp_path / "begun"
    shutil.copytree(workdir, begun)
    for checkpoint in (begun / "checkpoints").glob("ckpt-2.*"):
        checkpoint.unlink()
    for folder in (begun, tmp_path / "new"):
        before = files(folder)
        with pytest.raises(DataError, match="workdir .* cannot be written"):
            run(tiny_records, folder, config)
        assert files(folder) == before


@pytest.mark.parametrize(
    "options",
    [
        {"schedule": "constant", "weighting": "uniform", "update_interval": 2},
        {"schedule": "plateau", "plateau_patience": 1},
    ],
)
def test_a_finished_run_goes_on_to_more_epochs_as_if_asked_for_at_once(
    tiny_records, tmp_path, options
):
    config = dataclasses.replace(CONFIG, thresholds="exact", **options)
    whole = run(tiny_records, tmp_path / "whole", config)
    shorter = dataclasses.replace(config, epochs=1)
    assert int(run(tiny_records, tmp_path / "longer", shorter).step) == 3
    assert_same(whole, run(tiny_records, tmp_path / "longer", config))
    assert load_trained_network(tmp_path / "longer").training["epochs"] == 4


def test_more_epochs_are_written_down_once_the_checkpoint_was_read(tiny_records, tmp_path):
    options = {"schedule": "constant", "weighting": "uniform", "thresholds": "exact", "epochs": 1}
    config = dataclasses.replace(CONFIG, **options)
    run(tiny_records, tmp_path, config)
    for data in (tmp_path / "checkpoints").glob("*.data-*"):
        data.write_bytes(data.read_bytes()[:20])
    before = files(tmp_path)
    with pytest.raises(DataError, match="cannot restore the checkpoint"):
        run(tiny_records, tmp_path, dataclasses.replace(config, epochs=2))
    assert files(tmp_path) == before


@pytest.mark.parametrize(
    "options",
    [
        {"schedule": "cosine"},
        {"thresholds": "adaptive"},
        {"update_interval": 2},  # dynamic weights see the validation at the end
    ],
)
def test_a_finished_run_whose_course_depends_on_its_end_names_the_way_to_more_epochs(
    tiny_records, tmp_path, options
):
    config = dataclasses.replace(CONFIG, epochs=1, **{"thresholds": "exact", **options})
    run(tiny_records, tmp_path / "first", config)
    longer = dataclasses.replace(config, epochs=2)
    with pytest.raises(ConfigError, match="another workdir, which .*--initial_workdir=.*/first"):
        run(tiny_records, tmp_path / "first", longer)
    start = str(tmp_path / "first")
    run(tiny_records, tmp_path / "second", dataclasses.replace(longer, initial_workdir=start))


def test_training_learns(tiny_records, tmp_path):
    config = dataclasses.replace(
        CONFIG,
        epochs=20,
        update_interval=60,
        optimizer="adamw",
        learning_rate=0.02,
        attribute_loss="squared_error",
        weighting="uniform",
        schedule="constant",
    )
    losses = []

    class Losses(keras.callbacks.Callback):
        def on_test_end(self, logs=None):
            losses.append(logs["val_loss"])

    run(tiny_records, tmp_path, config, callbacks=[Losses()])
    assert losses[-1] < 0.9 * losses[0]


def test_nan_loss_stops_the_run_naming_step_and_attribute(tiny_records, tmp_path):
    class Break(keras.callbacks.Callback):
        steps = 0

        def on_train_batch_end(self, batch, logs=None):
            self.steps += 1
            if self.steps == 4:
                bias = self.model.attribute_head.bias.numpy()
                bias[39] = np.nan  # Young
                self.model.attribute_head.bias.assign(bias)

    with pytest.raises(TrainingError, match="at step 5, for Young, total"):
        run(tiny_records, tmp_path, callbacks=[Break()])
    assert load_trained_network(tmp_path).step == 3


def test_infinite_validation_loss_stops_the_run(tiny_records, tmp_path):
    class Break(keras.callbacks.Callback):
        def on_test_begin(self, logs=None):
            self.model.landmark_head.bias.assign(self.model.landmark_head.bias + float("inf"))

    with pytest.raises(TrainingError, match="validation after step 0, for landmarks"):
        run(tiny_records, tmp_path, callbacks=[Break()])
    with pytest.raises(DataError, match="no.* yet"):
        load_trained_network(tmp_path)


def test_a_run_is_accelerated_once_if_wanted(tiny_records, tmp_path, monkeypatch):
    found = []
    monkeypatch.setattr(
        run_module, "accelerate", lambda *parts: found.append(speed.accelerate(*parts))
    )

    class Stop(keras.callbacks.Callback):
        def on_train_begin(self, logs=None):
            raise Killed

    for accelerate in (True, False):
        config = dataclasses.replace(CONFIG, accelerate=accelerate)
        with pytest.raises(Killed):
            run(tiny_records, tmp_path / str(accelerate), config, callbacks=[Stop()])
    assert found == [{"batch norms": 1, "convolutions": 0, "optimizers": 1}]


def test_a_weighting_and_a_loss_may_be_given_by_object(tiny_records, tmp_path):
    weighting, loss = AdaptiveWeighting(40), SquaredError()
    loss.per_element = lambda labels, scores: 0.0 * scores
    config = dataclasses.replace(CONFIG, epochs=1)
    state = run(tiny_records, tmp_path, config, weighting=weighting, attribute_loss=loss)
    assert state.weighting is weighting
    assert np.all(state.weighting.attribute_weights.numpy() == 1)  # no loss has changed


def test_update_interval_is_in_steps(tiny_records, tmp_path):
    seen = []

    class Validations(keras.callbacks.Callback):
        steps = 0

        def on_train_batch_end(self, batch, logs=None):
            self.steps += 1

        def on_test_end(self, logs=None):
            seen.append(self.steps)

    config = dataclasses.replace(CONFIG, update_interval=5)
    run(tiny_records, tmp_path, config, callbacks=[Validations()])
    assert seen == [0, 5, 10, 12]


def test_early_stopping_ends_the_run_with_a_checkpoint(tiny_records, tmp_path):
    stop = keras.callbacks.EarlyStopping(monitor="val_loss", patience=0, min_delta=1e9)
    state = run(tiny_records, tmp_path, callbacks=[stop])
    assert int(state.step) == 6
    assert load_trained_network(tmp_path).step == 6


def test_keras_callbacks_see_epochs_in_order_and_the_step_is_traced_once(
    tiny_records, tmp_path, monkeypatch
):
    events, steps = [], []
    original = run_module.create_train_step

    def create(*arguments, **options):
        steps.append(original(*arguments, **options))
        return steps[-1]

    monkeypatch.setattr(run_module, "create_train_step", create)

    class Recorder(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            events.append(("begin", epoch))

        def on_epoch_end(self, epoch, logs=None):
            events.append(("end", epoch, sorted(logs)))

        def on_train_end(self, logs=None):
            events.append("train end")

    config = dataclasses.replace(CONFIG, epochs=2, plateau_patience=1)
    run(tiny_records, tmp_path, config, callbacks=[Recorder()])
    assert steps[0].experimental_get_tracing_count() == 1
    logs = ["val_accuracy", "val_balanced_accuracy", "val_contradictions", "val_landmark_loss"]
    logs += ["val_loss", "val_majority_accuracy"]
    assert events == [
        ("begin", 0), ("end", 0, logs), ("begin", 1), ("end", 1, logs), "train end"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"validation_split": "dev"}, "validation_split=dev: expected a split .*validation"),
        ({"batch_size": 25}, "batch_size=25: split train has 24 pictures; give"),
    ],
)
def test_options_that_do_not_fit_the_data_are_refused(tiny_records, tmp_path, options, message):
    with pytest.raises(ConfigError, match=message):
        run(tiny_records, tmp_path, dataclasses.replace(CONFIG, **options))
    assert not (tmp_path / "config.json").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "landmarks=True, but no picture .* has landmarks; train with --nolandmarks, or"),
        (
            {"model": "lga_net", "landmarks": False},
            "landmarks=False, but no picture of split validation has .*with --guidance=0, or",
        ),
    ],
)
def test_what_needs_landmarks_is_refused_without_any(
    tiny_records, tmp_path, monkeypatch, two_term_network, options, message
):
    original = run_module.evaluation_dataset

    def without_landmarks(*args, **kwargs):
        dataset = original(*args, **kwargs)
        return dataset.map(lambda b: {**b, "landmarks_valid": 0 * b["landmarks_valid"]})

    monkeypatch.setattr(run_module, "evaluation_dataset", without_landmarks)
    with pytest.raises(ConfigError, match=message):
        run(tiny_records, tmp_path, dataclasses.replace(CONFIG, **options))


def read_events(workdir):
    """The events of each tag."""
    events = EventAccumulator(str(workdir / "tensorboard"), size_guidance={"tensors": 0})
    events.Reload()
    return {tag: events.Tensors(tag) for tag in events.Tags()["tensors"]}


def read_scalars(workdir):
    """The values of each tag of scalars."""
    arrays = {
        tag: [tf.make_ndarray(event.tensor_proto) for event in events]
        for tag, events in read_events(workdir).items()
    }
    return {tag: [v.item() for v in values if v.size == 1] for tag, values in arrays.items()}


def test_steps_that_loss_scaling_leaves_out_are_counted_and_said(tiny_records, tmp_path, capsys):
    config = dataclasses.replace(
        CONFIG,
        precision="mixed_float16",
        schedule="cosine",
        optimizer="adamw",
        epochs=50,
        update_interval=150,
        loss_scale=1e37,
    )
    state = run_training(config, tiny_records, tmp_path)
    left_out = state.left_out_steps
    assert 0 < left_out == 150 - int(state.optimizer.iterations) < 150
    said = capsys.readouterr().out
    assert f"learning rate 0  left out {left_out} steps" in said.splitlines()[-2]
    assert f"warning: loss scaling left out {left_out} of 150 steps" in said
    assert read_scalars(tmp_path)["left_out_steps"][-1] == left_out


def test_a_run_without_one_update_fails(tiny_records, tmp_path):
    config = dataclasses.replace(CONFIG, precision="mixed_float16", epochs=1, loss_scale=3e38)
    for _ in ("a run", "the same run, which has ended"):
        with pytest.raises(TrainingError, match="nothing was learned: the gradients of all 3 .*"):
            run(tiny_records, tmp_path, config)


@pytest.mark.parametrize(
    ("weighting", "balance"),
    [
        ("dynamic_mean_one", "none"),
        ("dwa", "positive"),
        ("aw", "none"),
        ("uncertainty", "positive"),
        ("gradnorm", "majority"),
    ],
)
def test_weightings_go_with_class_balance_and_further_loss_terms(
    tiny_records, tmp_path, two_term_network, short_intervals, weighting, balance
):
    config = dataclasses.replace(
        CONFIG, weighting=weighting, class_balance=balance, epochs=3, landmarks=False
    )
    state = run(tiny_records, tmp_path, config)
    weights = keras.ops.convert_to_numpy(state.weighting.attribute_weights)
    assert np.isfinite(weights).all() and (weights >= 0).all()
    assert weights.std() > 0
    values = read_scalars(tmp_path)
    assert values["training/base_loss"][0] > 0
    assert 0 <= values["validation/contradictions"][-1] <= 1
    assert values["attribute_weights/Young"][-1] == weights[39]


def test_class_balance_changes_training_and_validation_losses(tiny_records, tmp_path):
    found = {}
    for balance in ("none", "majority"):
        config = dataclasses.replace(CONFIG, epochs=1, class_balance=balance)
        run(tiny_records, tmp_path / balance, config)
        values = read_scalars(tmp_path / balance)
        found[balance] = values["training/mean_loss"][0], values["validation/mean_loss"][0]
    assert found["majority"][0] < found["none"][0]
    assert found["majority"][1] < found["none"][1]


def test_masks_and_affinities_are_drawn_once_an_epoch(tiny_records, tmp_path, two_term_network):
    config = dataclasses.replace(CONFIG, epochs=2, update_interval=1, landmarks=False)
    run(tiny_records, tmp_path, config)
    events = read_events(tmp_path)
    for tag in ("validation/attention_masks", "validation/affinity"):
        assert [event.step for event in events[tag]] == [0, 3, 6]


def test_guidance_is_a_loss_of_its_own(tiny_records, tmp_path, two_term_network, short_intervals):
    found = {}
    for guidance in (0.0, 1.0):
        config = dataclasses.replace(
            CONFIG, epochs=1, model="lga_net", landmarks=False, guidance=guidance
        )
        workdir = tmp_path / str(guidance)
        run(tiny_records, workdir, config)
        found[guidance] = read_scalars(workdir)
    assert "training/guidance_loss" not in found[0.0]
    first = found[1.0]["training/guidance_loss"][0]
    assert first > 0
    difference = found[1.0]["training/total_loss"][0] - found[0.0]["training/total_loss"][0]
    assert difference == pytest.approx(first, rel=1e-3)


def test_nan_in_a_further_loss_term_names_it(tiny_records, tmp_path, two_term_network):
    class Break(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            self.model.base_head.bias.assign(self.model.base_head.bias * np.nan)

    config = dataclasses.replace(CONFIG, landmarks=False)
    with pytest.raises(TrainingError, match="at step 2, for base_scores, total"):
        run(tiny_records, tmp_path, config, callbacks=[Break()])


def test_fine_tuning_starts_from_weights_and_thresholds_alone(tiny_records, tmp_path):
    # The training split can stand in for a missing validation split.
    config = dataclasses.replace(CONFIG, epochs=1, validation_split="train")
    first = run(tiny_records, tmp_path / "first", config)
    assert first.thresholds.numpy().any()
    assert np.std(first.weighting.attribute_weights.numpy()) > 0
    seen = {}

    class Look(keras.callbacks.Callback):
        def on_train_begin(self, logs=None):
            seen["model"] = [v.numpy() for v in self.model.variables]

    config = dataclasses.replace(
        config,
        initial_workdir=str(tmp_path / "first"),
        gamma=1e-9,
        weighting="uniform",
        optimizer="adamw",
        seed=9,
    )
    for thresholds, expected in (("fixed", 0.0), ("adaptive", first.thresholds.numpy())):
        config = dataclasses.replace(config, thresholds=thresholds)
        second = run(tiny_records, tmp_path / thresholds, config, callbacks=[Look()])
        for before, variable in zip(seen["model"], first.model.variables, strict=True):
            np.testing.assert_array_equal(before, variable.numpy(), err_msg=variable.path)
        np.testing.assert_allclose(second.thresholds.numpy(), expected, rtol=0, atol=1e-6)
        assert int(second.step) == 3 and int(second.optimizer.iterations) == 3
    # Once it has a checkpoint of its own, the first run is not needed any more.
    shutil.rmtree(tmp_path / "first")
    assert_same(second, run(tiny_records, tmp_path / thresholds, config))


def test_fine_tuning_another_network_is_refused_naming_what_differs(
    tiny_records, finished_run, tmp_path
):
    config = dataclasses.replace(
        CONFIG,
        initial_workdir=str(finished_run[1]),
        attribute_grouping=False,
        attribute_loss="squared_error",
    )
    with pytest.raises(
        ConfigError,
        match="attribute_grouping: True there, False here; attribute_loss: 'binary.* 'squared",
    ):
        run(tiny_records, tmp_path / "second", config)
    assert not (tmp_path / "second").exists()
    missing = dataclasses.replace(CONFIG, initial_workdir=str(tmp_path / "nowhere"))
    with pytest.raises(DataError, match="nowhere.*expected the folder of a run"):
        run(tiny_records, tmp_path / "second", missing)


def test_validation_batches_and_their_cache_leave_the_run_as_it_is(
    tiny_records, tmp_path, monkeypatch
):
    asked = []

    def noted(*arguments, batch_size, cache, **options):
        asked.append((batch_size, cache))
        return evaluation_dataset(*arguments, batch_size=batch_size, cache=cache, **options)

    monkeypatch.setattr("tfac.training.run.evaluation_dataset", noted)
    config = dataclasses.replace(CONFIG, epochs=2)
    together = run(tiny_records, tmp_path / "together", config)
    monkeypatch.setattr("tfac.training.run._VALIDATION_PIXELS", 0)
    monkeypatch.setattr("tfac.training.run._VALIDATION_CACHE_BYTES", 12 * 16 * 16 * 3 - 1)
    apart = run(tiny_records, tmp_path / "apart", config)
    assert asked == [(8192, "memory"), (8, "none")]
    for a, b in zip(contents(together), contents(apart), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
