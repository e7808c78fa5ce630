"""Schemes that weigh the attributes' losses; see `Weighting` for what a scheme is."""

import keras

from tfac.errors import ConfigError
from tfac.training.weighting.adaptive import AdaptiveWeighting
from tfac.training.weighting.base import Weighting
from tfac.training.weighting.dynamic import DynamicWeighting
from tfac.training.weighting.dynamic_average import DynamicWeightAverage
from tfac.training.weighting.gradnorm import GradNormWeighting, last_shared_layer
from tfac.training.weighting.uncertainty import UncertaintyWeighting
from tfac.training.weighting.uniform import UniformWeighting

__all__ = [
    "AdaptiveWeighting",
    "DynamicWeightAverage",
    "DynamicWeighting",
    "GradNormWeighting",
    "UncertaintyWeighting",
    "UniformWeighting",
    "Weighting",
    "create_weighting",
]


def create_weighting(
    name: str, num_attributes: int, *, steps_per_epoch: int, model: keras.Model
) -> Weighting:
    """Returns a scheme by its name in `TrainConfig.weighting`.

    Args:
        name: the scheme.
        num_attributes: A.
        steps_per_epoch: training steps an epoch.
        model: the network; gradnorm needs its `backbone`.

    Raises:
        ConfigError: there is no such scheme.
    """
    schemes = {
        "uniform": lambda: UniformWeighting(num_attributes),
        "dynamic_raw": lambda: DynamicWeighting(num_attributes, mean_one=False),
        "dynamic_mean_one": lambda: DynamicWeighting(num_attributes, mean_one=True),
        "dwa": lambda: DynamicWeightAverage(num_attributes, steps_per_epoch),
        "aw": lambda: AdaptiveWeighting(num_attributes),
        "uncertainty": lambda: UncertaintyWeighting(num_attributes),
        "gradnorm": lambda: GradNormWeighting(num_attributes, last_shared_layer(model.backbone)),
    }
    if name not in schemes:
        raise ConfigError(f"weighting: expected one of {', '.join(schemes)}. Received: {name}")
    return schemes[name]()
