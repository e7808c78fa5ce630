"""Sends tfac-serve what no client should, and says what came of it and whether its memory grew.

A server is started on an exported model, in a process of its own. Broken pictures, decompression
bombs, wrong base64, types, shapes and signatures, huge batches, slow clients and clients that leave
are sent over REST and gRPC, with a valid request after every third. The program fails if the server
does, if it answers a picture that is not there, or if it answers a valid request wrongly or not at
all.

    python benchmarks/hostile_requests.py --saved_model=saved_models/dmm_cnn --requests=10000
"""

import collections
import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # for what the test uses too

import psutil
from absl import app, flags

from tests.serving.server.hostile_client import HostileClient, predict_alone
from tests.serving.server.serve_program import serve_program
from tfac.export import versions

_SAVED_MODEL = flags.DEFINE_string("saved_model", None, "exported model, saved_models/NAME")
_REQUESTS = flags.DEFINE_integer("requests", 10_000, "hostile requests", 1)
_WARMUP_REQUESTS = flags.DEFINE_integer(
    "warmup_requests", 500, "hostile requests before memory is first looked at", 1
)
_CLIENTS = flags.DEFINE_integer("clients", 4, "clients at once", 1)
_SEED = flags.DEFINE_integer("seed", 0, "of all that is sent")
_OUTPUT = flags.DEFINE_string("output", None, "file for the figures, JSON")
flags.mark_flag_as_required("saved_model")

_PARTS = 10  # memory is looked at after each


def main(argv: Sequence[str]) -> None:
    """Runs it and prints."""
    del argv
    folder = Path(_SAVED_MODEL.value)
    version_folder = folder / str(max(versions(folder)))
    with serve_program(f"--saved_model={version_folder}") as program:
        process = psutil.Process(program.process.pid)
        client = HostileClient(
            program.url,
            program.grpc_address,
            program.lines[0][0],
            predict_alone(version_folder),
            _SEED.value,
        )
        client.run(range(_WARMUP_REQUESTS.value), _CLIENTS.value)
        outcomes: collections.Counter = collections.Counter()
        memory, start = [_megabytes(process)], time.perf_counter()
        for part in range(_PARTS):
            first, last = (_REQUESTS.value * i // _PARTS for i in (part, part + 1))
            numbers = range(_WARMUP_REQUESTS.value + first, _WARMUP_REQUESTS.value + last)
            outcomes += client.run(numbers, _CLIENTS.value)
            memory.append(_megabytes(process))
            print(f"{last} requests: {memory[-1]:.0f} MB", flush=True)
        seconds = time.perf_counter() - start
        client.close()
    _report(outcomes, memory, seconds)


def _megabytes(process: psutil.Process) -> float:
    return process.memory_info().rss / 1e6


def _report(outcomes: collections.Counter, memory: list[float], seconds: float) -> None:
    for (kind, outcome), count in sorted(outcomes.items()):
        print(f"{count:6d}  {kind}: {outcome}")
    print(
        f"{_REQUESTS.value} hostile requests in {seconds:.0f} s; all "
        f"{outcomes['valid request', 'answered right']} valid ones in between answered right; "
        f"memory of the server {memory[0]:.0f} MB before, {memory[-1]:.0f} MB after"
    )
    if _OUTPUT.value:
        figures = {
            "requests": _REQUESTS.value,
            "seconds": seconds,
            "outcomes": {": ".join(key): count for key, count in sorted(outcomes.items())},
            "memory_megabytes": memory,
        }
        Path(_OUTPUT.value).write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    app.run(main)
