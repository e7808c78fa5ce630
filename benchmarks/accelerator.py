"""Training steps on a GPU: the networks on Keras with JAX, beside PyTorch, and their roofline.

python benchmarks/accelerator.py [--batch_sizes=64,256] [--image_size=224] [--output=PATH]

Needs JAX, Keras and KerasHub, not TensorFlow; PyTorch is measured where it is installed. It runs on
the first device that JAX has, a CPU too, and says which.

- Keras: one jitted step, bfloat16 with float32 weights: forward, the losses of `tfac.losses`,
  gradients, AdamW.
- PyTorch: the same networks from `torch_networks.py` with `torch.compile`, autocast to bfloat16,
  channels-last and the fused AdamW.
- The limits: the device's rate in products of bfloat16 matrices and in copying memory, measured
  here. What a step computes and moves is what XLA counts in the compiled program. (Arrays that stay
  in a cache between two operations count as moved: on a CPU a step can beat its bound.)

Each turn runs every way once; PyTorch / Keras is of the same turn. Writes Markdown, JSON and a
roofline plot with --output.
"""

import json
import os
import platform
import time
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path

os.environ["KERAS_BACKEND"] = "jax"
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # PyTorch needs memory too

import jax
import keras
import numpy as np
from absl import app, flags
from jax import numpy as jnp
from matplotlib.figure import Figure
from reporting import spread

from tfac.attributes import ATTRIBUTES
from tfac.losses import get_attribute_loss, landmark_squared_error
from tfac.models import create_model

try:
    import torch
    from torch_networks import create_calls
except ImportError:
    torch = None

_NETWORKS = flags.DEFINE_list(
    "networks",
    ["baseline:resnet18", "mgg_net:resnet18", "baseline:resnet50", "dmm_cnn:resnet50"],
    "NETWORK:BACKBONE each.",
)
_IMAGE_SIZE = flags.DEFINE_integer("image_size", 224, "Side of the pictures, pixels.", 16)
_BATCH_SIZES = flags.DEFINE_list("batch_sizes", ["64", "256", "512"], "Pictures a step.")
_REPEATS = flags.DEFINE_integer("repeats", 5, "Turns.", 1)
_CALLS = flags.DEFINE_integer("calls", 10, "Steps in a turn.", 1)
_MATRIX_SIDE = flags.DEFINE_integer("matrix_side", 8192, "Of the products that set the limit.", 64)
_OUTPUT = flags.DEFINE_string("output", None, "Where to write, without suffix; by default nowhere.")

# Defaults of tfac-train: the weight of the landmark loss, and what differs from a model's own.
_BETA = 0.5
_ARGUMENTS = {"dmm_cnn": {"branch_normalization": True, "branch_shortcut": True}}


def main(argv: Sequence[str]) -> None:
    """Measures, prints and writes."""
    if len(argv) > 1:
        raise app.UsageError(f"expected flags only. Received: {' '.join(argv[1:])}")
    about = _about()
    print(" · ".join(f"{name} {value}" for name, value in about.items()), flush=True)
    rows = []
    for pair in _NETWORKS.value:
        network, backbone = pair.split(":")
        for batch_size in map(int, _BATCH_SIZES.value):
            rows.append(_measure(network, backbone, batch_size))
            print(_table(rows[-1:], about), flush=True)
    if _OUTPUT.value:
        Path(f"{_OUTPUT.value}.json").write_text(json.dumps({**about, "rows": rows}, indent=1))
        Path(f"{_OUTPUT.value}.md").write_text(_table(rows, about) + "\n")
        _plot(rows, about).savefig(f"{_OUTPUT.value}.png", dpi=150)


def _about() -> dict:
    """Returns the device, what it can do at most, and the versions."""
    side = _MATRIX_SIDE.value
    matrix = jnp.ones((side, side), jnp.bfloat16)
    product = jax.jit(lambda a: a @ a)
    vector = jnp.ones((8 * side, side), jnp.float32)
    copy = jax.jit(lambda a: a + 1)
    device = jax.devices()[0]
    return {
        "device": f"{device.platform}: {device.device_kind}",
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "matrix_teraflops": 2e-12 * side**3 / _best_seconds(lambda: product(matrix)),
        "gigabytes_a_second": 2e-9 * vector.nbytes / _best_seconds(lambda: copy(vector)),
        **{name: version(name) for name in ("jax", "keras", "keras-hub")},
        "torch": torch and torch.__version__,
    }


def _best_seconds(call: Callable[[], jax.Array]) -> float:
    seconds = []
    for _ in range(6):
        start = time.perf_counter()
        call().block_until_ready()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def _measure(network: str, backbone: str, batch_size: int) -> dict:
    batch = _create_batch(batch_size)
    step, costs = _keras_step(network, backbone, batch)
    ways = {"Keras": step}
    on_gpu = bool(torch) and torch.cuda.is_available() and jax.default_backend() == "gpu"
    if on_gpu:
        torch.backends.cudnn.benchmark = True  # measures cuDNN's ways and takes the fastest
        torch.cuda.reset_peak_memory_stats()
    if torch:
        device = "cuda" if on_gpu else "cpu"
        calls = create_calls(network, backbone, batch, half=True, compiled=True, device=device)
        ways["PyTorch"] = lambda: float(calls["training"]())
    times: dict[str, list[float]] = {way: [] for way in ways}
    for turn in range(_REPEATS.value + 1):
        for way, run in ways.items():
            start = time.perf_counter()
            for _ in range(_CALLS.value):
                run()
            if turn:  # the first compiles
                times[way].append(1e3 * (time.perf_counter() - start) / _CALLS.value)
    return {
        "network": network,
        "backbone": backbone,
        "image_size": _IMAGE_SIZE.value,
        "batch_size": batch_size,
        "milliseconds": times,
        "torch_memory_gibibytes": torch.cuda.max_memory_allocated() / 2**30 if on_gpu else None,
        **costs,
    }


def _create_batch(batch_size: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    size, count = _IMAGE_SIZE.value, len(ATTRIBUTES)
    return {
        "images": rng.integers(0, 256, (batch_size, size, size, 3), np.uint8),
        "labels": rng.integers(0, 2, (batch_size, count)).astype(np.float32),
        "label_mask": np.ones((batch_size, count), np.float32),
        "landmarks": rng.uniform(size=(batch_size, 72, 2)).astype(np.float32),
        "landmarks_valid": np.ones(batch_size, np.float32),
    }


def _keras_step(network: str, backbone: str, batch: dict) -> tuple[Callable[[], float], dict]:
    """Returns a call that does a step and waits for its loss, and what XLA counts in it."""
    keras.utils.set_random_seed(0)
    arguments = _ARGUMENTS.get(network, {})
    model = create_model(network, backbone=backbone, dtype="mixed_bfloat16", **arguments)
    optimizer = keras.optimizers.AdamW(1e-3, weight_decay=0.05)
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    optimizer.build(model.trainable_variables)
    attribute_loss = get_attribute_loss("binary_crossentropy")

    def loss_of(trainable, others, batch):
        outputs, others = model.stateless_call(trainable, others, batch["images"], training=True)
        return _loss(outputs, batch, attribute_loss), others

    def step(state, batch):
        trainable, others, slots = state
        (loss, others), gradients = jax.value_and_grad(loss_of, has_aux=True)(
            trainable, others, batch
        )
        trainable, slots = optimizer.stateless_apply(slots, gradients, trainable)
        return loss, (trainable, others, slots)

    groups = (model.trainable_variables, model.non_trainable_variables, optimizer.variables)
    state = tuple([jnp.array(variable.value) for variable in group] for group in groups)
    batch = jax.device_put(batch)
    compiled = jax.jit(step, donate_argnums=0).lower(state, batch).compile()
    holder = [state]

    def run() -> float:
        loss, holder[0] = compiled(holder[0], batch)
        return float(loss)

    return run, _costs(compiled)


def _loss(outputs: dict, batch: dict, attribute_loss) -> jax.Array:
    """The loss of `tfac.training.step.joint_loss`, which needs TensorFlow."""
    total = 0.0
    for name, scores in outputs.items():
        if name == "scores" or name.endswith("_scores"):
            losses = attribute_loss.per_element(batch["labels"], scores) * batch["label_mask"]
            total += losses.sum()
    if "landmarks" in outputs:
        per_picture = landmark_squared_error(batch["landmarks"], outputs["landmarks"])  # [B]
        total += _BETA * (per_picture * batch["landmarks_valid"]).sum()
    return total / len(batch["labels"])


def _costs(compiled) -> dict[str, float]:
    analysis = compiled.cost_analysis()
    analysis = analysis[0] if isinstance(analysis, list) else analysis
    memory = compiled.memory_analysis()
    held = memory.argument_size_in_bytes + memory.temp_size_in_bytes
    return {
        "teraflops": analysis["flops"] / 1e12,
        "gigabytes": analysis["bytes accessed"] / 1e9,
        "memory_gibibytes": held / 2**30,
    }


def _bounds(row: dict, about: dict) -> tuple[float, float]:
    """Returns the milliseconds that the matrix rate and the memory bandwidth allow at best."""
    arithmetic = row["teraflops"] / about["matrix_teraflops"]
    return 1e3 * arithmetic, 1e3 * row["gigabytes"] / about["gigabytes_a_second"]


def _table(rows: Sequence[dict], about: dict) -> str:
    heads = ["network", "backbone", "batch", "step, ms", "images/s", "of the matrix peak"]
    heads += ["of the bandwidth", "bound by", "GiB", "PyTorch, ms", "GiB", "PyTorch / Keras"]
    lines = [f"| {' | '.join(heads)} |", "|" + "---|" * len(heads)]
    for row in rows:
        times = row["milliseconds"]
        middle = float(np.median(times["Keras"]))
        arithmetic, bandwidth = _bounds(row, about)
        cells = [row["network"], row["backbone"], row["batch_size"], spread(times["Keras"], 1)]
        cells += [f"{1e3 * row['batch_size'] / middle:,.0f}"]
        cells += [f"{arithmetic / middle:.2f}", f"{bandwidth / middle:.2f}"]
        cells += ["arithmetic" if arithmetic > bandwidth else "memory"]
        cells += [f"{row['memory_gibibytes']:.1f}"]
        if "PyTorch" in times:
            memory = row["torch_memory_gibibytes"]
            cells += [spread(times["PyTorch"], 1), f"{memory:.1f}" if memory else ""]
            cells += [spread(np.divide(times["PyTorch"], times["Keras"]), 2)]
        else:
            cells += ["", "", ""]
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines)


def _plot(rows: Sequence[dict], about: dict) -> Figure:
    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.subplots()
    peak, bandwidth = about["matrix_teraflops"], about["gigabytes_a_second"] / 1e3
    intensities = [1e3 * row["teraflops"] / row["gigabytes"] for row in rows]
    ridge = peak / bandwidth
    lowest, highest = min([ridge, *intensities]) / 2, max([ridge, *intensities]) * 2
    limits = np.geomspace(lowest, highest, 200)
    axes.plot(limits, np.minimum(peak, bandwidth * limits), color="black")
    for row, intensity in zip(rows, intensities, strict=True):
        rate = 1e3 * row["teraflops"] / np.median(row["milliseconds"]["Keras"])
        label = f"{row['network']}, {row['backbone']}, batch {row['batch_size']}"
        axes.scatter(intensity, rate, label=label)
    axes.set(
        xscale="log",
        yscale="log",
        xlabel="operations a byte moved",
        ylabel="tera-operations a second",
        title=f"Training steps at {rows[0]['image_size']} px on {about['device']}",
    )
    axes.legend(fontsize="small")
    return figure


if __name__ == "__main__":
    app.run(main)
