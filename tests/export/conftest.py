"""Trained models that are quick to export, and pictures to ask them about."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

# Height and width; the first is the size that the tiny models were trained at.
SIZES = [(48, 40), (61, 33), (20, 70), (218, 178)]


@pytest.fixture(scope="session")
def pictures() -> list[np.ndarray]:
    """Noise of several sizes and brightnesses, uint8 [H, W, 3]."""
    rng = np.random.default_rng(3)
    return [
        np.clip(rng.normal(rng.uniform(50, 200), 40, (h, w, 3)), 0, 255).astype(np.uint8)
        for h, w in SIZES
    ]


@pytest.fixture(scope="session")
def encoded(pictures) -> list[bytes]:
    """The pictures as JPEG files."""
    return [tf.io.encode_jpeg(picture, quality=95).numpy() for picture in pictures]


@pytest.fixture(scope="session")
def tiny_signatures(tiny_export):
    """What `tiny_export` can be asked."""
    loaded = tf.saved_model.load(str(tiny_export))
    yield loaded.signatures


@pytest.fixture
def small(tiny_trained):
    """A trained model of a few weights; scores follow the mean colour."""
    import keras

    inputs = keras.Input((None, None, 3))
    features = keras.layers.GlobalAveragePooling2D()(keras.layers.Rescaling(1 / 255)(inputs))
    outputs = {"scores": keras.layers.Dense(40, dtype="float32")(features)}
    model = keras.Model(inputs, outputs)
    return dataclasses.replace(tiny_trained, model=model, landmark_scheme=None)
