"""Runs experiments one after another, each in a process and a folder of its own.

A run's workdir has what tfac-train writes and

- ``log.txt``: what its process said.
- ``result.json``: what it is worth, see `tfac.experiments.scoring`; it is there once all is done.
- ``failure.json``: why it failed, until it is tried again.
- ``lock``: held by whoever works on the run; the system lets go of it when that process ends.
"""

import contextlib
import fcntl
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import tqdm

from tfac.data.records.info import RecordsInfo
from tfac.errors import ConfigError
from tfac.experiments.plan import Run
from tfac.experiments.scoring import RESULT_FILE
from tfac.files import whole_file
from tfac.training.config import TrainConfig
from tfac.training.interruption import Interrupted, Interruption, stop_on_signals

FAILURE_FILE = "failure.json"
LOG_FILE = "log.txt"

_LOOK_EVERY = 0.2  # seconds
_LOG_TAIL = 4096  # bytes
_PROMPT = "$ "  # begins the line of a command in a log
# In tfac-train's progress bar.
_STEPS_DONE = re.compile(r"(\d+)/(\d+) \[.*step")  # labels are counted in pictures
_RATE = re.compile(r"images_s=(\d+)")


class Runner:
    """Runs what is due, and says what it does.

    Args:
        info: the prepared data set.
        split: the split that runs are judged on.
        after_run: called after each run that was tried, whether it succeeded or failed.
    """

    def __init__(self, info: RecordsInfo, split: str, after_run):
        self._info = info
        self._split = split
        self._after_run = after_run

    def run_all(self, runs: Sequence[Run]) -> list[Run]:
        """Runs those that are not finished and that no other process works on.

        Returns:
            Those that failed.

        Raises:
            Interrupted: Ctrl-C or SIGTERM, after the run at hand was stopped and saved its state.
        """
        due, failed = [], []
        for run in runs:
            if self._is_finished(run):
                print(f"{run}: finished already, skipped ({run.workdir})")
            else:
                due.append(run)
        with stop_on_signals() as interruption, _progress_bar(len(due)) as bar:
            for number, run in enumerate(due):
                bar.n = number
                interruption.stop_if_requested()
                with _lock(run.workdir) as lock:
                    if lock is None:
                        bar.write(f"{run}: another process works on it, left to it")
                    elif self._is_finished(run):
                        bar.write(f"{run}: finished by another process, skipped")
                    else:
                        if not self._run(run, lock, bar, interruption):
                            failed.append(run)
                        self._after_run()
            bar.n = len(due)
        return failed

    def _is_finished(self, run: Run) -> bool:
        """Says whether the run has the result that is asked for.

        Options that its version of tfac did not have yet count as at their defaults.
        """
        result = read_json(run.workdir / RESULT_FILE)
        try:
            return result is not None and (
                TrainConfig.from_dict(result["config"]) == run.config()
                and result["data"]["fingerprint"] == self._info.fingerprint
                and result["split"] == self._split
            )
        except ConfigError:
            return False

    def _run(self, run: Run, lock: int, bar: tqdm.tqdm, interruption: Interruption) -> bool:
        """Trains and judges; returns whether both succeeded."""
        (run.workdir / FAILURE_FILE).unlink(missing_ok=True)
        bar.write(f"{run}: {run.workdir}")
        start = time.monotonic()
        try:
            run.config()
        except ConfigError as error:
            self._fail(run, str(error), bar)
            return False
        status = _call(self._command(run), run, lock, bar, interruption)
        if status:
            self._fail(run, _reason(run.workdir / LOG_FILE, status), bar)
            return False
        report = read_json(run.workdir / RESULT_FILE)["splits"][self._split]
        found = report["trained"].get("contradictions")
        bar.write(
            f"{run}: done in {(time.monotonic() - start) / 60:.1f} min; accuracy "
            f"{report['trained']['mean_accuracy']:.2f}, with exact thresholds "
            f"{report['exact']['mean_accuracy']:.2f}"
            + (f"; {found:.1f} % contradict themselves" if found is not None else "")
        )
        return True

    def _command(self, run: Run) -> list[str]:
        options = [f"--{name}={_as_flag(value)}" for name, value in run.given.items()]
        return [
            *(sys.executable, "-m", "tfac.cli.judged_training", f"--split={self._split}"),
            *(f"--experiment={run.experiment}", f"--protocol={run.protocol}"),
            *(f"--data_dir={self._info.path}", f"--workdir={run.workdir}", *options),
        ]

    @staticmethod
    def _fail(run: Run, reason: str, bar: tqdm.tqdm) -> None:
        with whole_file(run.workdir / FAILURE_FILE) as path:
            path.write_text(json.dumps({"reason": reason}) + "\n", encoding="utf-8")
        bar.write(f"{run}: FAILED: {reason} ({run.workdir})")


def read_json(path: Path) -> dict[str, Any] | None:
    """Returns what a JSON file holds; None where there is none, or no whole one."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _progress_bar(total: int) -> tqdm.tqdm:
    return tqdm.tqdm(
        total=total,
        bar_format="{n:.2f} of {total} runs, {elapsed} passed, {remaining} left; {desc}",
        mininterval=1 if sys.stderr.isatty() else 60,
        disable=not total,
    )


@contextlib.contextmanager
def _lock(workdir: Path) -> Iterator[int | None]:
    """Yields the file that locks a workdir; None if another process holds it."""
    workdir.mkdir(parents=True, exist_ok=True)
    with open(workdir / "lock", "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield None
        else:
            yield file.fileno()


def _call(
    command: list[str], run: Run, lock: int, bar: tqdm.tqdm, interruption: Interruption
) -> int:
    """Runs a command, its output to the log, and returns its status.

    It holds the lock too, and so keeps it if this process is killed. It is in a session of its own,
    so that Ctrl-C reaches it through here alone: a second signal would end it without saving.
    """
    log = run.workdir / LOG_FILE
    with open(log, "ab") as output:
        output.write(f"\n{_PROMPT}{' '.join(command)}\n".encode())
        output.flush()
        process = subprocess.Popen(
            command,
            stdout=output,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            pass_fds=[lock],
            start_new_session=True,
            env={**os.environ, "TQDM_MININTERVAL": "2"},  # seconds; the log is read, not watched
        )
    finished = bar.n
    try:
        while process.poll() is None:
            interruption.stop_if_requested()
            share, words = _progress(log)
            bar.n = max(bar.n, finished + share)  # scoring and validations are no steps
            bar.set_description_str(f"{run}{words}", refresh=False)
            bar.update(0)
            time.sleep(_LOOK_EVERY)
        return process.returncode
    except Interrupted as interrupted:
        bar.write(f"{run}: stopping; it saves its state")
        process.send_signal(interrupted.signal_number)
        process.wait()
        raise
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def _progress(log: Path) -> tuple[float, str]:
    """Returns the share of the training that is done, as its log shows it, and words for it."""
    line = (_last_lines(log) or [""])[-1]
    steps, rate = _STEPS_DONE.search(line), _RATE.search(line)
    if not steps:
        return 0.0, ""
    words = f", step {steps[1]} of {steps[2]}" + (f", {rate[1]} images/s" if rate else "")
    return int(steps[1]) / int(steps[2]), words


def _reason(log: Path, status: int) -> str:
    if status < 0:
        return f"ended by {signal.Signals(-status).name}"
    lines = _last_lines(log)
    starts = [number for number, line in enumerate(lines) if line.startswith(_PROMPT)]
    lines = lines[starts[-1] + 1 :] if starts else lines
    errors = [line for line in lines if line.startswith("error: ")]
    return (errors or lines or [f"ended with status {status}"])[-1]


def _last_lines(log: Path) -> list[str]:
    with open(log, "rb") as file:
        file.seek(max(0, log.stat().st_size - _LOG_TAIL))
        lines = file.read().decode(errors="replace").replace("\r", "\n").splitlines()
    return [line.strip() for line in lines if line.strip()]


def _as_flag(value: Any) -> str:
    return "" if value is None else str(value)
