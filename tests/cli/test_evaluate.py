import functools
import json

import pytest

from tests.cli import programs
from tests.models.model_checks import tiny_backbone_file
from tfac.attributes import ATTRIBUTES
from tfac.evaluation.attribute_metrics import RATE_METRICS
from tfac.export import export_saved_model
from tfac.training.config import TrainConfig
from tfac.training.run import run_training
from tfac.training.workdir import load_trained_network

run = functools.partial(programs.run, "evaluate")


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--data_dir=x"], "expected exactly one of --workdir and --saved_model"),
        (["--data_dir=x", "--workdir=a", "--saved_model=b"], "expected exactly one of"),
        (["--workdir=a"], "--data_dir must have a value"),
        (["--data_dir=x", "--workdir=a", "--batch_size=0"], "batch_size=0"),
    ],
)
def test_wrong_flags_are_refused_in_one_line(flags, message):
    answer = run(*flags)
    assert answer.returncode in (1, 2) and message in answer.stderr
    assert "Traceback" not in answer.stderr


@pytest.mark.slow
def test_saved_model_is_evaluated_end_to_end(tiny_records, tiny_export, tmp_path):
    answer = run(
        f"--saved_model={tiny_export}",
        f"--data_dir={tiny_records}",
        "--slices=Male,Male*Young",
        "--batch_size=5",
        cwd=tmp_path,
    )
    assert answer.returncode == 0, answer.stderr
    folder = tmp_path / "runs" / "evaluation" / tiny_export.parent.name / "1" / "validation"
    report = json.loads((folder / "metrics.json").read_text())
    assert report["pictures"] == 12 and list(report["attributes"]) == list(ATTRIBUTES)
    assert 0 <= report["mean_accuracy"] <= 100
    assert 0 <= report["mean_balanced_accuracy"] <= 100
    assert {f"mean_{name}" for name in RATE_METRICS} <= report.keys()
    assert report["landmark_pictures"] == 11
    assert len(report["slices"]) == 6
    assert (folder / "accuracy.png").stat().st_size > 10_000
    for text in (*ATTRIBUTES, "mean", "Male=1*Young=0", str(folder.relative_to(tmp_path))):
        assert text in answer.stdout


@pytest.mark.slow
def test_thresholds_chosen_for_balanced_accuracy_raise_it(tiny_records, tiny_export, tmp_path):
    reports = {}
    flags = {"shifted": ["--consistent"]}
    for rule in ("fixed", "exact_balanced", "shifted"):
        answer = run(
            *flags.get(rule, []),
            f"--saved_model={tiny_export}",
            f"--data_dir={tiny_records}",
            f"--thresholds={rule}",
            f"--output_dir={tmp_path / rule}",
        )
        assert answer.returncode == 0, answer.stderr
        reports[rule] = json.loads((tmp_path / rule / "metrics.json").read_text())
        assert (tmp_path / rule / "reliability.png").stat().st_size > 5000
    assert reports["fixed"]["thresholds"] == "fixed"
    assert 0 < reports["fixed"]["mean_calibration_error"] < 100
    assert reports["fixed"]["attributes"]["Young"]["threshold"] == 0
    assert reports["exact_balanced"]["contradictions"] > reports["shifted"]["contradictions"] == 0
    assert reports["shifted"]["consistent"] and not reports["fixed"]["consistent"]
    fixed, chosen = (reports[rule]["attributes"] for rule in ("fixed", "exact_balanced"))
    for name in fixed:
        if fixed[name]["balanced_accuracy"] is not None:
            assert chosen[name]["balanced_accuracy"] >= fixed[name]["balanced_accuracy"]


@pytest.mark.slow
def test_bad_slices_and_damaged_records_are_refused_and_leave_no_report(
    tiny_records, tiny_export, tmp_path
):
    output_dir = tmp_path / "out"
    flags = [f"--saved_model={tiny_export}", f"--output_dir={output_dir}"]
    answer = run(*flags, f"--data_dir={tiny_records}", "--slices=Male*Old")
    assert answer.returncode == 1
    assert "error: slices: unknown attribute names" in answer.stderr

    damaged = tmp_path / "damaged"
    damaged.mkdir()
    for path in tiny_records.iterdir():
        data = bytearray(path.read_bytes())
        if "-validation." in path.name:
            data[len(data) // 2] ^= 1
        (damaged / path.name).write_bytes(data)
    answer = run(*flags, f"--data_dir={damaged}")
    assert answer.returncode == 1 and "Traceback" not in answer.stderr
    assert "tiny_faces-validation.tfrecord-00000-of-00001: record" in answer.stderr
    assert not output_dir.exists()


@pytest.mark.slow
def test_checkpoint_is_evaluated_and_its_export_gives_the_same_figures(tiny_records, tmp_path):
    workdir = tmp_path / "run"
    options = {
        "backbone": tiny_backbone_file(),
        "image_size": (32, 32),
        "batch_size": 12,
        "epochs": 1,
    }
    config = TrainConfig(**options, updates_per_epoch=1)
    run_training(config, tiny_records, workdir, show_progress=False)
    answer = run(f"--workdir={workdir}", f"--data_dir={tiny_records}", "--split=test")
    assert answer.returncode == 0, answer.stderr
    report = json.loads((workdir / "evaluation" / "test" / "metrics.json").read_text())

    version = export_saved_model(load_trained_network(workdir), tmp_path / "saved_models" / "tiny")
    answer = run(
        f"--saved_model={version}",
        f"--data_dir={tiny_records}",
        f"--output_dir={tmp_path / 'out'}",
        "--split=test",
    )
    assert answer.returncode == 0, answer.stderr
    exported = json.loads((tmp_path / "out" / "metrics.json").read_text())
    for name in ("mean_accuracy", "mean_balanced_accuracy", "mean_auc", "landmark_error"):
        assert exported[name] == pytest.approx(report[name], rel=1e-4), name
