r"""Attacks tfac-serve as a whole, and says what came of it.

A server is started on an exported model, in a process of its own, and then

- broken pictures, decompression bombs, wrong base64, types, shapes and signatures, huge batches,
  slow clients and clients that leave come over REST and gRPC, with a valid request after every
  third; its memory is looked at;
- valid requests come from 48 and from 256 clients at once;
- uploads stall, more than requests may be under way, while another client asks for its health;
- the largest bodies that are accepted, and some that are refused, come one after the other from a
  process of their own, while another client asks for its health;
- versions come and go, some of them broken, while valid requests are answered;
- it is told to stop with 64 requests in flight.

The program fails if the server does, if it answers a picture that is not there, or if it answers a
valid request wrongly or not at all.

    python benchmarks/hostile_requests.py --saved_model=saved_models/dmm_cnn \
      --output=benchmarks/results/hostile_requests.json
"""

import base64
import collections
import concurrent.futures
import contextlib
import itertools
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # for what the test uses too

import numpy as np
import psutil
from absl import app, flags
from reporting import about

from tests.serving.server.hostile_client import HostileClient, predict_alone
from tests.serving.server.serve_program import Program, serve_program
from tfac.files import version_folders

_SAVED_MODEL = flags.DEFINE_string("saved_model", None, "exported model, saved_models/NAME")
_REQUESTS = flags.DEFINE_integer("requests", 10_000, "hostile requests", 1)
_WARMUP_REQUESTS = flags.DEFINE_integer(
    "warmup_requests", 500, "hostile requests before memory is first looked at", 1
)
_VALID_REQUESTS = flags.DEFINE_integer("valid_requests", 3000, "valid ones from many clients", 1)
_HEALTH_SECONDS = flags.DEFINE_float("health_seconds", 10, "of health checks beside a body", 1)
_CLIENTS = flags.DEFINE_integer("clients", 4, "hostile clients at once", 1)
_SEED = flags.DEFINE_integer("seed", 0, "of all that is sent")
_OUTPUT = flags.DEFINE_string("output", None, "file for the figures, JSON")
flags.mark_flag_as_required("saved_model")

_PARTS = 10  # memory is looked at after each
_MANY_CLIENTS = (48, 256)
_STALLED = 256
_IN_FLIGHT = 64
_VERSION_SECONDS = 0.7  # each is there; the server looks every 0.2
_MIB = 2**20


def _bodies() -> dict[str, bytes]:
    """Returns those that take longest to read, of each kind as much as is accepted or more."""
    pixels = np.random.default_rng(0).integers(0, 256, (1, 250, 250, 3)).tolist()
    encoded = base64.b64encode(bytes(22 * _MIB))
    return {
        "a photo's base64, 29 MiB": b'{"instances":[{"b64":"' + encoded + b'"}]}',
        "a string of 31 MiB": b'{"instances":["' + b"x" * (31 * _MIB) + b'"]}',
        "a number of 31 MiB": b'{"instances":[0.' + b"7" * (31 * _MIB) + b"]}",
        "32 MiB of white space": b" " * (32 * _MIB - 40) + b'{"instances":["a"]}',
        "whole numbers of 4,000 digits": b'{"instances":[' + b"9" * 4000 + b",1" * 1000 + b"]}",
        "floats of 60 digits": b'{"instances":[' + (b"0." + b"7" * 60 + b",") * 60_000 + b"1]}",
        "a picture of 250x250 as numbers": json.dumps(
            {"signature_name": "images", "instances": pixels}
        ).encode(),
        "130,000 empty lists": b'{"instances":[' + b"[]," * 130_000 + b"[]]}",
        "refused: a picture of 1000x1000": b'{"instances":[' + b"[1,2,3]," * 10**6 + b"1]}",
    }


def main(argv: Sequence[str]) -> None:
    """Runs it and prints."""
    del argv
    folder = Path(_SAVED_MODEL.value)
    *_, source = version_folders(folder).values()
    figures: dict = about(["tensorflow", "starlette", "uvicorn", "grpcio"])
    with tempfile.TemporaryDirectory() as temporary:
        served = Path(temporary) / folder.name
        shutil.copytree(source, served / "1")
        with serve_program(served) as program:
            client = HostileClient(
                program.url,
                program.grpc_address,
                program.lines[0][0],
                predict_alone(source),
                _SEED.value,
            )
            figures |= _hostile(client, program)
            figures["clients"] = {str(n): _many(client, n) for n in _MANY_CLIENTS}
            attacks = {
                "nothing else": contextlib.nullcontext(),
                f"{_STALLED} stalled uploads": _stalled(program),
                **{name: _sent_again(program, body) for name, body in _bodies().items()},
            }
            figures["health"] = {
                name: _health(program, name, attack) for name, attack in attacks.items()
            }
            figures["versions"] = _roll_over(client, served, source)
            figures["in_flight"] = _stop(client, program)
            client.close()
    if _OUTPUT.value:
        Path(_OUTPUT.value).write_text(json.dumps(figures, indent=2) + "\n")
        print(f"wrote {_OUTPUT.value}")


def _hostile(client: HostileClient, program: Program) -> dict:
    process = psutil.Process(program.process.pid)
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
    for (kind, outcome), count in sorted(outcomes.items()):
        print(f"{count:6d}  {kind}: {outcome}")
    print(
        f"{_REQUESTS.value} hostile requests in {seconds:.0f} s; all "
        f"{outcomes['valid request', 'answered right']} valid ones in between answered right; "
        f"memory of the server {memory[0]:.0f} MB before, {memory[-1]:.0f} MB after",
        flush=True,
    )
    return {
        "requests": _REQUESTS.value,
        "seconds": seconds,
        "outcomes": {": ".join(key): count for key, count in sorted(outcomes.items())},
        "memory_megabytes": memory,
    }


def _megabytes(process: psutil.Process) -> float:
    return process.memory_info().rss / 1e6


def _many(client: HostileClient, num_clients: int) -> dict:
    start = time.perf_counter()
    outcomes = client.run_valid(_VALID_REQUESTS.value, num_clients)
    seconds = time.perf_counter() - start
    print(f"{num_clients} clients: {dict(outcomes)} in {seconds:.0f} s", flush=True)
    return {"outcomes": outcomes, "seconds": seconds}


def _health(program: Program, what: str, attack: contextlib.AbstractContextManager) -> dict:
    """Asks for the model's state meanwhile, from a process of its own."""
    url = f"{program.url}/v1/models/{program.lines[0][0]}"
    with attack:
        times = json.loads(_client(url, _HEALTH_SECONDS.value).communicate()[0])
    p50, p99, longest = (float(np.quantile(times, q)) * 1e3 for q in (0.5, 0.99, 1))
    print(
        f"health beside {what}: {p50:.0f} ms, p99 {p99:.0f} ms, longest {longest:.0f} ms of "
        f"{len(times)}",
        flush=True,
    )
    return {"checks": len(times), "p50_ms": p50, "p99_ms": p99, "longest_ms": longest}


def _client(*arguments: str | float | Path) -> subprocess.Popen:
    script = Path(__file__).with_name("one_client.py")
    command = [sys.executable, str(script), *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


@contextlib.contextmanager
def _sent_again(program: Program, body: bytes) -> Iterator[None]:
    url = f"{program.url}/v1/models/{program.lines[0][0]}:predict"
    with tempfile.NamedTemporaryFile() as file:
        file.write(body)
        file.flush()
        with _client(url, file.name) as attacker:
            time.sleep(2)  # until it has started
            yield
            assert attacker.poll() is None
            attacker.kill()


@contextlib.contextmanager
def _stalled(program: Program) -> Iterator[None]:
    head = f"POST /v1/models/{program.lines[0][0]}:predict HTTP/1.1\r\nHost: localhost\r\n"
    host, port = program.url.removeprefix("http://").split(":")
    with contextlib.ExitStack() as stack:
        for _ in range(_STALLED):
            upload = stack.enter_context(socket.create_connection((host, int(port))))
            upload.sendall(f'{head}Content-Length: 9999\r\n\r\n{{"inst'.encode())
        yield


def _roll_over(client: HostileClient, served: Path, source: Path) -> dict:
    """Lets versions come and go, each third broken, while valid requests are answered."""
    stop = threading.Event()

    def change() -> int:
        for number in itertools.count(2):
            new = served.parent / "new"
            shutil.copytree(source, new)
            if broken := number % 3 == 0:
                (new / "saved_model.pb").write_bytes(b"")
            new.rename(served / str(number))
            if stop.wait(_VERSION_SECONDS):
                return number
            for old, path in version_folders(served).items():
                if old < number - broken:  # the last whole one stays
                    shutil.rmtree(path)

    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        changes = pool.submit(change)
        try:
            outcomes = client.run_valid(_VALID_REQUESTS.value, _CLIENTS.value)
        finally:
            stop.set()
        last = changes.result()
    print(f"{last} versions, each third broken: {dict(outcomes)}", flush=True)
    return {"outcomes": outcomes, "versions": last}


def _stop(client: HostileClient, program: Program) -> int:
    """Tells the server to stop while requests wait, each of which is answered."""
    finish = client.start_valid(_IN_FLIGHT)
    program.process.send_signal(signal.SIGTERM)
    waited = finish()
    status = program.process.wait(60)
    assert status == 0, status
    print(f"told to stop while {waited} of {_IN_FLIGHT} requests waited: all answered", flush=True)
    return waited


if __name__ == "__main__":
    app.run(main)
