"""Tuner: a small search over the training recipe.

It draws from a grid of a few options. KerasTuner, which did this before, has no public way to try
the recipe's own values first and to stop at broken data.
"""

import dataclasses
import math
import random
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipelines.components.recipe import refuse_blocking, training_config
from pipelines.engine.artifacts import (
    ExampleAnomalies,
    Examples,
    HyperParameters,
    Input,
    Output,
    TransformGraph,
)
from pipelines.engine.component import component
from tfac.errors import ConfigError, DataError, TrainingError
from tfac.files import read_json, write_json

HYPERPARAMETERS_FILE, TRIALS_FILE = "hyperparameters.json", "trials.json"

# What is tried by default: so many times the recipe's own values.
_DEFAULT_FACTORS = {"learning_rate": (0.3, 1, 3), "weight_decay": (0.2, 1)}
_SEARCH, _SCORE_FILE = "search", "score.json"


@component(resumable=True)
def tuner(
    examples: Input[Examples],
    transform_graph: Input[TransformGraph],
    anomalies: Input[ExampleAnomalies],
    hyperparameters: Output[HyperParameters],
    *,
    experiment: str = "dmm_cnn",
    protocol: str = "from_scratch",
    options: dict | None = None,
    space: dict | None = None,
    max_trials: int = 3,
    epochs: int = 1,
    seed: int = 0,
) -> None:
    """Trains shortly with some values of a few options and takes the best; resumes what was killed.

    The recipe's own values are tried first, then others at random. The best has the highest mean
    balanced accuracy on the validation split.

    Args:
        examples: the data set.
        transform_graph: says the size of the pictures.
        anomalies: what ExampleValidator found; nothing is trained where it is blocking.
        hyperparameters: hyperparameters.json, the best values; trials.json, all that were tried
            with their score in percent (null where training failed). Its properties are `trials`,
            `score` and the values.
        experiment: an experiment of tfac-train.
        protocol: the recipe that it starts from.
        options: options of `TrainConfig` that come before the recipe's.
        space: values to choose from by option; by default a few around the recipe's learning rate
            and weight decay.
        max_trials: trainings at most.
        epochs: of each training.
        seed: of the random choice.

    Raises:
        ConfigError: options that do not go together.
        DataError: the data set has blocking anomalies or is broken.
        TrainingError: no training came to an end.
        Interrupted: SIGTERM or Ctrl-C; the state was saved.
    """
    refuse_blocking(anomalies)
    if max_trials < 1 or epochs < 1:
        raise ConfigError(
            f"max_trials and epochs: expected 1 or more. Received: {max_trials} and {epochs}"
        )
    config = training_config(experiment, protocol, options or {}, transform_graph)
    shorter = _shortened(config, epochs)
    search = hyperparameters.path / _SEARCH
    trials = []
    for number, values in enumerate(_draw(_space(config, space), max_trials, seed)):
        try:
            score = _train(shorter, values, examples.path, search / str(number))
        except TrainingError:
            score = None
        trials.append({"values": values, "score": score})
    done = [trial for trial in trials if trial["score"] is not None]
    if not done:
        raise TrainingError(f"none of {len(trials)} trainings came to an end")
    best = max(done, key=lambda trial: trial["score"])
    write_json(hyperparameters.path / HYPERPARAMETERS_FILE, best["values"])
    write_json(hyperparameters.path / TRIALS_FILE, trials)
    shutil.rmtree(search, ignore_errors=True)
    hyperparameters.properties |= {"trials": len(trials), **best}


def read_hyperparameters(hyperparameters: HyperParameters) -> dict[str, Any]:
    """Returns the options that the Tuner chose.

    Raises:
        DataError: the file is missing or broken.
    """
    return read_json(hyperparameters.path / HYPERPARAMETERS_FILE, "what the Tuner writes")


def _shortened(config, epochs: int):
    """Returns the recipe for fewer epochs, its warm-up in proportion."""
    share = epochs / config.epochs
    return dataclasses.replace(config, epochs=epochs, warmup_epochs=config.warmup_epochs * share)


def _space(config, space: Mapping[str, list] | None) -> dict[str, list]:
    """Returns the values to choose from by option, the recipe's own first."""
    if space is None:
        space = {
            name: [getattr(config, name) * factor for factor in factors]
            for name, factors in _DEFAULT_FACTORS.items()
        }
    known = {field.name for field in dataclasses.fields(config)}
    for name, values in space.items():
        if name not in known or name in ("epochs", "image_size") or not isinstance(values, list):
            raise ConfigError(
                f"space: expected options of training with lists of values. Received: {name}"
            )
    return {name: list(dict.fromkeys([getattr(config, name), *v])) for name, v in space.items()}


def _draw(space: Mapping[str, list], count: int, seed: int) -> list[dict[str, Any]]:
    """Returns so many of the space's values, none twice, the recipe's own first.

    They are the same by their seed, so a search that was killed is made again from the start;
    trials that had begun go on from what they left in their folders.
    """
    total = math.prod(map(len, space.values()))
    others = random.Random(seed).sample(range(1, total), min(count, total) - 1)
    return [_nth(space, number) for number in (0, *others)]


def _nth(space: Mapping[str, list], number: int) -> dict[str, Any]:
    chosen = {}
    for name, values in space.items():
        number, position = divmod(number, len(values))
        chosen[name] = values[position]
    return chosen


def _train(config, values: Mapping[str, Any], data_dir: Path, folder: Path) -> float:
    """Returns the mean balanced accuracy of a training with these values, percent."""
    import keras

    from tfac.data.records.info import read_info
    from tfac.data.records.pipeline import evaluation_dataset, read_batches
    from tfac.evaluation.attribute_metrics import attribute_metrics, mean_over_attributes
    from tfac.evaluation.split_scores import score_split
    from tfac.training.run import run_training
    from tfac.training.workdir import load_trained_network

    score_file = folder / _SCORE_FILE
    if score_file.exists():
        return read_json(score_file)["score"]
    config = dataclasses.replace(config, **values)
    run_training(config, data_dir, folder)
    trained, info = load_trained_network(folder), read_info(data_dir)
    split, size = config.validation_split, config.image_size
    dataset = evaluation_dataset(info, split, image_size=size, batch_size=config.batch_size)
    found = score_split(trained, read_batches(dataset, info, split), info)
    metrics = attribute_metrics(
        found.labels, found.scores, trained.thresholds, found.label_mask, ranking=False
    )
    score = 100 * mean_over_attributes(metrics["balanced_accuracy"])
    if math.isnan(score):
        raise DataError(
            f"split {split} of {data_dir}: no attribute is shown in some pictures alone"
        )
    write_json(score_file, {"score": score})
    keras.backend.clear_session()
    return score
