"""What a run's page shows of the artifacts of each type, with `templates/sections.html`."""

import base64
import io
import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup
from matplotlib.figure import Figure

from pipelines.engine.store import ArtifactRecord, ExecutionRecord
from pipelines.page.evaluation import read_evaluation
from pipelines.page.rendering import TEMPLATES, attribute_axes, inline_svg
from tfac.errors import DataError

# Type of artifact to the heading of what is shown of it.
HEADINGS = {
    "Examples": "Examples",
    "ExampleStatistics": "Statistics",
    "ExampleAnomalies": "Anomalies",
    "ModelEvaluation": "Evaluation",
    "ModelBlessing": "Blessing",
    "InfraBlessing": "Serving",
    "PushedModel": "Pushed model",
    "InferenceResult": "Sample predictions",
}
_MOST_FACES = 12
_MOST_NAMES = 6  # attributes of a face
_THUMBNAIL = 96  # pixels
_PROBABILITY = "_probability"


def show(artifact: ArtifactRecord, path: Path, execution: ExecutionRecord) -> Markup:
    """Returns what there is to show of an artifact.

    Args:
        artifact: of a type in `HEADINGS`.
        path: its folder.
        execution: what wrote it.

    Raises:
        OSError: a file is missing.
        ValueError: or has other contents, as have TypeError and LookupError.
    """
    content = {}
    if artifact.type == "ExampleStatistics":
        content = _read_statistics(path)
    elif artifact.type == "ModelEvaluation":
        content = read_evaluation(path)
    elif artifact.type == "InferenceResult":
        photos = Path(execution.parameters.get("photos") or "")
        rows = itertools.islice(_rows(path), _MOST_FACES)
        content = {"faces": [_describe_face(photos, row) for row in rows]}
    macro = getattr(TEMPLATES.get_template("sections.html").module, artifact.type)
    return macro(artifact.properties, **content)


def _read_statistics(path: Path) -> dict[str, Any]:
    content = json.loads((path / "statistics.json").read_text(encoding="utf-8"))
    rows = [_describe_split(name, split) for name, split in content["splits"].items()]
    figure = _draw_frequencies(content["attributes"], content["splits"])
    return {"rows": rows, "chart": inline_svg(figure)}


def _describe_split(name: str, split: Mapping[str, Any]) -> list[Any]:
    values, count = split["values"], max(1, split["num_pictures"])
    row = [name, split["num_pictures"], f"{split['num_bytes'] / 1e6:.1f}"]
    for feature in ("image/height", "image/width"):
        lowest, highest = int(values[feature]["lowest"]), int(values[feature]["highest"])
        row.append(str(lowest) if lowest == highest else f"{lowest} to {highest}")
    brightness = values["image/brightness"]["total"] / count
    return [*row, f"{brightness:.0f}", f"{split['with_landmarks'] / count:.1%}"]


def _draw_frequencies(attributes: Sequence[str], splits: Mapping[str, Any]) -> Figure:
    """Draws how often each attribute is shown, a bar a split."""
    shares = {}
    for name, split in splits.items():
        shown, annotated = (np.diagonal(split[key]) for key in ("shown", "annotated"))
        shares[name] = 100 * shown / np.maximum(1, annotated)
    order = np.argsort(-np.mean(list(shares.values()), axis=0))
    axes, width = attribute_axes([attributes[i] for i in order]), 0.8 / len(shares)
    for i, (name, values) in enumerate(shares.items()):
        positions = np.arange(len(order)) + (i + 0.5) * width - 0.4
        axes.bar(positions, values[order], width, label=name)
    axes.set(ylabel="percent of the annotated", ylim=(0, 100))
    axes.legend(frameon=False, ncols=len(shares), fontsize=8)
    return axes.figure


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    import pyarrow.parquet as pq

    for file in sorted(path.glob("*.parquet")):
        for batch in pq.ParquetFile(file).iter_batches(batch_size=_MOST_FACES):
            yield from batch.to_pylist()


def _describe_face(folder: Path, row: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a face's photo and picture, and the probabilities of its surest attributes."""
    probabilities = {
        name.removesuffix(_PROBABILITY): value
        for name, value in row.items()
        if name.endswith(_PROBABILITY) and value is not None
    }
    shown = [name for name in probabilities if row.get(name)]
    shown.sort(key=lambda name: -probabilities[name])
    return {
        "photo": row["photo"],
        "picture": _thumbnail(folder / row["photo"], row),
        "shown": {name: probabilities[name] for name in shown[:_MOST_NAMES]},
    }


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
