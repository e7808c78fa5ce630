import functools
import json
import os
import signal
import subprocess
import sys
import time

import pytest

from tests.cli import programs
from tests.models.model_checks import tiny_backbone_file
from tfac.experiments.registry import get_config
from tfac.training.config import TrainConfig

SMALL = [
    "--protocol=from_scratch",
    f"--backbone={tiny_backbone_file()}",
    "--image_size=32",
    "--batch_size=8",
    "--epochs=3",
]


train = functools.partial(programs.run, "train")


def test_help_gives_every_option_with_its_range():
    result = train("--help")
    for name in TrainConfig.__dataclass_fields__:
        assert f"--{name}:" in result.stdout or f"--[no]{name}:" in result.stdout, name
    assert "at least 0, below 1" in result.stdout


PROGRAM = """
import json, sys
from absl import flags
from tfac.cli import train
flags.FLAGS([*sys.argv, "--data_dir=d", "--workdir=w"])
print(json.dumps(train.config_from_flags().to_dict()))
"""


@pytest.mark.parametrize(
    ("arguments", "options"),
    [
        ([], ["two_crop_net", "pretrained", {}]),
        (["--freeze"], ["two_crop_net", "pretrained", {"freeze": True}]),
        (["--model=baseline"], ["baseline", "pretrained", {}]),
        (
            ["--model=mgg_net", "--protocol=from_scratch"],
            {"model": "mgg_net", "backbone": "resnet18"},
        ),
        (["--experiment=dmm_fac", "--protocol=small"], ["dmm_fac", "small", {}]),
        (
            ["--experiment=mgg_net", "--protocol=demo", "--epochs=9", "--image_size=48x40"],
            ["mgg_net", "demo", {"epochs": 9, "image_size": "48x40"}],
        ),
    ],
)
def test_flags_stand_before_the_experiment_and_its_protocol(arguments, options):
    answer = subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments], capture_output=True, text=True, check=True
    )
    config = TrainConfig(**options) if isinstance(options, dict) else get_config(*options)
    assert json.loads(answer.stdout) == config.to_dict()


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["--data_dir=d"], 2, "--workdir"),
        (["--data_dir=d", "--workdir=w", "--experiment=../x"], 2, "experiment"),
        (["--data_dir=d", "--workdir=w", "--epochs=many"], 2, "epochs"),
        (["--data_dir=d", "--workdir=w", "--epochs=0"], 1, "epochs: expected at least 1"),
        (
            ["--data_dir=d", "--workdir=w", "--model=baseline", "--nolandmarks"],
            1,
            "landmarks=False means something to model=dmm_cnn and lga_net alone",
        ),
        (
            ["--data_dir=d", "--workdir=w", "--experiment=dmm_dw_fix"],
            1,
            "protocol=pretrained does not have experiment=dmm_dw_fix",
        ),
        (
            ["--data_dir=d", "--workdir=w", "--model=baseline", "--backbone=resnet18"],
            1,
            "backbone_weights=dlib are those of backbone=dlib_resnet29. Received: "
            "backbone=resnet18; give backbone_weights too",
        ),
        (
            ["--data_dir=d", "--workdir=w", "--freeze", "--backbone_weights="],
            1,
            "freeze=True leaves the backbone as it starts, so it needs backbone_weights",
        ),
    ],
)
def test_flag_errors_are_one_clear_line(arguments, status, message):
    result = train(*arguments)
    assert result.returncode == status
    assert message in result.stderr and "Traceback" not in result.stderr


@pytest.mark.slow
def test_run_killed_at_any_moment_goes_on_and_ends_as_if_it_never_was(tiny_records, tmp_path):
    import tensorflow as tf

    from tfac.training.workdir import load_trained_network

    # Weights and thresholds that follow from validations, with fewer weights than DMM-CNN's.
    rules = ["--model=baseline", "--weighting=dynamic_mean_one", "--thresholds=adaptive"]
    arguments = [f"--data_dir={tiny_records}", *SMALL, *rules]
    whole = train(*arguments, f"--workdir={tmp_path / 'whole'}")
    assert whole.returncode == 0, whole.stderr[-3000:]
    for text in ("tensorboard --logdir=", "tfac-evaluate", "tfac-export"):
        assert text in whole.stdout

    stopped = [*arguments, f"--workdir={tmp_path / 'stopped'}"]
    for step, number in ((2, signal.SIGKILL), (5, signal.SIGTERM)):
        process = programs.start("train", *stopped)
        checkpoints = tmp_path / "stopped" / "checkpoints"
        while process.poll() is None and latest_save(checkpoints) < step:
            time.sleep(0.02)
        os.kill(process.pid, number)
        ended = process.wait()
        assert ended.returncode == {signal.SIGKILL: -9, signal.SIGTERM: 143}[number]
        if number == signal.SIGTERM:
            assert "The same command goes on from there" in ended.stderr
    resumed = train(*stopped)
    assert resumed.returncode == 0, resumed.stderr[-3000:]

    first, second = (load_trained_network(tmp_path / name) for name in ("whole", "stopped"))
    assert first.step == second.step == 9
    assert first.thresholds.tolist() == second.thresholds.tolist()
    for a, b in zip(first.model.weights, second.model.weights, strict=True):
        tf.debugging.assert_equal(a.value, b.value, message=a.path)


def latest_save(checkpoints):
    """How many checkpoints were saved so far."""
    numbers = [int(path.stem.split("-")[1]) for path in checkpoints.glob("ckpt-*.index")]
    return max(numbers, default=0)


@pytest.mark.slow
def test_another_way_to_train_runs_to_the_end(tiny_records, tmp_path):
    flags = ["--precision=mixed_bfloat16", "--optimizer=adamw", "--thresholds=exact_balanced"]
    flags += ["--epochs=1", "--updates_per_epoch=1", "--model=dmm_cnn"]
    arguments = [f"--data_dir={tiny_records}", f"--workdir={tmp_path}", *SMALL]
    result = train(*arguments, *flags)
    assert result.returncode == 0, result.stderr[-3000:]


@pytest.mark.slow
def test_default_network_goes_from_records_to_answers_without_an_epoch(tiny_records, tmp_path):
    import numpy as np

    from tfac import Predictor

    folder = tmp_path / "run"
    arguments = [f"--data_dir={tiny_records}", f"--workdir={folder}", "--freeze", "--batch_size=8"]
    result = train(*arguments, "--image_size=48x40")
    assert result.returncode == 0, result.stderr[-3000:]
    export = [f"--workdir={folder}", "--name=default", f"--saved_models_dir={tmp_path}"]
    assert programs.run("export", *export).returncode == 0
    # As in the records: an attribute is shown where a picture is bright enough.
    noise = np.random.default_rng(0).normal(0, 20, (48, 40, 3))
    pictures = [np.clip(value + noise, 0, 255).astype(np.uint8) for value in (205, 50)]
    bright, dark = Predictor(tmp_path / "default")(pictures)
    assert len(bright.shown) > len(dark.shown)
