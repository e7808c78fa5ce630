"""Latency and throughput of `tfac-serve` beside the bare model, by engine and number of clients.

python benchmarks/serving.py --saved_model=saved_models/NAME [--engines=tensorflow,openvino]

- bare: the model in this process on batches of decoded pictures of its own size, the limit; and on
  the encoded pictures, which adds decoding and resizing.
- server: `tfac-serve`, a process for each engine; clients over gRPC, each sending one encoded
  picture after the other as soon as it is answered. They share the machine's cores with the server.
- half load: requests at random times (Poisson), half as many a second as the best rate.

All are measured in turn, --repeats times. Engines other than TensorFlow need an export with
--formats. With --requests the first engine then answers so many, and its memory is watched. The
pictures are drawn faces of CelebA's size. Prints a table and writes it as Markdown, JSON and a plot
with --output.
"""

import asyncio
import contextlib
import itertools
import json
import os
import platform
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import grpc
import numpy as np
import tensorflow as tf
from absl import app, flags
from matplotlib.figure import Figure
from reporting import spread
from tensorflow_serving.apis import predict_pb2

from tfac.data.synthetic.faces import SyntheticFacesConfig, make_example
from tfac.files import version_folders
from tfac.inference.engines import load_engine
from tfac.photos.preprocessing import read_picture

_SAVED_MODEL = flags.DEFINE_string("saved_model", None, "Folder of the exported model.")
_ENGINES = flags.DEFINE_list("engines", ["tensorflow"], "Engines of tfac-serve to measure.")
_CLIENTS = flags.DEFINE_list("clients", ["1", "4", "16", "64"], "Numbers of clients at once.")
_SECONDS = flags.DEFINE_float("seconds", 5, "How long each measurement lasts.", 0.5)
_REPEATS = flags.DEFINE_integer("repeats", 3, "How often each is measured.", 1)
_REQUESTS = flags.DEFINE_integer("requests", 0, "Requests over which memory is watched.", 0)
_OUTPUT = flags.DEFINE_string("output", None, "Where to write, without suffix; by default nowhere.")
flags.mark_flag_as_required("saved_model")

_BATCH_SIZE = 32
_PICTURES = 64
_METHOD = "/tensorflow.serving.PredictionService/Predict"
_CORES = len(os.sched_getaffinity(0))


def main(argv: Sequence[str]) -> None:
    """Measures, prints and writes."""
    if len(argv) > 1:
        raise app.UsageError(f"expected flags only. Received: {' '.join(argv[1:])}")
    config = SyntheticFacesConfig(image_size=218)
    pictures = [make_example(config, "test", i)["image"] for i in range(_PICTURES)]
    *_, folder = version_folders(_SAVED_MODEL.value).values()
    size = load_engine(folder).metadata["image_size"]
    about = {
        "model": f"{folder.parent.name}, {size['height']}x{size['width']}",
        "machine": f"{platform.machine()}, {_CORES} cores",
        "python": platform.python_version(),
        "tensorflow": tf.__version__,
        "grpc": grpc.__version__,
    }
    with contextlib.ExitStack() as stack:
        servers = {name: stack.enter_context(_server(name)) for name in _ENGINES.value}
        rows = _measure(folder, pictures, servers)
        memory = _watch_memory(servers[_ENGINES.value[0]], pictures) if _REQUESTS.value else []
    text = _text(rows, memory)
    print(" · ".join(f"{name} {value}" for name, value in about.items()))
    print(text)
    if _OUTPUT.value:
        output = {**about, "rows": rows, "memory": memory}
        Path(f"{_OUTPUT.value}.json").write_text(json.dumps(output, indent=1))
        Path(f"{_OUTPUT.value}.md").write_text(text + "\n")
        _plot(rows).savefig(f"{_OUTPUT.value}.png", dpi=100)


@contextlib.contextmanager
def _server(engine: str) -> Iterator[tuple[int, str]]:
    """Yields the process and the gRPC address of a server."""
    command = [sys.executable, "-m", "tfac.cli.serve", f"--saved_model={_SAVED_MODEL.value}"]
    command += [f"--engine={engine}", "--port=0", "--rest_api_port=0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        for line in process.stdout:
            if found := re.search(r"grpc://(\S+)", line):
                break
        else:
            raise RuntimeError(f"tfac-serve --engine={engine} ended with {process.wait()}")
        yield process.pid, found[1]
    finally:
        process.terminate()
        process.wait()


def _measure(folder: Path, pictures: Sequence[bytes], servers: dict) -> list[dict]:
    """Returns a row a way: requests a second and latencies in milliseconds of each repeat."""
    ways: dict[tuple[str, str], Callable[[], dict]] = dict(_bare(folder, pictures))
    for engine, (_, address) in servers.items():
        for clients in map(int, _CLIENTS.value):
            ways[engine, f"{clients}"] = lambda a=address, c=clients: asyncio.run(
                _closed_loop(a, pictures, c, time.perf_counter() + _SECONDS.value)
            )
    rows = {way: [] for way in ways}
    halves: dict[tuple[str, str], list[dict]] = {(engine, "half load"): [] for engine in servers}
    for repeat in range(_REPEATS.value + 1):
        for way, run in ways.items():
            result = run()
            if repeat:  # the first warms up
                rows[way].append(result)
        for engine, (_, address) in servers.items() if repeat else ():
            best = max(
                np.median([result["rate"] for result in results])
                for (name, _), results in rows.items()
                if name == engine
            )
            result = asyncio.run(_open_loop(address, pictures, best / 2))
            halves[engine, "half load"].append(result)
    return [
        {"way": name, "clients": clients, "results": results}
        for (name, clients), results in {**rows, **halves}.items()
    ]


def _bare(folder: Path, pictures: Sequence[bytes]):
    """Yields the limit: the model alone, in this process, in full batches."""
    engine = load_engine(folder)
    size = engine.metadata["image_size"]
    size = size["height"], size["width"]
    encoded = np.array(list(pictures[:_BATCH_SIZE]), object)
    decoded = np.stack([read_picture(picture, size).numpy() for picture in encoded])

    def loop(signature: str, inputs: dict) -> dict:
        start, count = time.perf_counter(), 0
        while time.perf_counter() < start + _SECONDS.value:
            engine.run(signature, inputs)
            count += _BATCH_SIZE
        return {"rate": count / (time.perf_counter() - start)}

    yield ("bare", "decoded"), lambda: loop("images", {"images": decoded})
    yield ("bare", "encoded"), lambda: loop("serving_default", {"image_bytes": encoded})


async def _closed_loop(
    address: str, pictures: Sequence[bytes], clients: int, until: float, most: float = np.inf
) -> dict:
    """Clients that each send the next picture when the last is answered."""
    latencies: list[float] = []
    numbers = itertools.count()
    async with grpc.aio.insecure_channel(address) as channel:
        ask, requests = channel.unary_unary(_METHOD), _requests(pictures)

        async def client() -> None:
            while time.perf_counter() < until and (number := next(numbers)) < most:
                start = time.perf_counter()
                await ask(requests[number % len(requests)])
                latencies.append(time.perf_counter() - start)

        start = time.perf_counter()
        await asyncio.gather(*(client() for _ in range(clients)))
        return _summary(latencies, time.perf_counter() - start)


async def _open_loop(address: str, pictures: Sequence[bytes], rate: float) -> dict:
    """Requests at random times, `rate` a second, whether or not earlier ones are answered."""
    latencies: list[float] = []
    gaps = np.random.default_rng(0).exponential(1 / rate, int(rate * _SECONDS.value))
    async with grpc.aio.insecure_channel(address) as channel:
        ask, requests = channel.unary_unary(_METHOD), _requests(pictures)
        start = time.perf_counter()

        async def request(number: int, due: float) -> None:
            await asyncio.sleep(start + due - time.perf_counter())
            await ask(requests[number % len(requests)])
            latencies.append(time.perf_counter() - start - due)  # waiting to be sent counts too

        await asyncio.gather(*(request(i, due) for i, due in enumerate(np.cumsum(gaps))))
        return _summary(latencies, time.perf_counter() - start)


def _requests(pictures: Sequence[bytes]) -> list[bytes]:
    requests = []
    for picture in pictures:
        request = predict_pb2.PredictRequest()
        request.model_spec.name = Path(_SAVED_MODEL.value).name
        request.inputs["image_bytes"].CopyFrom(tf.make_tensor_proto([picture]))
        requests.append(request.SerializeToString())
    return requests


def _summary(latencies: Sequence[float], seconds: float) -> dict:
    p50, p99 = 1000 * np.percentile(latencies, [50, 99])
    return {"rate": len(latencies) / seconds, "p50": p50, "p99": p99}


def _watch_memory(server: tuple[int, str], pictures: Sequence[bytes], samples: int = 20):
    """Returns the requests answered so far and the server's resident memory in MiB, in steps."""
    process, address = server
    memory = []
    for sample in range(samples + 1):
        if sample:
            most = _REQUESTS.value // samples
            asyncio.run(_closed_loop(address, pictures, 32, np.inf, most))
        pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
        mebibytes = pages * os.sysconf("SC_PAGE_SIZE") / 2**20
        memory.append([sample * (_REQUESTS.value // samples), round(mebibytes, 1)])
    return memory


def _text(rows: Sequence[dict], memory: Sequence) -> str:
    limit = np.array([result["rate"] for result in rows[0]["results"]])
    lines = [
        "| | clients | pictures/s | of the bare model | p50, ms | p99, ms | p99 / p50 |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        results = row["results"]
        rates = np.array([result["rate"] for result in results])
        cells = [row["way"], row["clients"], f"{np.median(rates):,.0f}", spread(rates / limit)]
        if "p50" in results[0]:
            p50, p99 = (np.array([result[p] for result in results]) for p in ("p50", "p99"))
            cells += [f"{np.median(p50):.1f}", f"{np.median(p99):.1f}", spread(p99 / p50)]
        else:
            cells += ["", "", ""]
        lines.append(f"| {' | '.join(cells)} |")
    if memory:
        (first, before), (last, after) = memory[1], memory[-1]
        lines += ["", f"Memory: {before} MiB after {first:,} requests, {after} MiB after {last:,}."]
    return "\n".join(lines)


def _plot(rows: Sequence[dict]) -> Figure:
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    throughput, latency = figure.subplots(1, 2)
    limit = np.median([result["rate"] for result in rows[0]["results"]])
    throughput.axhline(limit, color="grey", linestyle="--", label="bare, decoded")
    for engine in dict.fromkeys(row["way"] for row in rows if row["way"] != "bare"):
        of_engine = [row for row in rows if row["way"] == engine and row["clients"].isdecimal()]
        clients = [int(row["clients"]) for row in of_engine]
        rates, p50, p99 = (
            [np.median([result[name] for result in row["results"]]) for row in of_engine]
            for name in ("rate", "p50", "p99")
        )
        [line] = throughput.plot(clients, rates, "o-", label=engine)
        latency.plot(clients, p50, "o-", color=line.get_color(), label=f"{engine}, p50")
        latency.plot(clients, p99, "^:", color=line.get_color(), label=f"{engine}, p99")
    throughput.set(xlabel="clients", ylabel="pictures a second", ylim=(0, None), xscale="log")
    latency.set(xlabel="clients", ylabel="milliseconds", yscale="log", xscale="log")
    for axes in (throughput, latency):
        axes.legend(fontsize=8)
    return figure


if __name__ == "__main__":
    app.run(main)
