"""A network small enough to train in a test, and a run with it."""

import keras
import numpy as np
import pytest
from keras import ops


class TinyNetwork(keras.Model):
    """Mean colour, a hidden layer with dropout, attribute and landmark heads."""

    def __init__(self, num_attributes=40, num_landmarks=72, dropout=0.2, dtype=None):
        super().__init__(dtype=dtype, autocast=False)
        self.num_landmarks = num_landmarks
        self.hidden = keras.layers.Dense(16, activation="relu", dtype=self.dtype_policy)
        self.normalization = keras.layers.BatchNormalization(dtype=self.dtype_policy)
        self.dropout = keras.layers.Dropout(dropout)
        self.attribute_head = keras.layers.Dense(num_attributes, dtype="float32")
        if num_landmarks:
            self.landmark_head = keras.layers.Dense(2 * num_landmarks, dtype="float32")

    def call(self, images, training=False):
        features = ops.mean(ops.cast(images, "float32") / 255.0, axis=(1, 2))  # [B, 3]
        features = self.normalization(self.hidden(features), training=training)
        features = self.dropout(features, training=training)
        outputs = {"scores": self.attribute_head(features)}
        if self.num_landmarks:
            landmarks = self.landmark_head(features)
            outputs["landmarks"] = ops.reshape(landmarks, (-1, self.num_landmarks, 2))
        return outputs


@pytest.fixture
def tiny_network(monkeypatch):
    """Runs train a `TinyNetwork` in place of what their config names."""

    def create(config, attributes, scheme, backbone_weights=None):
        landmarks = scheme.num_landmarks if config.landmarks else 0
        model = TinyNetwork(len(attributes), landmarks, dtype=config.precision)
        model(ops.zeros((1, 4, 4, 3)))
        return model

    monkeypatch.setattr("tfac.training.run.create_network", create)
    monkeypatch.setattr("tfac.training.workdir.create_network", create)
    # Drawing takes longer than training so small a network; test_sample_pictures.py draws.
    blank = np.zeros((4, 4, 3), np.uint8)
    monkeypatch.setattr("tfac.training.monitor.draw_samples", lambda *arguments: blank)
