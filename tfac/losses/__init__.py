"""Losses: plain functions of arrays that return per-element values."""

from tfac.losses.attribute_losses import (
    ATTRIBUTE_LOSSES,
    AttributeLoss,
    BinaryCrossentropy,
    SquaredError,
    get_attribute_loss,
)
from tfac.losses.landmark_loss import landmark_squared_error
from tfac.losses.part_guidance import PartGuidance

__all__ = [
    "ATTRIBUTE_LOSSES",
    "AttributeLoss",
    "BinaryCrossentropy",
    "PartGuidance",
    "SquaredError",
    "get_attribute_loss",
    "landmark_squared_error",
]
