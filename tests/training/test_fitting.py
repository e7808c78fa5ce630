import dataclasses

import pytest

from tests.conftest import TINY_SPLITS
from tfac.attributes import default_groups
from tfac.data.records.info import read_info
from tfac.training.config import TrainConfig
from tfac.training.fitting import fit_to_data, has_landmarks


@pytest.fixture
def info(tiny_records):
    return read_info(tiny_records)


def without_parts(info):
    return dataclasses.replace(info, groups=default_groups(("Scarf", "Cap")))


def test_what_fits_stays(info):
    config = TrainConfig(model="lga_net", batch_size=TINY_SPLITS["train"])
    assert fit_to_data(config, (), info) == (config, [])


def test_the_batch_and_the_validation_split_follow_the_splits(info):
    info = dataclasses.replace(info, splits={"train": 24, "validation": 0})
    config, said = fit_to_data(TrainConfig(model="baseline"), (), info)
    assert (config.batch_size, config.validation_split) == (24, "train")
    assert said[0] == "batch_size=24, as split train has 24 pictures" and len(said) == 2
    kept = fit_to_data(TrainConfig(model="baseline"), ("batch_size", "validation_split"), info)
    assert kept == (TrainConfig(model="baseline"), [])


@pytest.mark.parametrize(
    ("model", "option", "value"), [("mgg_net", "graph", False), ("lga_net", "guidance", 0.0)]
)
def test_networks_of_part_groups_do_without_them(info, model, option, value):
    config = TrainConfig(model=model, batch_size=8)
    fitted, (said,) = fit_to_data(config, (), without_parts(info))
    assert fitted == dataclasses.replace(config, **{option: value})
    assert said.startswith(f"{option}={value}, as ") and "other" in said


def test_without_landmarks_none_are_trained(info, monkeypatch):
    assert has_landmarks(info, "train")
    monkeypatch.setattr("tfac.training.fitting.has_landmarks", lambda info, split: False)
    config = TrainConfig(model="lga_net", batch_size=8)
    fitted, said = fit_to_data(config, (), info)
    assert (fitted.landmarks, fitted.guidance) == (False, 0.0) and len(said) == 2
