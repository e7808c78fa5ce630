"""Tuner: a small search over the training recipe, with KerasTuner."""

import dataclasses
import json
import math
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipelines.artifacts import (
    ExampleAnomalies,
    Examples,
    HyperParameters,
    Input,
    Output,
    TransformGraph,
)
from pipelines.component import component
from pipelines.recipe import refuse_blocking, training_config
from tfac.errors import ConfigError, DataError, TrainingError
from tfac.files import whole_file

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
    trials = _search(shorter, _space(config, space), examples.path, search, max_trials, seed)
    done = [trial for trial in trials if trial["score"] is not None]
    if not done:
        raise TrainingError(f"none of {len(trials)} trainings came to an end")
    best = max(done, key=lambda trial: trial["score"])
    _write_json(best["values"], hyperparameters.path / HYPERPARAMETERS_FILE)
    _write_json(trials, hyperparameters.path / TRIALS_FILE)
    shutil.rmtree(search)
    hyperparameters.properties |= {"trials": len(trials), **best}


def read_hyperparameters(hyperparameters: HyperParameters) -> dict[str, Any]:
    """Returns the options that the Tuner chose.

    Raises:
        DataError: the file is missing or broken.
    """
    path = hyperparameters.path / HYPERPARAMETERS_FILE
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise DataError(f"{path}: expected what the Tuner writes. {error!r}") from error


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


def _search(
    config, space: Mapping[str, list], data_dir: Path, folder: Path, max_trials: int, seed: int
) -> list[dict[str, Any]]:
    """Returns the values and score of each trial.

    A search that was killed is made again from the start: it is the same by its seed, and trials
    that had begun go on from what they left in their folders.
    """
    import keras_tuner

    parameters = keras_tuner.HyperParameters()
    for name, values in space.items():
        # KerasTuner chooses among one kind of value: positions, not values.
        parameters.Int(name, 0, len(values) - 1, default=0)

    class Oracle(keras_tuner.oracles.RandomSearchOracle):
        """Tries the recipe's own values first."""

        def populate_space(self, trial_id):
            if not self.trials:
                return {"status": "RUNNING", "values": dict.fromkeys(space, 0)}
            return super().populate_space(trial_id)

    class Search(keras_tuner.engine.base_tuner.BaseTuner):
        """A trial is a training by tfac."""

        def run_trial(self, trial):
            values = {name: space[name][trial.hyperparameters.get(name)] for name in space}
            try:
                score = _train(config, values, data_dir, folder / trial.trial_id)
            except TrainingError as error:
                raise keras_tuner.errors.FailedTrialError(str(error)) from error
            except Exception as error:  # KerasTuner would go on with the next trial
                raise keras_tuner.errors.FatalError(str(error)) from error
            return {"score": score}

    oracle = Oracle(
        objective=keras_tuner.Objective("score", "max"),
        max_trials=max_trials,
        hyperparameters=parameters,
        seed=seed + 1,  # 0 stands for any
        max_consecutive_failed_trials=max_trials + 1,
    )
    search = Search(oracle, directory=str(folder), project_name="kerastuner", overwrite=True)
    oracle.verbose = 0
    try:
        search.search()
    except keras_tuner.errors.FatalError as error:
        raise error.__cause__ from None
    return [
        {
            "values": {name: space[name][trial.hyperparameters.get(name)] for name in space},
            "score": trial.score,
        }
        for trial in (oracle.trials[name] for name in oracle.start_order)
    ]


def _train(config, values: Mapping[str, Any], data_dir: Path, folder: Path) -> float:
    """Returns the mean balanced accuracy of a training with these values, percent."""
    import keras

    from tfac.data.records.pipeline import evaluation_dataset, read_batches, read_info
    from tfac.evaluation.attribute_metrics import attribute_metrics, mean_over_attributes
    from tfac.evaluation.split_scores import score_split
    from tfac.training.run import run_training
    from tfac.training.workdir import load_trained_network

    score_file = folder / _SCORE_FILE
    if score_file.exists():
        return json.loads(score_file.read_text(encoding="utf-8"))
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
    _write_json(score, score_file)
    keras.backend.clear_session()
    return score


def _write_json(content: Any, path: Path) -> None:
    with whole_file(path) as aside:
        aside.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
