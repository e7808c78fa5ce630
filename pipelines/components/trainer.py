"""Trainer: a network trained as tfac-train does, and its export."""

import dataclasses
import shutil

from pipelines.components.recipe import refuse_blocking, training_config
from pipelines.components.source_files import files_fingerprint
from pipelines.components.tuner import read_hyperparameters
from pipelines.engine.artifacts import (
    ExampleAnomalies,
    Examples,
    HyperParameters,
    Input,
    Model,
    Output,
    TransformGraph,
)
from pipelines.engine.component import Parameters, component

WORKDIR, SAVED_MODEL = "workdir", "saved_model"


def initial_weights_fingerprint(parameters: Parameters) -> str:
    """Returns a text that changes with the weights that training starts from."""
    options = parameters.get("options") or {}
    places = [options.get(name) for name in ("backbone_weights", "initial_workdir")]
    return " ".join(files_fingerprint(place) for place in places if place)


@component(external=initial_weights_fingerprint, resumable=True)
def trainer(
    examples: Input[Examples],
    transform_graph: Input[TransformGraph],
    anomalies: Input[ExampleAnomalies],
    hyperparameters: Input[HyperParameters] | None,
    model: Output[Model],
    *,
    model_name: str,
    experiment: str = "dmm_cnn",
    protocol: str = "from_scratch",
    options: dict | None = None,
    folded: bool = True,
    consistent: bool = False,
) -> None:
    """Trains, or goes on where it was stopped, and writes the export.

    Args:
        examples: the data set.
        transform_graph: says the size of the pictures.
        anomalies: what ExampleValidator found; nothing is trained where it is blocking.
        hyperparameters: options that the Tuner chose; they come before `options`.
        model: workdir/ as tfac-train leaves it and saved_model/<name>/1; its properties are `name`,
            `step` and `options`, all of the training.
        model_name: the name of the model on a server.
        experiment: an experiment of tfac-train.
        protocol: the recipe that it starts from.
        options: options of `tfac.training.config.TrainConfig` that come before the recipe's.
        folded: export with batch norms folded into convolutions.
        consistent: export answers that break none of the data set's label rules.

    Raises:
        ConfigError: options that do not go together, or not with the data.
        DataError: the data set has blocking anomalies or is broken.
        TrainingError: a loss became NaN or infinite.
        Interrupted: SIGTERM or Ctrl-C; the state was saved.
    """
    refuse_blocking(anomalies)
    chosen = read_hyperparameters(hyperparameters) if hyperparameters else {}
    config = training_config(experiment, protocol, {**(options or {}), **chosen}, transform_graph)

    from tfac.export import ExportOptions, export_saved_model
    from tfac.training.run import run_training
    from tfac.training.workdir import load_trained_network

    workdir, folder = model.path / WORKDIR, model.path / SAVED_MODEL
    run_training(config, examples.path, workdir)
    shutil.rmtree(folder, ignore_errors=True)  # an export that was stopped
    trained = dataclasses.replace(load_trained_network(workdir), consistent=consistent)
    export_saved_model(trained, folder / model_name, ExportOptions(folded=folded))
    model.properties |= {
        "name": model_name,
        "step": trained.step,
        "options": config.to_dict(),
    }
