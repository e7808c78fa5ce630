"""Time and peak memory against pictures, attributes, groups, picture size and landmarks.

python benchmarks/growth.py [--axes=pictures,attributes,groups,size,landmarks] [--repeats=7]

Each point runs in a process of its own, whose peak memory is what the operating system says in the
end, TensorFlow and all. The points of an axis run in turn, one after the other:

- pictures: an epoch of the training input, and the validation of an eighth as many with the
  baseline (ResNet18) at 32 px; records of drawn faces, read again and again under other names.
  Training keeps the shuffle buffer, and validation up to 1 GiB of decoded pictures.
- attributes, groups, size, landmarks: a training step (AdamW) of ResNet18 networks on noise.
  MGG-Net has a message for every pair of groups (Eq. 2), so G groups cost G^2 in the end.

A point's power says how its cost grew from the point before: 1 is linear, 0 no growth.
"""

import dataclasses
import json
import math
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
from absl import app, flags
from reporting import about

_AXES = flags.DEFINE_list(
    "axes", ["pictures", "attributes", "groups", "size", "landmarks"], "What grows."
)
_REPEATS = flags.DEFINE_integer("repeats", 7, "Steps timed a point, after two.", 1)
_OUTPUT = flags.DEFINE_string("output", None, "Where to write, without suffix; by default nowhere.")
_POINT = flags.DEFINE_string("point", None, "One point as JSON: what each process is started with.")

_DRAWN = 2000  # different faces
_RECORDS_SIZE = 32  # pixels

# Axis to networks and values; what does not grow stays at these.
_POINTS = {
    "pictures": (("input", "validation of 1/8"), (10_000, 50_000, 200_000)),
    "attributes": (("dmm_cnn", "mgg_net"), (40, 120, 400)),
    "groups": (("mgg_net",), (8, 24, 64)),
    "size": (("dmm_cnn", "mgg_net"), (64, 128, 256, 512)),
    "landmarks": (("dmm_cnn",), (5, 72, 500)),
}
_FIXED = {"attributes": 40, "groups": 8, "size": 64, "landmarks": 72}
_BATCH_SIZES = {"size": 4}  # else 32


def main(argv: Sequence[str]) -> None:
    """Measures, prints and writes."""
    if len(argv) > 1:
        raise app.UsageError(f"expected flags only. Received: {' '.join(argv[1:])}")
    if _POINT.value:
        print(json.dumps(_measure(json.loads(_POINT.value))))
        return
    with tempfile.TemporaryDirectory() as folder:
        data = str(_draw(folder)) if "pictures" in _AXES.value else None
        rows = []
        for axis in _AXES.value:
            ways, values = _POINTS[axis]
            for value in values:
                for way in ways:
                    point = {"axis": axis, "value": value, "way": way, "data": data}
                    rows.append(_in_own_process(point))
            print(_table([row for row in rows if row["axis"] == axis]), flush=True)
    described = about(["tensorflow", "keras"])
    print(" · ".join(f"{name} {value}" for name, value in described.items()))
    if _OUTPUT.value:
        Path(f"{_OUTPUT.value}.json").write_text(json.dumps({**described, "rows": rows}, indent=1))
        Path(f"{_OUTPUT.value}.md").write_text(_table(rows) + "\n")
        _plot(rows, f"{_OUTPUT.value}.png")


def _draw(folder: str) -> Path:
    from tfac.data.preparing.workers import Processes
    from tfac.data.synthetic.faces import SyntheticFacesConfig, prepare_synthetic_faces

    config = SyntheticFacesConfig(
        image_size=_RECORDS_SIZE, train_count=_DRAWN, validation_count=1, test_count=1
    )
    return prepare_synthetic_faces(config, Path(folder) / "data", Processes())[0]


def _in_own_process(point: dict) -> dict:
    command = [sys.executable, __file__, f"--repeats={_REPEATS.value}"]
    command.append(f"--point={json.dumps(point)}")
    result = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    measured = json.loads(result.stdout.splitlines()[-1])
    del point["data"]
    return {**point, **measured}


def _measure(point: dict) -> dict:
    ways = {"input": _time_input, "validation of 1/8": _time_validation}
    seconds = ways.get(point["way"], _time_steps)(point)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"seconds": seconds, "peak_mebibytes": peak}


def _time_input(point: dict) -> list[float]:
    from tfac.data.records.pipeline import train_dataset
    from tfac.training.config import TrainConfig

    batch_size = TrainConfig.batch_size
    with tempfile.TemporaryDirectory() as folder:
        dataset = train_dataset(
            _repeated_records(point["data"], point["value"], folder),
            "train",
            image_size=(_RECORDS_SIZE, _RECORDS_SIZE),
            batch_size=batch_size,
            seed=0,
            flip=True,
            shuffle_buffer=TrainConfig.shuffle_buffer,
        )
        start = time.perf_counter()
        for _ in dataset.take(point["value"] // batch_size):
            pass
        return [time.perf_counter() - start]


def _time_validation(point: dict) -> list[float]:

    from tfac.inference.predict_step import create_predict_step
    from tfac.losses import get_attribute_loss
    from tfac.training.config import TrainConfig
    from tfac.training.run import _validation_dataset
    from tfac.training.validation import validate

    predict_step = create_predict_step(_create_model("baseline", _FIXED))
    config = TrainConfig(model="baseline", image_size=_RECORDS_SIZE, validation_split="train")
    with tempfile.TemporaryDirectory() as folder:
        info = _repeated_records(point["data"], point["value"] // 8, folder)
        batches = _validation_dataset(config, info)
        start = time.perf_counter()
        validate(predict_step, batches, get_attribute_loss("binary_crossentropy"))
        return [time.perf_counter() - start]


def _repeated_records(data: str, count: int, folder: str):
    """The records of a split, its files linked under new names until there are `count` or more."""
    from tfac.data.records.info import read_info

    info = read_info(data)
    shards = {}
    while sum(shards.values()) < count:
        for path, length in info.shard_lengths["train"].items():
            link = Path(folder) / f"{len(shards):05d}"
            link.symlink_to(path)
            shards[link] = length
    turns = len(shards) // len(info.shard_lengths["train"])
    return dataclasses.replace(
        info,
        splits={"train": sum(shards.values())},
        shard_lengths={"train": shards},
        num_bytes={"train": turns * info.num_bytes["train"]},
    )


def _time_steps(point: dict) -> list[float]:
    import keras
    import tensorflow as tf

    from tfac.losses import get_attribute_loss
    from tfac.speed import accelerate
    from tfac.training.checkpoints import create_state
    from tfac.training.config import TrainConfig
    from tfac.training.schedules import create_optimizer, create_plateau
    from tfac.training.step import create_train_step
    from tfac.training.weighting import UniformWeighting

    keras.utils.set_random_seed(0)
    numbers = {**_FIXED, point["axis"]: point["value"]}
    if point["axis"] == "groups":  # every group holds an attribute
        numbers["attributes"] = max(_POINTS["groups"][1])
    model = _create_model(point["way"], numbers)
    config = TrainConfig(batch_size=_BATCH_SIZES.get(point["axis"], 32))
    optimizer = create_optimizer(config, 100, 1)
    accelerate(model, optimizer)
    state = create_state(
        model,
        optimizer,
        UniformWeighting(numbers["attributes"]),
        create_plateau(config, optimizer),
        numbers["attributes"],
    )
    train_step = create_train_step(
        state,
        attribute_loss=get_attribute_loss(config.attribute_loss),
        beta=config.beta,
        batch_size=config.batch_size,
        strategy=tf.distribute.get_strategy(),
    )
    batch = _noise_batch(numbers, config.batch_size)
    seconds = []
    for _ in range(_REPEATS.value + 2):
        start = time.perf_counter()
        train_step(batch)["total"].numpy()
        seconds.append(time.perf_counter() - start)
    return seconds[2:]  # the first trace and warm up


def _create_model(name: str, numbers: dict):
    from tfac.models import create_model

    attributes = [f"attribute_{i}" for i in range(numbers["attributes"])]
    groups = numbers["groups"]
    parts = {f"part_{i}": attributes[i::groups] for i in range(groups)}
    arguments = {
        "baseline": {},
        "dmm_cnn": {
            "subjective_attributes": attributes[::2],
            "num_landmarks": numbers["landmarks"],
            "branch_normalization": True,
            "branch_shortcut": True,
        },
        "mgg_net": {"part_groups": parts},
    }
    return create_model(name, backbone="resnet18", attributes=attributes, **arguments[name])


def _noise_batch(numbers: dict, batch_size: int) -> dict:
    import tensorflow as tf

    rng = np.random.default_rng(0)
    shape = (batch_size, numbers["size"], numbers["size"], 3)
    labels = rng.integers(0, 2, (batch_size, numbers["attributes"])).astype(np.float32)
    batch = {
        "images": rng.integers(0, 256, shape, np.uint8),
        "labels": labels,
        "label_mask": np.ones_like(labels),
        "landmarks": rng.uniform(size=(batch_size, numbers["landmarks"], 2)).astype(np.float32),
        "landmarks_valid": np.ones(batch_size, np.float32),
    }
    return {name: tf.constant(value) for name, value in batch.items()}


def _powers(rows: Sequence[dict], cost) -> list[float | None]:
    """How the cost grew from each row's point to the next of its way; None for the first."""
    powers = []
    for row in rows:
        same = [r for r in rows if (r["axis"], r["way"]) == (row["axis"], row["way"])]
        before = [r for r in same if r["value"] < row["value"]][-1:]
        powers += [
            math.log(cost(row) / cost(b)) / math.log(_work(row) / _work(b)) for b in before
        ] or [None]
    return powers


def _work(row: dict) -> float:
    """What should be linear: pixels, where the picture's side grows."""
    return row["value"] ** 2 if row["axis"] == "size" else row["value"]


def _seconds(row: dict) -> float:
    return float(np.median(row["seconds"]))


def _table(rows: Sequence[dict]) -> str:
    lines = [
        "| grows | of | to | seconds (range) | power | peak MiB | power |",
        "|---|---|---|---|---|---|---|",
    ]
    times, memories = _powers(rows, _seconds), _powers(rows, lambda row: row["peak_mebibytes"])
    for row, time_power, memory_power in zip(rows, times, memories, strict=True):
        low, high = min(row["seconds"]), max(row["seconds"])
        cells = [row["axis"], row["way"], f"{row['value']:,}"]
        cells.append(f"{_seconds(row):.3g}" + (f" ({low:.3g} to {high:.3g})" if low < high else ""))
        cells.append("" if time_power is None else f"{time_power:.2f}")
        cells.append(f"{row['peak_mebibytes']:,.0f}")
        cells.append("" if memory_power is None else f"{memory_power:.2f}")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _plot(rows: Sequence[dict], path: str) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    axes = list(dict.fromkeys(row["axis"] for row in rows))
    figure, plots = plt.subplots(
        2, len(axes), figsize=(3.2 * len(axes), 6), squeeze=False, layout="constrained"
    )
    for column, axis in zip(plots.T, axes, strict=True):
        for way in _POINTS[axis][0]:
            points = [row for row in rows if (row["axis"], row["way"]) == (axis, way)]
            work = [_work(row) for row in points]
            column[0].plot(work, [_seconds(row) for row in points], "o-", label=way)
            column[1].plot(work, [row["peak_mebibytes"] for row in points], "o-", label=way)
        column[1].set_xlabel("pixels" if axis == "size" else axis)
        column[0].legend()
        for plot in column:
            plot.set_ylim(0, 1.1 * plot.get_ylim()[1])
            plot.set_xlim(0)
            plot.locator_params(axis="x", nbins=4)
    plots[0][0].set_ylabel("seconds")
    plots[1][0].set_ylabel("peak memory of the process, MiB")
    figure.savefig(path, dpi=100)


if __name__ == "__main__":
    app.run(main)
