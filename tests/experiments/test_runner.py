import dataclasses
import fcntl
import json
import os
import signal
import sys
import threading
import time
from types import SimpleNamespace

import pytest

from tfac.experiments.plan import plan_runs
from tfac.experiments.runner import FAILURE_FILE, LOG_FILE, Runner, _progress, read_json
from tfac.experiments.scoring import RESULT_FILE
from tfac.training.interruption import Interrupted

INFO = SimpleNamespace(path="data", fingerprint="f")


class Programs(Runner):
    """Runs Python programs of a line in place of training and judging.

    Args:
        training: experiment to its program; {workdir} is the run's folder.
    """

    def __init__(self, training, after_run=lambda: None):
        super().__init__(INFO, "test", after_run)
        self.training = training

    def _command(self, run):
        report = {"mean_accuracy": 90.0}
        result = {
            "config": run.config().to_dict(),
            "data": {"fingerprint": "f"},
            "split": "test",
            "splits": {"test": {"trained": report, "exact": report}},
        }
        (run.workdir / "prepared.json").write_text(json.dumps(result))
        training = self.training.get(run.experiment, "").replace("{workdir}", str(run.workdir))
        judging = f"import os; os.rename('prepared.json', '{RESULT_FILE}')"
        both = f"import os, sys; exec(sys.argv[1]); os.chdir({str(run.workdir)!r}); {judging}"
        return [sys.executable, "-c", both, training]


def finished(runs):
    return [(run.workdir / RESULT_FILE).exists() for run in runs]


def test_a_failure_ends_no_other_run_and_is_tried_again(tmp_path, capsys):
    runs = plan_runs(["dmm_cnn", "baseline"], "small", 2, tmp_path, {})
    reports = []
    broken = {"dmm_cnn": "print('error: the loss is NaN'); print('more'); raise SystemExit(1)"}
    failed = Programs(broken, lambda: reports.append(1)).run_all(runs)
    assert failed == [runs[0], runs[2]] and len(reports) == 4
    assert finished(runs) == [False, True, False, True]
    assert read_json(runs[0].workdir / FAILURE_FILE) == {"reason": "error: the loss is NaN"}
    capsys.readouterr()
    assert Programs({}).run_all(runs) == []
    assert finished(runs) == [True] * 4
    assert not (runs[0].workdir / FAILURE_FILE).exists()
    assert capsys.readouterr().out.count("baseline seed 1: finished already, skipped") == 1
    assert Programs({"dmm_cnn": "raise SystemExit(1)"}).run_all(runs) == []  # nothing is due


@pytest.mark.parametrize(
    ("program", "reason"),
    [
        ("raise ValueError('no such shape')", "ValueError: no such shape"),
        ("import os; os.kill(os.getpid(), 9)", "ended by SIGKILL"),
        ("import sys; sys.exit(3)", "ended with status 3"),
    ],
)
def test_the_reason_of_a_failure_is_one_line(tmp_path, program, reason):
    [run] = plan_runs(["dmm_cnn"], "small", 1, tmp_path, {})
    Programs({"dmm_cnn": program}).run_all([run])
    assert read_json(run.workdir / FAILURE_FILE) == {"reason": reason}


def test_options_that_cannot_go_together_fail_that_run_alone(tmp_path):
    given = {"output_stride": 16}
    runs = plan_runs(["mgg_vgg16_net", "mgg_net"], "small", 1, tmp_path, given)
    assert Programs({}).run_all(runs) == runs[:1]
    assert (
        "output_stride: expected 32 with backbone=vgg16"
        in read_json(runs[0].workdir / FAILURE_FILE)["reason"]
    )


def test_a_run_of_another_process_is_left_to_it(tmp_path):
    runs = plan_runs(["dmm_cnn", "baseline"], "small", 1, tmp_path, {})
    runs[0].workdir.mkdir(parents=True)
    with open(runs[0].workdir / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert Programs({}).run_all(runs) == []
    assert finished(runs) == [False, True]


def test_the_process_of_a_run_holds_its_lock_too(tmp_path):
    [run] = plan_runs(["dmm_cnn"], "small", 1, tmp_path, {})
    look = """
import os
files = [f'/proc/self/fd/{number}' for number in os.listdir('/proc/self/fd')]
targets = [os.readlink(file) for file in files if os.path.exists(file)]
assert '{workdir}/lock' in targets, targets
"""
    assert Programs({"dmm_cnn": look}).run_all([run]) == []


def test_a_stop_lets_the_run_save_and_does_not_start_another(tmp_path):
    runs = plan_runs(["dmm_cnn", "baseline"], "small", 1, tmp_path, {})
    saves = """
import pathlib, signal, sys, time
def save(number, frame):
    pathlib.Path('{workdir}/saved').touch()
    sys.exit(128 + number)
signal.signal(signal.SIGINT, save)
pathlib.Path('{workdir}/started').touch()
time.sleep(60)
"""

    def stop_when_started():
        while not (runs[0].workdir / "started").exists():
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=stop_when_started).start()
    with pytest.raises(Interrupted):
        Programs({"dmm_cnn": saves}).run_all(runs)
    assert (runs[0].workdir / "saved").exists()
    assert not (runs[0].workdir / FAILURE_FILE).exists()
    assert not (runs[1].workdir / LOG_FILE).exists()


def test_a_result_from_before_an_option_existed_counts(tmp_path):
    [run] = plan_runs(["dmm_cnn"], "small", 1, tmp_path, {})
    Programs({}).run_all([run])
    result = read_json(run.workdir / RESULT_FILE)
    del result["config"]["attention_width"]
    (run.workdir / RESULT_FILE).write_text(json.dumps(result))
    assert Programs({"dmm_cnn": "raise SystemExit(1)"}).run_all([run]) == []


def test_a_result_for_other_settings_does_not_count_as_finished(tmp_path):
    [run] = plan_runs(["dmm_cnn"], "small", 1, tmp_path, {})
    Programs({}).run_all([run])
    other = dataclasses.replace(run, given={**run.given, "epochs": 2})
    broken = {"dmm_cnn": "raise SystemExit('error: other settings')"}
    assert Programs(broken).run_all([other]) == [other]
    assert finished([run]) == [True]  # the result is left as it is


@pytest.mark.parametrize(
    ("log", "progress"),
    [
        ("", (0.0, "")),
        ("$ python -m tfac.cli.judged_training\n", (0.0, "")),
        (
            "0%| | 0/40 [00:00]\r25%|## | 10/40 [00:20<01:00, 2.0s/step, images_s=67, loss=9]",
            (0.25, ", step 10 of 40, 67 images/s"),
        ),
        ("counting the labels of train: 100%|##| 1500/1500 [00:01<00:00, 9k picture/s]", (0.0, "")),
        ("40/40 [01:20]\n$ python -m tfac.cli.judged_training\n", (0.0, "")),
    ],
)
def test_progress_is_read_from_the_log(tmp_path, log, progress):
    (tmp_path / LOG_FILE).write_text(log)
    assert _progress(tmp_path / LOG_FILE) == progress
