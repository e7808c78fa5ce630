"""Runs the pipeline: from pictures to a model that is evaluated, blessed and pushed.

``python -m pipelines.run --config=synthetic`` runs it on synthetic faces. On your own pictures::

    python -m pipelines.run --set=name=mine --set=ExampleGen.dataset=folder
      --set=ExampleGen.source_dir=photos --set=ExampleGen.options.labels=labels.csv

or with a file that says the same, --config=mine.json; see `pipelines.configs`. What has been done
before with the same data, code and parameters is not done again.
"""

import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from absl import flags

from pipelines.configs import PipelineConfig, read_config
from pipelines.engine.artifacts import PushedModel
from tfac.cli import import_tensorflow_quietly, run_program
from tfac.errors import ConfigError
from tfac.training.interruption import Interrupted

if TYPE_CHECKING:
    from pipelines.engine.store import MetadataStore
    from pipelines.runners.local import RunResult

FLAGS = flags.FLAGS

flags.DEFINE_string("config", None, "A JSON file, or the name of a built-in one: synthetic.")
flags.DEFINE_multi_string(
    "set",
    [],
    "A value to change, NAME=VALUE or COMPONENT.NAME=VALUE, such as --set=Evaluator.max_gap=5; may "
    "be given several times.",
)
flags.DEFINE_enum(
    "runner",
    "local",
    ("local", "kubeflow"),
    "local runs it here; kubeflow writes the definition that Kubeflow Pipelines and Vertex take.",
)
flags.DEFINE_boolean("isolate", False, "local: run each component in a process of its own.")
flags.DEFINE_string("output", None, "kubeflow: the definition's file, .yaml.")
flags.DEFINE_string(
    "kubeflow_options",
    None,
    "kubeflow: a JSON file with image, resources, volumes and earlier, see KubeflowOptions in "
    "pipelines.runners.kubeflow.",
)


def main(argv: Sequence[str]) -> None:
    """Runs the pipeline that the flags describe, or compiles it."""
    if len(argv) > 1:
        raise ConfigError(f"expected flags alone. Received: {' '.join(argv[1:])}")
    config = read_config(FLAGS.config, FLAGS.set)
    if FLAGS.runner == "local":
        run_locally(config, isolate=FLAGS.isolate)
    else:
        options = FLAGS.kubeflow_options and Path(FLAGS.kubeflow_options)
        compile_for_kubeflow(config, Path(FLAGS.output or f"{config.name}.yaml"), options)


def run_locally(config: PipelineConfig, *, isolate: bool = False) -> None:
    """Runs a pipeline on this machine and says what came of it.

    Args:
        config: what it is to do.
        isolate: run each component in a process of its own.
    """
    from pipelines.engine.store import CACHED, MetadataStore
    from pipelines.page.page import write_page
    from pipelines.pipeline import create_pipeline
    from pipelines.runners.local import LocalRunner

    started = time.monotonic()
    root = Path(config.root)
    pages = []

    def report(line: str) -> None:
        print(f"{time.strftime('%H:%M:%S')} {line}", flush=True)

    pipeline = create_pipeline(config)
    signal.signal(signal.SIGTERM, _exit)  # so that components can clear up
    with MetadataStore(config.store_url) as store:
        runner = LocalRunner(
            root,
            store,
            isolate=isolate,
            report=report,
            on_end=lambda run_id: pages.append(write_page(store, root, run_id)),
            warm_up=import_tensorflow_quietly,
        )
        try:
            result = runner.run(pipeline, config.to_dict())
        except Interrupted as error:
            sys.exit(128 + error.signal_number)
        finally:
            for page in pages:
                print(f"page of the run: {page}")
        pushed = _find_pushed(store, result)
    cached = sum(state == CACHED for state in result.states.values())
    print(
        f"run {result.run_id}: {len(pipeline.nodes)} components in "
        f"{time.monotonic() - started:.0f} s, {cached} of them from the cache"
    )
    if pushed is None:
        print("no model was pushed; the page says why")
    else:
        print(
            f"pushed {pushed}\nnext: python -m pipelines.lineage {pushed}\n"
            f"      tfac-serve --saved_model={pushed.parent} --page"
        )


def compile_for_kubeflow(config: PipelineConfig, output: Path, options: Path | None) -> None:
    """Writes a pipeline as Kubeflow Pipelines and Vertex take it.

    Args:
        config: what it is to do.
        output: the definition's file.
        options: a JSON file, see `pipelines.runners.kubeflow.read_options`.
    """
    import_tensorflow_quietly()
    from pipelines.pipeline import create_pipeline
    from pipelines.runners.kubeflow import compile_pipeline, read_options

    pipeline = create_pipeline(config)
    compile_pipeline(pipeline, output, options and read_options(options))
    print(f"wrote {output}: {len(pipeline.nodes)} components")


def _find_pushed(store: "MetadataStore", result: "RunResult") -> Path | None:
    """Returns the folder of the version that a run has pushed, or found pushed already."""
    for execution in result.executions:
        for output in store.outputs(execution.id).values():
            if output.type == PushedModel.__name__:
                return Path(output.properties["destination"], str(output.properties["version"]))
    return None


def _exit(signal_number: int, frame) -> None:
    sys.exit(128 + signal_number)


def run() -> None:
    """Runs the program."""
    run_program(main)


if __name__ == "__main__":
    run()
