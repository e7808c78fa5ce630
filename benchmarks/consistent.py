"""What answers that break no label rule cost beside the network that they are of.

    python benchmarks/consistent.py --workdir=runs/NAME

For one picture and for 32: milliseconds of the decision, by thresholds alone and consistent, in
turn, and of the network in its export's signature for pixels. All are compiled functions.
"""

import dataclasses
import time
from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf
from absl import app, flags
from reporting import about, spread

from tfac.inference.signatures import create_signatures
from tfac.speed import accelerate
from tfac.training.workdir import load_trained_network

_WORKDIR = flags.DEFINE_string("workdir", None, "Folder of a finished run.", required=True)
_ROUNDS = flags.DEFINE_integer("rounds", 15, "Rounds.", 1)


def main(argv: Sequence[str]) -> None:
    """Measures and prints."""
    del argv
    network = load_trained_network(_WORKDIR.value)
    accelerate(network.model)
    height, width = network.image_size
    scores_spec = tf.TensorSpec([None, len(network.attributes)])
    decide = {
        consistent: tf.function(
            dataclasses.replace(network, consistent=consistent).answers,
            input_signature=[scores_spec],
        )
        for consistent in (False, True)
    }
    signature = create_signatures(network, "{}")["images"]
    answer = tf.function(signature.answer, [signature.input], autograph=False)
    print("| pictures | thresholds, ms | consistent, ms | network, ms | share of the network |")
    print("|---|---|---|---|---|")
    for batch in (1, 32):
        scores = tf.random.normal((batch, len(network.attributes)))
        pixels = tf.cast(tf.random.uniform((batch, height, width, 3), 0, 255), tf.uint8)
        calls = [
            (decide[False], scores, 100),
            (decide[True], scores, 100),
            (answer, pixels, 3),
        ]
        rounds = np.array([[_time(*call) for call in calls] for _ in range(_ROUNDS.value + 1)])[1:]
        cells = [spread(1000 * seconds, 3) for seconds in rounds.T]
        shares = 100 * (rounds[:, 1] - rounds[:, 0]) / rounds[:, 2]
        print(f"| {batch} | {' | '.join(cells)} | {spread(shares)} % |", flush=True)
    print(about(("tensorflow", "keras", "tfac")))


def _time(function: Callable[[tf.Tensor], object], argument: tf.Tensor, times: int) -> float:
    """Returns the seconds of a call."""
    start = time.perf_counter()
    for _ in range(times):
        function(argument)
    return (time.perf_counter() - start) / times


if __name__ == "__main__":
    app.run(main)
