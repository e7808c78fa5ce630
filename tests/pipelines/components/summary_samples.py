"""Statistics of data sets made by hand."""

import numpy as np

from pipelines.engine.artifacts import ExampleStatistics
from tfac.data_report.summary import DataSetSummary, SplitSummary, write_summary
from tfac.landmarks import DLIB_72

NAMES = (
    "Male",
    "No_Beard",
    "Wearing_Lipstick",
    "Smiling",
    "Mouth_Slightly_Open",
    "High_Cheekbones",
    "Bald",
)
# Attribute to the one it depends on, and the share that shows it where that is shown or not.
_DEPENDENT = {
    "No_Beard": ("Male", 0.5, 1.0),
    "Wearing_Lipstick": ("Male", 0.0, 0.8),
    "Bald": ("Male", 0.1, 0.0),
    "Mouth_Slightly_Open": ("Smiling", 0.8, 0.2),
    "High_Cheekbones": ("Smiling", 0.8, 0.2),
}


def draw_labels(count, seed):
    """Labels [N, A] of NAMES; three of them are shown by half of the pictures."""
    rng = np.random.default_rng(seed)
    labels = {"Male": rng.random(count) < 0.4, "Smiling": rng.random(count) < 0.5}
    for name, (other, shown, hidden) in _DEPENDENT.items():
        labels[name] = rng.random(count) < np.where(labels[other], shown, hidden)
    return np.stack([labels[name] for name in NAMES], axis=1).astype(np.uint8)


def make_summary(labels, *, mask=None, size=(64, 64), brightness=(100, 160), seed=0):
    """The summary of pictures with these labels [N, A]."""
    count, rng = len(labels), np.random.default_rng(seed)
    return SplitSummary.of(
        {
            "labels": labels,
            "label_mask": np.ones(labels.shape, bool) if mask is None else mask,
            "landmarks": np.full((count, 72, 2), 0.5, np.float32),
            "landmarks_valid": np.ones(count, bool),
            "bytes": np.full(count, 1000),
            "image/height": np.full(count, size[0]),
            "image/width": np.full(count, size[1]),
            "image/brightness": rng.uniform(*brightness, count),
            "image/contrast": rng.uniform(30, 70, count),
        }
    )


def write_statistics(
    path, splits=None, *, attributes=NAMES, scheme=DLIB_72, fingerprint="f1"
) -> ExampleStatistics:
    """Writes statistics; `splits` is split to `SplitSummary`, by default two of 40 pictures."""
    if splits is None:
        labels = np.random.default_rng(0).integers(0, 2, (40, len(attributes))).astype(np.uint8)
        splits = {name: make_summary(labels) for name in ("train", "validation")}
    summary = DataSetSummary("faces", fingerprint, attributes, scheme, splits)
    write_summary(summary, path / "statistics.json")
    return ExampleStatistics(path)
