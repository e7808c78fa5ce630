"""Work on Apache Beam: several processes here, or a cluster (Flink, Spark, Dataflow).

What workers read and write, the source and `data_dir`, has to be at the same path on all of them.
"""

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from tfac.errors import ConfigError, DataError

# Runners that Beam does not know by their short names.
_FULL_NAMES = {"DaskRunner": "apache_beam.runners.dask.dask_runner.DaskRunner"}


@dataclasses.dataclass(frozen=True)
class BeamExecution:
    """Where a Beam pipeline runs.

    Attributes:
        runner: a runner's name, such as "DirectRunner" or "FlinkRunner".
        options: the runner's options as on a command line, such as "--direct_num_workers=2".
    """

    runner: str
    options: tuple[str, ...] = ()

    def pipeline_options(self) -> Any:
        """Returns Beam's `PipelineOptions`.

        Raises:
            ConfigError: Beam or the runner is not installed, or an option is unknown.
        """
        runner = _FULL_NAMES.get(self.runner, self.runner)
        try:
            from apache_beam.options.pipeline_options import PipelineOptions
            from apache_beam.runners.runner import create_runner
        except ImportError as error:
            raise ConfigError("beam_runner needs Apache Beam: pip install 'tfac[beam]'") from error
        try:
            create_runner(runner)  # brings its options
        except (ImportError, ValueError) as error:
            raise ConfigError(
                f"beam_runner: expected a runner that is installed. Received: {self.runner}. "
                f"{error}"
            ) from error
        options = PipelineOptions([f"--runner={runner}", *self.options])
        known = options.get_all_options()
        unknown = options.get_all_options(retain_unknown_options=True).keys() - known.keys()
        if unknown:
            raise ConfigError(
                f"beam_option: expected options of Beam or of {self.runner}. "
                f"Received: {', '.join(f'--{name}' for name in sorted(unknown))}"
            )
        return options

    def for_each(self, work: Callable[..., None], items: Sequence[Any], *arguments: Any) -> None:
        """Calls `work(item, *arguments)` for each item, on the workers.

        Raises:
            DataError: the pipeline failed.
        """
        import apache_beam as beam

        try:
            with beam.Pipeline(options=self.pipeline_options()) as pipeline:
                spread = pipeline | beam.Create(items) | beam.Reshuffle()
                _ = spread | beam.Map(work, *arguments)
        except Exception as error:  # a runner raises what its workers raised
            raise DataError(f"the Beam pipeline failed: {error!r}") from error

    def flat_map(
        self, make: Callable[..., Iterator[Any]], items: Sequence[Any], *arguments: Any
    ) -> Any:
        """Returns a Beam transform that yields what `make(item, *arguments)` does for each item."""
        import apache_beam as beam

        return beam.Create(items) | beam.Reshuffle() | beam.FlatMap(make, *arguments)
