"""Work on Apache Beam: several processes here, or a cluster (Flink, Spark, Dataflow).

What workers read and write, the source and `data_dir`, has to be at the same path on all of them.
"""

import dataclasses
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from tfac.data.preparing.workers import Workers
from tfac.errors import ConfigError, DataError

# Runners that Beam does not know by their short names.
_FULL_NAMES = {"DaskRunner": "apache_beam.runners.dask.dask_runner.DaskRunner"}

_LOOK_EVERY = 1.0  # seconds


@dataclasses.dataclass(frozen=True)
class BeamWorkers(Workers):
    """The workers of a Beam runner.

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

    def for_each(
        self,
        work: Callable[..., None],
        items: Sequence[Any],
        *arguments: Any,
        is_done: Callable[[Any], bool],
    ) -> Iterator[int]:
        """As `Workers.for_each`; what is done is looked for every second.

        Raises:
            DataError: the pipeline failed.
        """
        if not items:
            return
        outcome: list[Exception | None] = []
        # A daemon: whoever waits here can be interrupted.
        pipeline = threading.Thread(
            target=lambda: outcome.append(self._run(work, items, arguments)), daemon=True
        )
        pipeline.start()
        waiting = dict(enumerate(items))
        while pipeline.is_alive():
            pipeline.join(_LOOK_EVERY)
            for number in [number for number, item in waiting.items() if is_done(item)]:
                del waiting[number]
                yield number
        if outcome[0]:
            raise DataError(f"the Beam pipeline failed: {outcome[0]!r}") from outcome[0]
        yield from waiting

    def _run(
        self, work: Callable[..., None], items: Sequence[Any], arguments: Sequence[Any]
    ) -> Exception | None:
        """Runs the pipeline; returns what a runner raises, which is what its workers raised."""
        import apache_beam as beam

        try:
            with beam.Pipeline(options=self.pipeline_options()) as pipeline:
                spread = pipeline | beam.Create(items) | beam.Reshuffle()
                _ = spread | beam.Map(work, *arguments)
        except Exception as error:
            return error
        return None
