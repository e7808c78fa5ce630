"""tfac-evaluate: how well a checkpoint or SavedModel predicts the attributes of a split.

Example:
    tfac-evaluate --workdir=runs/dmm_cnn --data_dir=data/celeba --slices=Male,Young,Male*Young
"""

import functools
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from absl import flags

from tfac.cli import import_tensorflow_quietly, run_program
from tfac.errors import DataError
from tfac.progress import progress

if TYPE_CHECKING:
    from tfac.evaluation.split_scores import ScoringModel, SplitScores

_WORKDIR = flags.DEFINE_string(
    "workdir", None, "folder of a training run, of which the newest checkpoint is evaluated"
)
_SAVED_MODEL = flags.DEFINE_string(
    "saved_model", None, "exported model: its folder (the newest version counts) or one version's"
)
_DATA_DIR = flags.DEFINE_string(
    "data_dir", None, "prepared data set, as tfac-prepare wrote it", required=True
)
_SPLIT = flags.DEFINE_string("split", "validation", "the split to evaluate on")
_SLICES = flags.DEFINE_string(
    "slices",
    "",
    "attributes to report apart, with and without each, comma-separated; products such as "
    "Male*Young give every combination",
)
_THRESHOLDS = flags.DEFINE_enum(
    "thresholds",
    "trained",
    ("trained", "fixed", "exact", "exact_balanced"),
    "decision thresholds: trained (the model's own), fixed (0), exact (best accuracy on "
    "--thresholds_split) or exact_balanced (best balanced accuracy on it)",
)
_THRESHOLDS_SPLIT = flags.DEFINE_string(
    "thresholds_split", "validation", "the split that exact thresholds are chosen on"
)
_BATCH_SIZE = flags.DEFINE_integer("batch_size", 64, "pictures at a time, 1 or more", 1)
_OUTPUT_DIR = flags.DEFINE_string(
    "output_dir",
    None,
    "folder for metrics.json and accuracy.png; by default WORKDIR/evaluation/SPLIT, and "
    "runs/evaluation/MODEL/VERSION/SPLIT for a SavedModel",
)


@flags.multi_flags_validator(
    ["workdir", "saved_model"], "expected exactly one of --workdir and --saved_model"
)
def _one_model(values: dict[str, Any]) -> bool:
    return (not values["workdir"]) != (not values["saved_model"])


def main() -> None:
    """Evaluates, prints the table and writes the report and its picture."""
    import_tensorflow_quietly()

    from tfac.data.records.pipeline import evaluation_dataset, read_batches, read_info
    from tfac.evaluation.charts import draw_bars
    from tfac.evaluation.report import format_report, summarise, write_report
    from tfac.evaluation.slices import parse_slices
    from tfac.evaluation.split_scores import score_split
    from tfac.training.thresholds import choose_thresholds

    info = read_info(_DATA_DIR.value)
    model, default_output_dir = _load_model()
    slicings = parse_slices(_SLICES.value, model.attributes)

    def score(split: str) -> "SplitScores":
        dataset = evaluation_dataset(
            info, split, image_size=model.image_size, batch_size=_BATCH_SIZE.value
        )
        batches = read_batches(dataset, info, split)
        return score_split(model, _with_progress(batches, info.splits[split]), info)

    split_scores = score(_SPLIT.value)
    thresholds = model.thresholds
    if _THRESHOLDS.value != "trained":
        same_split = _THRESHOLDS_SPLIT.value == _SPLIT.value
        chosen_on = split_scores if same_split else score(_THRESHOLDS_SPLIT.value)
        thresholds = choose_thresholds(
            _THRESHOLDS.value, chosen_on.labels, chosen_on.scores, chosen_on.label_mask
        )
    report = {
        "model": model.source,
        "data_set": info.name,
        "split": _SPLIT.value,
        "thresholds": _THRESHOLDS.value,
        **summarise(model.attributes, thresholds, split_scores, slicings),
    }
    output_dir = Path(_OUTPUT_DIR.value or default_output_dir / _SPLIT.value)
    write_report(report, output_dir / "metrics.json")
    draw_bars(report, output_dir / "accuracy.png")
    print(format_report(report))
    print(f"\nwritten: {output_dir / 'metrics.json'}\n         {output_dir / 'accuracy.png'}")
    print(f"next:    {_next_command()}")


def _load_model() -> "tuple[ScoringModel, Path]":
    """Returns the model that the flags name and the default folder for its reports."""
    if _WORKDIR.value:
        return _from_workdir(Path(_WORKDIR.value)), Path(_WORKDIR.value) / "evaluation"
    model = _from_saved_model(_SAVED_MODEL.value)
    version = Path(model.source).resolve()
    return model, Path("runs", "evaluation", version.parent.name, version.name)


def _from_workdir(workdir: Path) -> "ScoringModel":
    from tfac.training.workdir import load_trained_model, scoring_model

    return scoring_model(load_trained_model(workdir), str(workdir))


def _from_saved_model(path: str) -> "ScoringModel":
    import numpy as np

    from tfac.evaluation.split_scores import ScoringModel
    from tfac.inference.predictor import Predictor
    from tfac.landmarks import get_landmark_scheme

    predictor = Predictor(path, batch_size=_BATCH_SIZE.value)
    metadata = predictor.metadata
    try:
        thresholds = np.array(metadata["thresholds"], np.float32)
        image_size = metadata["image_size"]["height"], metadata["image_size"]["width"]
        scheme = metadata["landmark_scheme"] and get_landmark_scheme(metadata["landmark_scheme"])
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"{predictor.path}: expected thresholds, image_size and landmark_scheme as tfac-export "
            f"writes them. Received: {error!r}"
        ) from error

    def score(images) -> dict[str, np.ndarray]:
        predictions = predictor(images.numpy())
        answers = {"scores": np.array([[*each.scores.values()] for each in predictions])}
        if scheme is not None:
            answers["landmarks"] = np.stack([each.landmarks for each in predictions])
        return answers

    return ScoringModel(
        source=str(predictor.path),
        score=score,
        attributes=predictor.attributes,
        thresholds=thresholds,
        image_size=image_size,
        landmark_scheme=scheme,
    )


def _with_progress(batches: Iterable[dict], pictures: int) -> Iterator[dict]:
    with progress(total=pictures, desc="evaluating", unit=" pictures") as bar:
        for batch in batches:
            yield batch
            bar.update(len(batch["images"]))


def _next_command() -> str:
    if _WORKDIR.value:
        return f"tfac-export --workdir={_WORKDIR.value}"
    return f"tfac-predict --saved_model={_SAVED_MODEL.value} PHOTO..."


run = functools.partial(run_program, main)

if __name__ == "__main__":
    run()
