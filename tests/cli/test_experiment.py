import functools
import json
import os
import signal
import time

import pytest

from tests.cli import programs
from tests.data.sources.test_lfwa import write_kumar, write_pictures
from tests.models.model_checks import tiny_backbone_file
from tfac.data.preparing.preparation import prepare
from tfac.data.preparing.workers import Processes
from tfac.data.sources.lfwa import LFWASource
from tfac.experiments.protocols import PROTOCOLS
from tfac.experiments.tables import TABLES
from tfac.experiments.variants import EXPERIMENTS

# vgg16 has no output stride of 16, so its runs fail.
TINY = ["--option=batch_size=8", "--option=image_size=32", "--option=epochs=1"]
TINY += ["--option=updates_per_epoch=1"]
TINY += ["--option=output_stride=16", "--experiment=mgg_net,mgg_vgg16_baseline", "--seeds=2"]


experiment = functools.partial(programs.run, "experiment")


def test_list_says_what_everything_is():
    answer = experiment("--experiment=list")
    assert answer.returncode == 0
    for thing in (*PROTOCOLS, *TABLES, *EXPERIMENTS):
        assert thing.name in answer.stdout
    assert "dmm_table1, DMM-SPP: CelebA 91.40, LFWA 84.75 (derived" in answer.stdout
    assert "mgg_table4, VGG16, w/o GCL: LFWA 84.90 (a guess" in answer.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "--experiment must have a value"),
        (["--experiment=dmm_cn"], "unknown experiment or table: dmm_cn"),
        pytest.param(["--experiment=all"], "--data_dir is needed", marks=pytest.mark.slow),
        (["--experiment=all", "--option=epoch=1"], "option: expected NAME=VALUE"),
        (["--experiment=all", "--option=epochs=many"], "option: expected int"),
        (["--experiment=all", "--option=flip=1"], "option: expected bool"),
        (["--experiment=all", "--option=seed=1"], "option: expected NAME=VALUE"),
        (["--experiment=all", "--protocol=tiny"], "protocol"),
    ],
)
def test_wrong_flags_are_refused_in_one_line(arguments, message):
    answer = experiment(*arguments)
    assert answer.returncode in (1, 2)
    assert message in answer.stderr and "Traceback" not in answer.stderr


@pytest.mark.slow
def test_a_split_that_is_not_there_is_named(tiny_records, tmp_path):
    answer = experiment(
        *("--experiment=baseline", "--split=holdout", f"--data_dir={tiny_records}"),
        f"--output_dir={tmp_path / 'out'}",
    )
    assert answer.returncode == 1
    assert "split=holdout: expected a split of" in answer.stderr and "test (8)" in answer.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_experiments_run_to_their_report_around_failures(tiny_records, tmp_path):
    arguments = [*TINY, f"--data_dir={tiny_records}", f"--output_dir={tmp_path}"]
    runs = tmp_path / "small"
    # A file where the second run wants a folder: it crashes.
    obstacle = runs / "mgg_net" / "seed_1" / "tensorboard"
    obstacle.parent.mkdir(parents=True)
    obstacle.touch()

    first = experiment(*arguments)
    assert first.returncode == 1, first.stderr[-3000:]
    assert "3 of 4 runs failed" in first.stdout
    page = (runs / "report" / "index.html").read_text()
    assert (
        "seed 1 failed: tensorflow" in page
        and "output_stride: expected 32 with backbone=vgg16" in page
    )
    assert "Other options than the protocol" in page and "batch_size=8" in page
    masks = runs / "mgg_net" / "seed_0" / "attention_masks.png"
    assert masks.exists() and (runs / "report" / "mgg_net_attention_masks.png").exists()

    result = json.loads((runs / "mgg_net" / "seed_0" / "result.json").read_text())
    assert (result["step"], result["split"], result["validation_split"]) == (
        3,
        "test",
        "validation",
    )
    assert result["splits"]["test"]["exact"]["pictures"] == 8
    validation = result["splits"]["validation"]
    assert validation["exact"]["mean_accuracy"] >= validation["trained"]["mean_accuracy"]
    assert result["weights"] > 11e6 and result["multiply_adds"] > 1e7
    assert result["images_per_second"] > 0 and result["training_seconds"] > 0

    obstacle.unlink()
    second = experiment(*arguments)
    assert "mgg_net seed 0: finished already, skipped" in second.stdout
    assert "2 of 4 runs failed" in second.stdout
    means = json.loads((runs / "report" / "results.json").read_text())
    assert means["mgg_net"]["accuracy"]["seeds"] == 2

    (runs / "report" / "index.html").unlink()
    third = experiment(f"--output_dir={tmp_path}", "--experiment=all", "--report_only")
    assert third.returncode == 0 and (runs / "report" / "index.html").exists()


@pytest.mark.slow
def test_a_stopped_run_goes_on(tiny_records, tmp_path):
    arguments = ["--experiment=baseline", f"--data_dir={tiny_records}", f"--output_dir={tmp_path}"]
    arguments += ["--option=batch_size=8", "--option=image_size=32", "--option=epochs=400"]
    process = programs.start("experiment", *arguments)
    workdir = tmp_path / "small" / "baseline" / "seed_0"
    while process.poll() is None and not list(workdir.glob("checkpoints/ckpt-2.index")):
        time.sleep(0.1)
    os.kill(process.pid, signal.SIGINT)
    ended = process.wait()
    output = ended.stdout
    assert ended.returncode == 128 + signal.SIGINT
    assert "the same command goes on from there" in output and "index.html" in output
    assert "a checkpoint is saved" in (workdir / "log.txt").read_text()
    assert not (workdir / "failure.json").exists() and not (workdir / "result.json").exists()


@pytest.mark.slow
def test_lfwa_is_fine_tuned_from_the_run_that_the_same_folder_has_on_celeba(tiny_records, tmp_path):
    pictures = write_pictures(tmp_path / "lfwa", "lfw", "lfw-deepfunneled")
    write_kumar(pictures)
    source = LFWASource(pictures, "dmm_cnn")
    prepare(source, tmp_path / "data", landmarks="none", workers=Processes(1))
    tiny = ["--option=batch_size=4", "--option=image_size=32", "--option=epochs=1"]
    tiny += [
        f"--option=backbone={tiny_backbone_file()}",
        "--option=backbone_weights=",
        "--experiment=baseline",
    ]
    tiny += [f"--output_dir={tmp_path / 'runs'}"]

    first = experiment(*tiny, "--protocol=paper_celeba", f"--data_dir={tiny_records}")
    assert first.returncode == 0, first.stdout + first.stderr[-3000:]
    tuned = experiment(*tiny, "--protocol=paper_lfwa", f"--data_dir={tmp_path / 'data'}")
    assert tuned.returncode == 0, tuned.stdout + tuned.stderr[-3000:]
    run = tmp_path / "runs" / "paper_lfwa" / "baseline" / "seed_0"
    result = json.loads((run / "result.json").read_text())
    assert result["config"]["initial_workdir"].endswith("runs/paper_celeba/baseline/seed_0")
    assert (result["step"], result["validation_split"]) == (1, "train")
