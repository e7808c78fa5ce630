import keras
import numpy as np
import pytest

from tfac.errors import ConfigError
from tfac.training.config import TrainConfig
from tfac.training.weighting import create_weighting

NAMES = TrainConfig.__dataclass_fields__["weighting"].metadata["choices"]


def create(name):
    model = keras.Sequential(name="model")
    model.backbone = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2)])
    return create_weighting(name, 3, steps_per_epoch=5, model=model)


@pytest.mark.parametrize("name", NAMES)
def test_every_scheme_of_the_config_starts_with_equal_weights(name):
    weights = np.asarray(create(name).attribute_weights)
    np.testing.assert_array_equal(weights, np.full(3, 0.5 if name == "uncertainty" else 1.0))


def test_other_schemes_are_refused():
    with pytest.raises(ConfigError, match="uniform, .*Received: nonsense"):
        create("nonsense")


def test_uniform_weights_stay_one_and_the_total_is_the_sum():
    weighting = create("uniform")
    for losses in ([1.0, 1.0, 1.0], [0.5, 0.8, 0.1]):
        weighting.update(np.array(losses))
    np.testing.assert_array_equal(weighting.attribute_weights, [1, 1, 1])
    assert float(weighting.total(np.array([1.0, 2.0, 4.0], np.float32))) == 7.0
