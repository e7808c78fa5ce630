import functools
import json

import numpy as np
import pytest

from tests.cli import programs
from tests.models.model_checks import tiny_backbone_file
from tfac.inference.predictor import Predictor

pytestmark = pytest.mark.slow  # trains, and runs programs


@pytest.fixture(scope="module")
def workdir(tiny_records, tmp_path_factory):
    """A run of one epoch."""
    from tfac.training.config import TrainConfig
    from tfac.training.run import run_training

    path = tmp_path_factory.mktemp("runs") / "baseline"
    config = TrainConfig(
        model="baseline",
        backbone=tiny_backbone_file(),
        image_size=(48, 40),
        epochs=1,
        batch_size=8,
        updates_per_epoch=1,
    )
    run_training(config, tiny_records, path)
    return path


export = functools.partial(programs.run, "export")


def test_newest_checkpoint_is_exported(workdir, tmp_path):
    done = export(f"--workdir={workdir}", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "Wrote saved_models/baseline/1 (step 3)" in done.stdout
    assert "tfac-predict --saved_model=saved_models/baseline PHOTO" in done.stdout
    assert f"-v {tmp_path}/saved_models/baseline:/models/baseline" in done.stdout

    from tfac.training.workdir import load_trained_network

    trained = load_trained_network(workdir)
    predictor = Predictor(tmp_path / "saved_models" / "baseline")
    picture = np.random.default_rng(0).integers(0, 256, (48, 40, 3), np.uint8)
    (prediction,) = predictor([picture])
    scores = trained.model(picture[None], training=False)["scores"][0]
    np.testing.assert_allclose(list(prediction.scores.values()), scores, atol=1e-5)
    assert list(prediction.predictions.values()) == list(np.array(scores) > trained.thresholds)


def test_options_and_an_evaluation_go_into_the_export(workdir, tiny_records, tmp_path):
    metrics = tmp_path / "metrics.json"
    flags = [f"--workdir={workdir}", f"--data_dir={tiny_records}", f"--output_dir={tmp_path}"]
    evaluated = programs.run("evaluate", *flags)
    assert evaluated.returncode == 0, evaluated.stderr
    options = ["--precision=mixed_bfloat16", "--input_size=trained", "--warmup_batch_sizes=4,1"]
    done = export(
        f"--workdir={workdir}", f"--evaluation={metrics}", "--name=own", *options, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert "images: uint8 [B, 48, 40, 3]" in done.stdout
    extra = tmp_path / "saved_models" / "own" / "1" / "assets.extra"
    metadata = json.loads((extra / "tfac.json").read_text())
    assert metadata["precision"] == "mixed_bfloat16"
    assert metadata["training"]["precision"] == "float32"
    assert metadata["data"]["name"] == "tiny_faces" and metadata["data"]["fingerprint"]
    assert metadata["data"]["splits"] == {"train": 24, "validation": 12, "test": 8}
    assert metadata["versions"]["trained_with"]["keras"]
    assert metadata["metrics"]["split"] == "validation" and metadata["metrics"]["pictures"] == 12
    assert json.loads((extra / "metrics.json").read_text())["attributes"]
    assert sorted(file.name for file in extra.iterdir()) == [
        "attributes.txt",
        "metrics.json",
        "model_card.html",
        "model_card.md",
        "tf_serving_warmup_requests",
        "tfac.json",
    ]


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--workdir=absent"], "absent"),
        (["--workdir=absent", "--warmup_batch_sizes=2,many"], "--warmup_batch_sizes: expected"),
        (
            ["--workdir=absent", "--evaluation=no.json"],
            "no.json: expected metrics.json of",
        ),
        (["--workdir=absent", "--name="], "--name: expected a name without folders"),
    ],
)
def test_unusable_arguments_are_refused_in_one_line(arguments, message, tmp_path):
    done = export(*arguments, cwd=tmp_path)
    assert done.returncode == 1 and message in done.stderr
    assert "Traceback" not in done.stderr and not (tmp_path / "saved_models").exists()
