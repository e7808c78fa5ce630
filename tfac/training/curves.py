"""A picture of a run's course, read back from its TensorBoard files."""

from pathlib import Path

import numpy as np

from tfac.files import whole_file

# The two attributes that figures 5 and 6 of Mao et al. (DMM-CNN) follow.
FOLLOWED = ("Mouth_Slightly_Open", "Young")
MOST_THRESHOLDS = 10  # as many as figure 7 shows

Series = dict[str, tuple[np.ndarray, np.ndarray]]


def are_drawn(tensorboard_dir: str | Path, path: str | Path) -> bool:
    """Says whether the picture at `path` is of all that is in `tensorboard_dir`."""
    path, events = Path(path), Path(tensorboard_dir).glob("*")
    return path.exists() and all(event.stat().st_mtime <= path.stat().st_mtime for event in events)


def draw_curves(tensorboard_dir: str | Path, path: str | Path) -> None:
    """Draws losses, accuracy, attribute weights and thresholds over steps (figures 5 to 7).

    Thresholds are probabilities. Weights or thresholds that never changed have no panel.

    Args:
        tensorboard_dir: where `tfac.training.summaries.Summaries` wrote.
        path: the picture to write, whole or not at all; its suffix gives the format.
    """
    from matplotlib.figure import Figure

    series = read_series(Path(tensorboard_dir))
    weight_tags = changing_tags(series, "attribute_weights")
    threshold_tags = changing_tags(series, "threshold_probabilities")
    moving = ["weights"] * bool(weight_tags) + ["thresholds"] * bool(threshold_tags)
    rows = [["losses", "accuracy"], *([(2 * moving)[:2]] if moving else [])]
    figure = Figure(figsize=(13, 4 * len(rows)), layout="constrained")
    panels = figure.subplot_mosaic(rows)
    losses, accuracy = panels["losses"], panels["accuracy"]

    _draw(losses, series, {"training/mean_loss": "training", "validation/mean_loss": "validation"})
    _draw(losses, series, {f"validation/loss/{name}": name for name in FOLLOWED}, "--")
    losses.set(title="Loss of an attribute: mean, and two attributes", ylim=(0, None))
    _draw(
        accuracy,
        series,
        {
            "validation/mean_accuracy": "accuracy",
            "validation/mean_balanced_accuracy": "balanced accuracy",
        },
    )
    majority = {"validation/mean_majority_accuracy": "accuracy of the commoner answer"}
    _draw(accuracy, series, majority, "--")
    accuracy.set(title="Validation, mean over attributes")
    accuracy.yaxis.set_major_formatter("{x:.0%}")
    if weights := panels.get("weights"):
        for tag in weight_tags:
            weights.plot(*series[tag], color="0.85", linewidth=0.8)
        _draw(weights, series, {f"attribute_weights/{name}": name for name in FOLLOWED})
        weights.set(title="Attribute weights (grey: the others)", ylim=(0, None))
    if thresholds := panels.get("thresholds"):
        moved = moved_most(series, threshold_tags)
        _draw(thresholds, series, {tag: tag.partition("/")[2] for tag in moved})
        thresholds.set(title="Thresholds (probability), of the attributes that moved most")
    for axes in panels.values():
        axes.set_xlabel("step")
        axes.grid(alpha=0.3)
        if axes.get_legend_handles_labels()[0]:
            aside = {"loc": "center left", "bbox_to_anchor": (1, 0.5)} if axes is thresholds else {}
            axes.legend(fontsize="small", **aside)
    with whole_file(path) as aside:
        figure.savefig(aside, dpi=110)


def changing_tags(series: Series, group: str) -> list[str]:
    """Returns the tags ``group/NAME``; none where none of them ever changes."""
    tags = [tag for tag in series if tag.startswith(f"{group}/")]
    return tags if any(np.ptp(series[tag][1]) > 0 for tag in tags) else []


def moved_most(series: Series, tags: list[str]) -> list[str]:
    """Returns the `MOST_THRESHOLDS` of the tags that end farthest from a probability of 0.5."""
    return sorted(tags, key=lambda tag: -abs(series[tag][1][-1] - 0.5))[:MOST_THRESHOLDS]


def _draw(axes, series: Series, labels: dict[str, str], style: str = "-") -> None:
    for tag, label in labels.items():
        if tag in series:
            axes.plot(*series[tag], style, label=label, marker=".", markersize=4)


def read_series(folder: Path) -> Series:
    """Returns (steps, values) of each scalar; of a step gone over again, the last value."""
    import tensorflow as tf
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder), size_guidance={"tensors": 0, "images": 1})
    events.Reload()
    series = {}
    for tag in events.Tags()["tensors"]:
        values = {
            event.step: float(tf.make_ndarray(event.tensor_proto))
            for event in events.Tensors(tag)
            if not event.tensor_proto.tensor_shape.dim
        }
        if values:
            steps = np.array(sorted(values))
            series[tag] = steps, np.array([values[step] for step in steps])
    return series
