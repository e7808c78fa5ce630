"""What a run's page shows of the artifacts of each type."""

import base64
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from pipelines.engine.store import ExecutionRecord
from pipelines.page.evaluation import show_evaluation
from pipelines.page.parts import as_table, inline_svg
from tfac.errors import DataError

_MOST_FACES = 12
_MOST_NAMES = 6  # attributes of a face
_THUMBNAIL = 96  # pixels

Properties = Mapping[str, Any]


def _show_examples(path: Path, properties: Properties, execution: ExecutionRecord) -> str:
    """Examples."""
    splits = properties.get("splits", {})
    rows = [[escape(name), count] for name, count in splits.items()]
    skipped = properties.get("skipped") or {}
    note = "; ".join(f"{count} x {kind}" for kind, count in skipped.items())
    return (
        f"<p>{escape(str(properties.get('name')))}, fingerprint "
        f"<code>{str(properties.get('fingerprint'))[:16]}</code>, "
        f"{len(properties.get('attributes', ()))} attributes, landmarks "
        f"{escape(str(properties.get('landmark_scheme')))}.</p>"
        + as_table(["split", "pictures"], rows)
        + (f"<p>Left out: {escape(note)}</p>" if note else "")
    )


def _show_statistics(path: Path, properties: Properties, execution: ExecutionRecord) -> str:
    """Statistics."""
    content = json.loads((path / "statistics.json").read_text(encoding="utf-8"))
    rows = []
    for name, split in content["splits"].items():
        values = split["values"]
        rows.append([escape(name), split["num_pictures"], f"{split['num_bytes'] / 1e6:.1f}"])
        for feature in ("image/height", "image/width"):
            lowest, highest = int(values[feature]["lowest"]), int(values[feature]["highest"])
            rows[-1].append(str(lowest) if lowest == highest else f"{lowest} to {highest}")
        brightness = values["image/brightness"]["total"] / max(1, split["num_pictures"])
        rows[-1] += [f"{brightness:.0f}", f"{_share(split['with_landmarks'], split):.1%}"]
    headings = ["", "pictures", "MB", "height", "width", "mean brightness", "with landmarks"]
    figure = _draw_frequencies(content["attributes"], content["splits"])
    return as_table(headings, rows) + f'<div class="scroll">{inline_svg(figure)}</div>'


def _share(count: int, split: Mapping[str, Any]) -> float:
    return count / max(1, split["num_pictures"])


def _draw_frequencies(attributes: Sequence[str], splits: Mapping[str, Any]) -> Figure:
    """Draws how often each attribute is shown, a bar a split."""
    shares = {}
    for name, split in splits.items():
        shown, annotated = (np.diagonal(split[key]) for key in ("shown", "annotated"))
        shares[name] = 100 * shown / np.maximum(1, annotated)
    order = np.argsort(-np.mean(list(shares.values()), axis=0))
    figure = Figure(figsize=(max(6, 1.5 + 0.33 * len(attributes)), 3.6), layout="constrained")
    axes = figure.add_subplot()
    width = 0.8 / len(shares)
    for i, (name, values) in enumerate(shares.items()):
        positions = np.arange(len(order)) + (i + 0.5) * width - 0.4
        axes.bar(positions, values[order], width, label=name)
    labels = [attributes[i].replace("_", " ") for i in order]
    axes.set_xticks(range(len(order)), labels, rotation=60, ha="right", rotation_mode="anchor")
    axes.tick_params(labelsize=8)
    axes.set(ylabel="percent of the annotated", ylim=(0, 100), xlim=(-0.6, len(order) - 0.4))
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, ncols=len(shares), fontsize=8)
    return figure


def _show_anomalies(path: Path, properties: Properties, execution: ExecutionRecord) -> str:
    """Anomalies."""
    found = properties.get("found", [])
    if not found:
        return '<p class="good">None.</p>'
    verdict = (
        '<p class="found">Nothing may be trained on these examples.</p>'
        if properties.get("blocking")
        else "<p>Nothing that training has to stop for.</p>"
    )
    items = "".join(f"<li>{escape(str(message))}</li>" for message in found)
    return f"{verdict}<ul>{items}</ul>"


def _show_evaluation(path: Path, properties: Properties, execution: ExecutionRecord) -> str:
    """Evaluation."""
    return show_evaluation(path)


def _show_blessing(path: Path, properties: Properties, execution: ExecutionRecord) -> str:
    """Blessing."""
    return _verdict(properties, "The model is blessed.", "The model is not blessed:")


def _show_infra_blessing(path: Path, properties: Properties, execution: ExecutionRecord) -> str:
    """Serving."""
    good = "The export was loaded and served, and answered as it should."
    return _verdict(properties, good, "The export cannot be served:")


def _verdict(properties: Properties, good: str, bad: str) -> str:
    if properties.get("blessed"):
        return f'<p class="good">{good}</p>'
    reasons = "".join(f"<li>{escape(str(each))}</li>" for each in properties.get("reasons", []))
    return f'<p class="found">{bad}</p><ul>{reasons}</ul>'


def _show_pushed(path: Path, properties: Properties, execution: ExecutionRecord) -> str:
    """Pushed model."""
    destination = escape(str(properties.get("destination")))
    return f"<p>Version {properties.get('version')}: <code>{destination}</code></p>"


def _show_predictions(path: Path, properties: Properties, execution: ExecutionRecord) -> str:
    """Sample predictions."""
    folder = Path(execution.parameters.get("photos") or "")
    counts = [
        f"{properties[name]} {name.replace('_', ' ')}"
        for name in ("photos", "faces", "without_face", "unreadable")
        if name in properties
    ]
    faces = "".join(_face(folder, row) for row in _rows(path))
    return f"<p>{', '.join(counts)}. The first of them:</p>" + f'<div class="faces">{faces}</div>'


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    import pyarrow.parquet as pq

    left = _MOST_FACES
    for file in sorted(path.glob("*.parquet")):
        for batch in pq.ParquetFile(file).iter_batches(batch_size=_MOST_FACES):
            for row in batch.to_pylist()[:left]:
                yield row
                left -= 1
            if not left:
                return


def _face(folder: Path, row: Mapping[str, Any]) -> str:
    suffix = "_probability"
    probabilities = {
        name.removesuffix(suffix): value
        for name, value in row.items()
        if name.endswith(suffix) and value is not None
    }
    shown = [name for name in probabilities if row.get(name)]
    shown.sort(key=lambda name: -probabilities[name])
    lines = "".join(
        f'<div><meter value="{probabilities[name]:.3f}" title="{probabilities[name]:.0%}"></meter>'
        f"{escape(name.replace('_', ' '))}</div>"
        for name in shown[:_MOST_NAMES]
    )
    picture = _thumbnail(folder / row["photo"], row)
    image = f'<img alt="" src="{picture}">' if picture else ""
    return f'<div class="face">{image}<div><b>{escape(row["photo"])}</b></div>{lines}</div>'


def _thumbnail(path: Path, row: Mapping[str, Any]) -> str | None:
    """Returns a face as a data URL; None where the photo is no longer there."""
    from PIL import Image

    from tfac.photos.pictures import open_picture

    try:
        photo = Image.fromarray(open_picture(path))
    except DataError:
        return None
    if row.get("left") is not None:
        photo = photo.crop(tuple(int(row[side]) for side in ("left", "top", "right", "bottom")))
    photo.thumbnail((2 * _THUMBNAIL, 2 * _THUMBNAIL))
    target = io.BytesIO()
    photo.save(target, "JPEG", quality=85)
    return "data:image/jpeg;base64," + base64.b64encode(target.getvalue()).decode()


# Type of artifact to what shows it; the first sentence of its docstring is the heading.
SECTIONS = {
    "Examples": _show_examples,
    "ExampleStatistics": _show_statistics,
    "ExampleAnomalies": _show_anomalies,
    "ModelEvaluation": _show_evaluation,
    "ModelBlessing": _show_blessing,
    "InfraBlessing": _show_infra_blessing,
    "PushedModel": _show_pushed,
    "InferenceResult": _show_predictions,
}
