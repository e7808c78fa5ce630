"""A network small enough to train in a test, and a run with it."""

import signal

import keras
import numpy as np
import pytest
from keras import ops

from tfac.training.config import TrainConfig
from tfac.training.run import run_training


class SignalAt(keras.callbacks.Callback):
    """Sends this process a signal at the end of a training step, or as validation starts."""

    def __init__(self, step=None, validation=None, number=signal.SIGTERM):
        super().__init__()
        self.step, self.validation, self.number = step, validation, number
        self.steps = self.validations = 0

    def on_train_batch_end(self, batch, logs=None):
        self.steps += 1
        if self.steps == self.step:
            signal.raise_signal(self.number)

    def on_test_begin(self, logs=None):
        self.validations += 1
        if self.validations == self.validation:
            signal.raise_signal(self.number)


class TinyNetwork(keras.Model):
    """Mean colour, a hidden layer with dropout, attribute and landmark heads."""

    def __init__(self, num_attributes=40, num_landmarks=72, dropout=0.2, dtype=None):
        super().__init__(dtype=dtype, autocast=False)
        self.num_landmarks = num_landmarks
        hidden = keras.layers.Dense(16, activation="relu", dtype=self.dtype_policy)
        normalization = keras.layers.BatchNormalization(dtype=self.dtype_policy)
        self.backbone = keras.Sequential([hidden, normalization])
        self.dropout = keras.layers.Dropout(dropout)
        self.attribute_head = keras.layers.Dense(num_attributes, dtype="float32")
        if num_landmarks:
            self.landmark_head = keras.layers.Dense(2 * num_landmarks, dtype="float32")

    def call(self, images, training=False):
        features = ops.mean(ops.cast(images, "float32") / 255.0, axis=(1, 2))  # [B, 3]
        features = self.backbone(features, training=training)
        features = self.dropout(features, training=training)
        outputs = {"scores": self.attribute_head(features)}
        if self.num_landmarks:
            landmarks = self.landmark_head(features)
            outputs["landmarks"] = ops.reshape(landmarks, (-1, self.num_landmarks, 2))
        return outputs


class TwoTermNetwork(TinyNetwork):
    """A `TinyNetwork` with a second loss term, masks of two groups and an affinity."""

    group_names = ("nose", "mouth")

    def __init__(self, num_attributes=40, **options):
        super().__init__(num_attributes, num_landmarks=0, **options)
        self.base_head = keras.layers.Dense(num_attributes, dtype="float32")

    def call(self, images, training=False, explain=False):
        outputs = super().call(images, training=training)
        colour = ops.mean(ops.cast(images, "float32") / 255.0, axis=(1, 2))
        outputs["base_scores"] = self.base_head(colour)
        if explain:
            grey = ops.mean(ops.cast(images[:, ::4, ::4], "float32"), axis=-1, keepdims=True)
            outputs["P3_attention_mask"] = ops.concatenate([grey, 0 * grey], axis=-1)
            one_way = [[[0.0, 1.0], [1.0, 0.0]]]
            outputs["P3_affinity"] = ops.tile(one_way, (ops.shape(images)[0], 1, 1))
        return outputs


def _train_this_network(monkeypatch, create):
    def build(config, attributes, scheme, groups, backbone_weights=None):
        model = create(config, attributes, scheme)
        model(ops.zeros((1, 4, 4, 3)))
        return model

    monkeypatch.setattr("tfac.training.run.create_network", build)
    monkeypatch.setattr("tfac.training.workdir.create_network", build)
    # Drawing takes longer than training so small a network; test_sample_pictures.py draws.
    blank = np.zeros((4, 4, 3), np.uint8)
    monkeypatch.setattr("tfac.training.monitor.draw_samples", lambda *arguments: blank)


def _create_tiny(config, attributes, scheme):
    landmarks = scheme.num_landmarks if config.landmarks else 0
    return TinyNetwork(len(attributes), landmarks, dtype=config.precision)


@pytest.fixture
def tiny_network(monkeypatch):
    """Runs train a `TinyNetwork` in place of what their config names."""
    _train_this_network(monkeypatch, _create_tiny)


@pytest.fixture(scope="session")
def finished_run(tiny_records, tmp_path_factory):
    """The config, the workdir, to be left as it is, and the state of a run that has ended."""
    config = TrainConfig(image_size=(16, 20), batch_size=12, epochs=1, updates_per_epoch=1)
    workdir = tmp_path_factory.mktemp("finished")
    with pytest.MonkeyPatch.context() as monkeypatch:
        _train_this_network(monkeypatch, _create_tiny)
        state = run_training(config, tiny_records, workdir, show_progress=False)
    return config, workdir, state


@pytest.fixture
def two_term_network(tiny_network, monkeypatch):
    """Runs train a `TwoTermNetwork`."""
    _train_this_network(
        monkeypatch,
        lambda config, attributes, scheme: TwoTermNetwork(len(attributes), dtype=config.precision),
    )
