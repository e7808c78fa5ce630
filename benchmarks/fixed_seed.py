"""The same training at a fixed seed before and after a change: is it bit-identical?

On the old commit, and then on the new one, on the same machine:

python benchmarks/fixed_seed.py --output=before.json
python benchmarks/fixed_seed.py --against=before.json [--output=after.json]

`run_training` itself on drawn faces: input, steps, and the validations of Algorithm 1 before, in
the middle and at the end, from which the thresholds and the attribute weights come. Written are the
total loss of every step and the mean loss of every validation, thresholds and attribute weights at
the end, and SHA-256 digests of these and of all of the network's weights.

With --against, each network is bit-identical to the file's, or it is said from which step on the
losses differ, and by how much they, the thresholds and the attribute weights differ at most.
Compare a commit with itself first: on a loaded machine TensorFlow may add up gradients in another
order, so what differs there is no change of the code.
"""

import hashlib
import json
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from unittest import mock

import keras
import numpy as np
from absl import app, flags
from reporting import about
from training_parts import drawn_faces

from tfac.training.config import TrainConfig
from tfac.training.monitor import Monitor
from tfac.training.run import run_training

_NETWORKS = flags.DEFINE_list(
    "networks",
    ["mgg_net:resnet18:float32", "mgg_net:resnet18:mixed_bfloat16", "dmm_cnn:resnet18:float32"],
    "Networks, each model:backbone:precision.",
)
_IMAGE_SIZE = flags.DEFINE_integer("image_size", 64, "Side of the pictures, pixels.", 16)
_BATCH_SIZE = flags.DEFINE_integer("batch_size", 32, "Pictures a step.", 1)
_STEPS = flags.DEFINE_integer("steps", 20, "Training steps.", 2)
_VALIDATED = flags.DEFINE_integer("validated", 256, "Pictures a validation.", 4)
_SEED = flags.DEFINE_integer("seed", 0, "Seed of the weights and of the input.", 0)
_OUTPUT = flags.DEFINE_string("output", None, "JSON file to write; by default none.")
_AGAINST = flags.DEFINE_string("against", None, "JSON file of an earlier --output to compare with.")


def main(argv: Sequence[str]) -> None:
    """Trains, compares and writes."""
    if len(argv) > 1:
        raise app.UsageError(f"expected flags only. Received: {' '.join(argv[1:])}")
    settings = {**about(["tensorflow", "keras", "keras-hub", "numpy"]), **_settings()}
    before = json.loads(Path(_AGAINST.value).read_text()) if _AGAINST.value else None
    if before:
        for name in settings.keys() | before["settings"].keys():
            if settings.get(name) != before["settings"].get(name):
                print(f"{name}: {before['settings'].get(name)}, now {settings.get(name)}")
    networks = {}
    with drawn_faces(_STEPS.value * _BATCH_SIZE.value, _VALIDATED.value) as data_dir:
        for network in _NETWORKS.value:
            networks[network] = trained = _train(_config(network), data_dir)
            told = f"loss {trained['losses'][0]:.4f} to {trained['losses'][-1]:.4f}"
            if before:
                told += f"; {_compare(before['networks'].get(network), trained)}"
            print(f"{network}: {told}", flush=True)
    if _OUTPUT.value:
        content = {"settings": settings, "networks": networks}
        Path(_OUTPUT.value).write_text(json.dumps(content, indent=1))


def _settings() -> dict[str, int]:
    numbers = (_IMAGE_SIZE, _BATCH_SIZE, _STEPS, _VALIDATED, _SEED)
    return {flag.name: flag.value for flag in numbers}


def _config(network: str) -> TrainConfig:
    model, backbone, precision = network.split(":")
    return TrainConfig(
        model=model,
        backbone=backbone,
        precision=precision,
        image_size=(_IMAGE_SIZE.value, _IMAGE_SIZE.value),
        batch_size=_BATCH_SIZE.value,
        epochs=1,
        updates_per_epoch=2,
        seed=_SEED.value,
    )


def _train(config: TrainConfig, data_dir: Path) -> dict:
    """Returns what a run came to, as JSON takes it."""
    totals, validations = [], _Validations()
    record_step = Monitor.record_step

    def record(monitor, step, losses):  # callbacks are not given a step's losses
        totals.append(losses["total"])
        record_step(monitor, step, losses)

    with mock.patch.object(Monitor, "record_step", record), tempfile.TemporaryDirectory() as folder:
        state = run_training(config, data_dir, folder, [validations], show_progress=False)
    result = {
        "thresholds": state.thresholds.numpy(),
        "attribute_weights": state.weighting.attribute_weights.numpy(),
        "weights": state.model.get_weights(),
    }
    digests = {name: _digest(arrays) for name, arrays in result.items()}
    keras.backend.clear_session()
    return {
        "losses": [float(total) for total in totals],
        "validation_losses": validations.losses,
        "thresholds": result["thresholds"].tolist(),
        "attribute_weights": result["attribute_weights"].tolist(),
        "sha256": digests,
    }


class _Validations(keras.callbacks.Callback):
    """Keeps the mean loss of every validation."""

    def __init__(self):
        super().__init__()
        self.losses = []

    def on_test_end(self, logs: dict[str, float] | None = None) -> None:
        """Keeps it."""
        self.losses.append(logs["val_loss"])


def _digest(arrays: Iterable[np.ndarray]) -> str:
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def _compare(before: dict | None, after: dict) -> str:
    if before is None:
        return "not in the other file"
    if before == after:
        return "bit-identical"
    parts = []
    for name in ("losses", "validation_losses"):
        if len(before[name]) != len(after[name]):
            return f"{len(before[name])} {name}, now {len(after[name])}"
        parts.append(f"{name.replace('_', ' ')} {_difference(before[name], after[name])}")
    for name in ("thresholds", "attribute_weights"):
        largest = np.abs(np.subtract(after[name], before[name])).max()
        parts.append(f"{name.replace('_', ' ')} differ by up to {largest:.1e}")
    return "; ".join([*parts, f"digests that differ: {_differing(before, after)}"])


def _difference(before: Sequence[float], after: Sequence[float]) -> str:
    """Says where two series first differ, and where most, counted from 1."""
    relative = np.abs(np.divide(after, before) - 1)
    if not relative.any():
        return "are the same"
    first, worst = np.flatnonzero(relative)[0] + 1, relative.argmax() + 1
    return f"differ from number {first} on, most by {relative.max():.1e} at number {worst}"


def _differing(before: dict, after: dict) -> str:
    names = [name for name, digest in after["sha256"].items() if digest != before["sha256"][name]]
    return ", ".join(names) or "none"


if __name__ == "__main__":
    app.run(main)
