"""The workers that components spread their work over."""

from collections.abc import Sequence

from tfac.data.preparing.beam import BeamWorkers


def create_workers(beam_runner: str, beam_options: Sequence[str] | None) -> BeamWorkers:
    """Returns the workers of a Beam runner.

    Args:
        beam_runner: a runner's name, such as "DirectRunner" or "FlinkRunner".
        beam_options: its options as on a command line, such as "--direct_num_workers=2".

    Raises:
        ConfigError: Beam or the runner is not installed, or an option is unknown.
    """
    workers = BeamWorkers(beam_runner, tuple(beam_options or ()))
    workers.pipeline_options()  # told before work begins
    return workers
