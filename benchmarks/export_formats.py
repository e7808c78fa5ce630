"""Size, answers and speed of a network in each format it can be exported to.

python benchmarks/export_formats.py [--models=mgg_net,dmm_cnn] [--image_sizes=64] [--repeats=15]

The networks (ResNet18) have random weights, and batch norms with the statistics of noise pictures.
Every format gets the same resized pictures, uint8, and gives scores: decoding and resizing are not
in the figures. All run in one process on all cores, in turn, batch by batch; a ratio is the time
over that of the SavedModel without folding in the same turn, median and quartiles over the turns.
The difference is the largest of any score from the Keras model's in float32.
"""

import json
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
import tensorflow as tf
from absl import app, flags
from networks import create_trained
from reporting import about

from tfac.attributes import ATTRIBUTES, default_groups
from tfac.export.formats import LITERT_FILE, ONNX_FILE, OPENVINO_FILE, write_formats
from tfac.inference.trained_network import TrainedNetwork
from tfac.landmarks import DLIB_72
from tfac.speed.folding import copy_network, create_folded_network
from tfac.training.config import TrainConfig
from tfac.training.workdir import create_network

_MODELS = flags.DEFINE_list("models", ["mgg_net", "dmm_cnn"], "Networks to export.")
_IMAGE_SIZES = flags.DEFINE_list("image_sizes", ["64"], "Sides of the pictures, pixels.")
_PRECISIONS = flags.DEFINE_list("precisions", ["float32"], "Precisions of the SavedModels.")
_FORMATS = flags.DEFINE_list("formats", ["onnx", "openvino", "litert"], "Besides SavedModel.")
_BATCH_SIZES = flags.DEFINE_list("batch_sizes", ["1", "32"], "Pictures a call.")
_REPEATS = flags.DEFINE_integer("repeats", 15, "How often each is measured.", 1)
_OUTPUT = flags.DEFINE_string("output", None, "Where to write, without suffix; by default nowhere.")

_CORES = len(os.sched_getaffinity(0))
_LIBRARIES = ("tensorflow", "keras", "onnxruntime", "openvino", "ai-edge-litert")

Run = Callable[[np.ndarray], np.ndarray]


def main(argv: Sequence[str]) -> None:
    """Measures, prints and writes."""
    if len(argv) > 1:
        raise app.UsageError(f"expected flags only. Received: {' '.join(argv[1:])}")
    rows = []
    for model in _MODELS.value:
        for size in map(int, _IMAGE_SIZES.value):
            for precision in _PRECISIONS.value:
                measured = _measure(model, size, precision)
                print(_table(measured), flush=True)
                rows += measured
    described = about(_LIBRARIES)
    print(" · ".join(f"{name} {value}" for name, value in described.items()))
    if _OUTPUT.value:
        Path(f"{_OUTPUT.value}.json").write_text(json.dumps({**described, "rows": rows}, indent=1))
        Path(f"{_OUTPUT.value}.md").write_text(_table(rows) + "\n")


def _measure(name: str, size: int, precision: str) -> list[dict]:
    trained = _create(name, size, precision)
    pictures = np.random.default_rng(0).integers(0, 256, (32, size, size, 3), np.uint8)
    exact = copy_network(trained.model, "float32")(pictures, training=False)["scores"].numpy()
    with tempfile.TemporaryDirectory() as folder:
        runs, files = _write_all(trained, Path(folder))
        mebibytes = {way: _size(path) / 2**20 for way, path in files.items()}
        differences = {way: float(np.abs(run(pictures) - exact).max()) for way, run in runs.items()}
        times = {way: {} for way in runs}
        for batch_size in map(int, _BATCH_SIZES.value):
            batch = np.resize(pictures, (batch_size, *pictures.shape[1:]))
            for way, milliseconds in _alternate(runs, batch).items():
                times[way][batch_size] = milliseconds
    return [
        {
            "model": name,
            "image_size": size,
            "precision": precision if way.startswith("SavedModel") else "float32",
            "format": way,
            "mebibytes": mebibytes[way],
            "difference": differences[way],
            "milliseconds_a_picture": times[way],
            "ratios": {
                n: np.divide(ms, times["SavedModel"][n]).tolist() for n, ms in times[way].items()
            },
        }
        for way in runs
    ]


def _create(name: str, size: int, precision: str) -> TrainedNetwork:
    keras.utils.set_random_seed(1)
    config = TrainConfig(
        model=name, backbone="resnet18", image_size=(size, size), precision=precision
    )
    model = create_network(config, ATTRIBUTES, DLIB_72, default_groups(ATTRIBUTES), None)
    noise = np.random.default_rng(1).integers(0, 256, (16, size, size, 3), np.uint8)
    for _ in range(30):
        model(noise, training=True)
    return create_trained(config, model)


def _write_all(trained: TrainedNetwork, folder: Path) -> tuple[dict[str, Run], dict[str, Path]]:
    networks = {
        "SavedModel": trained.model,
        "SavedModel, folded": create_folded_network(trained.model),
    }
    runs, files = {}, {}
    for way, network in networks.items():
        files[way] = folder / way
        runs[way] = _saved_model(network, trained.image_size, files[way])
    write_formats(trained, _FORMATS.value, folder)
    openers = {"onnx": _onnx, "openvino": _openvino, "litert": _litert}
    paths = {"onnx": ONNX_FILE, "openvino": Path(OPENVINO_FILE).parent, "litert": LITERT_FILE}
    labels = {"onnx": "ONNX Runtime", "openvino": "OpenVINO", "litert": "LiteRT"}
    for name in _FORMATS.value:
        files[labels[name]] = folder / paths[name]
        runs[labels[name]] = openers[name](files[labels[name]])
    return runs, files


def _saved_model(network: keras.Model, image_size: tuple[int, int], path: Path) -> Run:
    archive = keras.export.ExportArchive()
    images = tf.TensorSpec([None, *image_size, 3], tf.uint8, name="images")
    archive.add_endpoint("serve", lambda images: network(images, training=False), [images])
    archive.write_out(path, verbose=False)
    loaded = tf.saved_model.load(str(path))
    return lambda pictures: loaded.serve(tf.constant(pictures))["scores"].numpy()


def _onnx(path: Path) -> Run:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = onnxruntime.InferenceSession(path, options)
    return lambda pictures: session.run(["scores"], {"images": pictures})[0]


def _openvino(path: Path) -> Run:
    import openvino

    options = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
    model = openvino.Core().compile_model(path / "model.xml", "CPU", options)
    return lambda pictures: model({"images": pictures})["scores"]


def _litert(path: Path) -> Run:
    from ai_edge_litert.interpreter import Interpreter

    runner = Interpreter(str(path), num_threads=_CORES).get_signature_runner()
    return lambda pictures: runner(images=pictures)["scores"]


def _alternate(runs: dict[str, Run], batch: np.ndarray) -> dict[str, list[float]]:
    """Returns milliseconds a picture of each way, one figure a turn."""
    times: dict[str, list[float]] = {way: [] for way in runs}
    for turn in range(_REPEATS.value + 2):
        for way, run in runs.items():
            calls = max(1, 4 // len(batch))
            start = time.perf_counter()
            for _ in range(calls):
                run(batch)
            if turn > 1:  # the first warm up
                times[way].append(1e3 * (time.perf_counter() - start) / calls / len(batch))
    return times


def _size(path: Path) -> int:
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())


def _table(rows: Sequence[dict]) -> str:
    batch_sizes = list(rows[0]["ratios"])
    heads = [f"batch {n}: ms a picture | to SavedModel" for n in batch_sizes]
    head = ["network", "px", "precision", "format", "MiB", "largest difference", *heads]
    lines = [f"| {' | '.join(head)} |", "|" + "---|" * (6 + 2 * len(batch_sizes))]
    for row in rows:
        cells = [row["model"], row["image_size"], row["precision"], row["format"]]
        cells += [f"{row['mebibytes']:.0f}", f"{row['difference']:.0e}"]
        for n in batch_sizes:
            low, middle, high = np.quantile(row["ratios"][n], (0.25, 0.5, 0.75))
            cells.append(f"{np.median(row['milliseconds_a_picture'][n]):.2f}")
            cells.append(f"{middle:.2f} ({low:.2f} to {high:.2f})")
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines)


if __name__ == "__main__":
    app.run(main)
