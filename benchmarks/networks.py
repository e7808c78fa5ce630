"""Networks with their real training step, for `step_cost.py` and `pytorch.py`."""

import os
from collections.abc import Callable

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
import tensorflow as tf

from tfac.attributes import ATTRIBUTES, default_groups
from tfac.inference.predict_step import create_predict_step
from tfac.inference.trained_network import TrainedNetwork
from tfac.landmarks import DLIB_72
from tfac.losses import get_attribute_loss
from tfac.speed import accelerate
from tfac.training.checkpoints import TrainingState, create_state
from tfac.training.config import TrainConfig
from tfac.training.schedules import create_optimizer, create_plateau
from tfac.training.step import (
    TrainStep,
    create_train_step,
    set_reproducible,
)
from tfac.training.weighting import create_weighting
from tfac.training.workdir import create_network

_STEPS_PER_EPOCH = 1000  # for the learning rate alone


def create_steps(config: TrainConfig) -> tuple[TrainingState, TrainStep, Callable]:
    """Returns the state, the training step and the inference of `tfac-train` under a config."""
    set_reproducible(config.seed)
    strategy = tf.distribute.get_strategy()
    optimizer = create_optimizer(config, _STEPS_PER_EPOCH, 1)
    groups = default_groups(ATTRIBUTES)
    model = create_network(config, ATTRIBUTES, DLIB_72, groups, None)
    accelerate(model, optimizer)
    weighting = create_weighting(
        config.weighting, len(ATTRIBUTES), steps_per_epoch=_STEPS_PER_EPOCH, model=model
    )
    plateau = create_plateau(config, optimizer)
    state = create_state(model, optimizer, weighting, plateau, len(ATTRIBUTES))
    train_step = create_train_step(
        state,
        attribute_loss=get_attribute_loss(config.attribute_loss),
        beta=config.beta,
        batch_size=config.batch_size,
        strategy=strategy,
        xla=config.xla,
    )
    return state, train_step, create_predict_step(model, strategy=strategy)


def create_trained(config: TrainConfig, model: keras.Model) -> TrainedNetwork:
    """Returns a network as what is exported."""
    return TrainedNetwork(
        model=model,
        attribute_loss=get_attribute_loss(config.attribute_loss),
        thresholds=np.zeros(len(ATTRIBUTES), np.float32),
        attributes=ATTRIBUTES,
        groups=default_groups(ATTRIBUTES),
        landmark_scheme=DLIB_72 if config.trains_landmarks else None,
        image_size=config.image_size,
        test_time_flip=config.test_time_flip,
        training=config.to_dict(),
    )


def create_batch(image_size: int, batch_size: int) -> dict[str, np.ndarray]:
    """Returns a batch of noise with all that the step reads."""
    rng = np.random.default_rng(0)
    count = len(ATTRIBUTES)
    return {
        "images": rng.integers(0, 256, (batch_size, image_size, image_size, 3), np.uint8),
        "labels": rng.integers(0, 2, (batch_size, count)).astype(np.float32),
        "label_mask": np.ones((batch_size, count), np.float32),
        "landmarks": rng.uniform(size=(batch_size, 72, 2)).astype(np.float32),
        "landmarks_valid": np.ones(batch_size, np.float32),
    }
