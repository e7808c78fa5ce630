"""One worker of a multi-worker run, or the same run on its own; see test_multi_worker.py.

Takes one argument, JSON: data, workdir, output, plain (no batch norm, no dropout), options (of
`TrainConfig`), and perhaps signal and step: what the process does to itself after which step.
"""

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import numpy as np
from conftest import SignalAt, TinyNetwork
from keras import ops

from tfac.training import run
from tfac.training.config import TrainConfig


class Plain(TinyNetwork):
    """A network that treats each picture alone."""

    def call(self, images, training=False):
        """Returns what inference does."""
        return super().call(images, training=False)


def main(task):
    """Trains, and writes the losses, weights and thresholds."""

    def create_network(config, attributes, scheme, groups, backbone_weights=None):
        network = Plain if task["plain"] else TinyNetwork
        model = network(len(attributes), scheme.num_landmarks)
        model(ops.zeros((1, 4, 4, 3)))
        return model

    losses = []
    create_step = run.create_train_step

    def create_train_step(*arguments, **options):
        step = create_step(*arguments, **options)

        def train_step(batch):
            losses.append(step(batch))
            return losses[-1]

        return train_step

    run.create_network, run.create_train_step = create_network, create_train_step
    callbacks = [SignalAt(step=task["step"], number=task["signal"])] if "signal" in task else []
    state = run.run_training(
        TrainConfig(**task["options"]), task["data"], task["workdir"], callbacks, False
    )
    learnt = [*state.weighting.variables, *state.weighting.learnt_variables]
    weights = {f"w{i}": w for i, w in enumerate([*state.model.weights, *learnt])}
    values = {**weights, "thresholds": state.thresholds}
    values["losses"] = np.array([float(loss["total"]) for loss in losses])
    np.savez(task["output"], **{k: ops.convert_to_numpy(v) for k, v in values.items()})


if __name__ == "__main__":
    from tfac.errors import TfacError
    from tfac.training.interruption import Interrupted

    try:
        main(json.loads(sys.argv[1]))
    except (TfacError, Interrupted) as error:
        sys.exit(f"{type(error).__name__}: {error}")
