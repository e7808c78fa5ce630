import json

import numpy as np
import pytest
import tensorflow as tf

from tfac.errors import ConfigError, TrainingError
from tfac.training.config import TrainConfig
from tfac.training.devices import Devices, describe_slowness, is_chief

CLUSTER = {"worker": ["127.0.0.1:2222", "127.0.0.1:2223"]}


def set_task(monkeypatch, kind, index, cluster=CLUSTER):
    record = {"cluster": cluster, "task": {"type": kind, "index": index}}
    monkeypatch.setenv("TF_CONFIG", json.dumps(record))


@pytest.mark.parametrize(
    "text",
    [
        None,
        "worker",
        "[]",
        "{}",
        json.dumps({"cluster": CLUSTER}),
        json.dumps({"cluster": CLUSTER, "task": {"type": "worker", "index": 2}}),
        json.dumps({"cluster": CLUSTER, "task": {"type": "chief", "index": 0}}),
    ],
)
def test_unusable_tf_config_is_refused_before_anything_starts(monkeypatch, text):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    if text is not None:
        monkeypatch.setenv("TF_CONFIG", text)
    config = TrainConfig(strategy="multi_worker")
    for look in (Devices, is_chief):
        with pytest.raises(ConfigError, match="needs the environment variable TF_CONFIG"):
            look(config)


def test_one_worker_alone_is_chief(monkeypatch):
    config = TrainConfig(strategy="multi_worker")
    for index in (0, 1):
        set_task(monkeypatch, "worker", index)
        assert is_chief(config) == (index == 0)
    with_chief = {"chief": ["127.0.0.1:2221"], **CLUSTER}
    set_task(monkeypatch, "worker", 0, with_chief)
    assert not is_chief(config)
    set_task(monkeypatch, "chief", 0, with_chief)
    assert is_chief(config)
    assert is_chief(TrainConfig())


def test_one_device_gathers_its_own():
    devices = Devices(TrainConfig())
    np.testing.assert_array_equal(devices.gather(tf.constant([[1, 2]], tf.uint8)), [[1, 2]])
    assert devices.largest(15) == 15
    devices.require_same("the options", {"epochs": 1})
    devices.refuse_together(None)
    with pytest.raises(ConfigError, match="taken"):
        devices.refuse_together(ConfigError("taken"))


def test_an_error_of_a_single_process_is_left_alone():
    with pytest.raises(tf.errors.UnavailableError), Devices(TrainConfig()).end_with_others():
        raise tf.errors.UnavailableError(None, None, "gone")


def test_a_lost_worker_gives_an_error_that_says_what_to_do(monkeypatch):
    devices = Devices(TrainConfig())
    monkeypatch.setattr(devices, "_has_others", True)
    with (
        pytest.raises(TrainingError, match="another worker has ended .* last checkpoint"),
        devices.end_with_others(),
    ):
        raise tf.errors.UnavailableError(None, None, "gone")


@pytest.mark.parametrize(
    ("features", "precision", "slow"),
    [
        ("fpu avx2", "mixed_bfloat16", True),
        ("fpu avx2 avx512f", "mixed_bfloat16", False),
        ("fpu avx2", "float32", False),
        (None, "mixed_bfloat16", False),
    ],
)
def test_a_precision_that_the_processor_lacks_is_said(
    monkeypatch, tmp_path, features, precision, slow
):
    path = tmp_path / "cpuinfo"
    if features:
        path.write_text(f"model name\t: a processor\nflags\t\t: {features}\n")
    monkeypatch.setattr("tfac.training.devices._CPU_INFO", path)
    assert ("AVX-512" in describe_slowness(TrainConfig(precision=precision))) == slow
