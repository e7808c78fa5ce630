"""One run of tfac-experiment: trains as tfac-train does, and judges what came of it.

In one process, as importing TensorFlow takes as long as many a judgement.
"""

import functools

from absl import flags

from tfac.cli import run_program, train

_SPLIT = flags.DEFINE_string("split", None, "split to judge on", required=True)


def main() -> int:
    """Trains and writes ``result.json``; returns what tfac-train does."""
    status = train.main()
    if status == 0:
        from tfac.experiments.scoring import score_run

        score_run(flags.FLAGS.workdir, flags.FLAGS.data_dir, _SPLIT.value)
    return status


run = functools.partial(run_program, main)

if __name__ == "__main__":
    run()
