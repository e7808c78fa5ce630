"""Statistics of splits made by hand."""

import numpy as np

from tfac.data_report.statistics import SplitStatistics
from tfac.data_report.summary import SplitSummary


def make_split(count, *, attributes=3, seed=0, start=0, with_landmarks=None, **fields):
    """A split of `count` different pictures; keys are their numbers from `start`."""
    rng = np.random.default_rng(seed)
    made = {
        "keys": [f"{start + i}.jpg" for i in range(count)],
        "sizes": np.full((count, 2), 64, np.int32),
        "labels": rng.integers(0, 2, (count, attributes)).astype(np.uint8),
        "label_mask": np.ones((count, attributes), bool),
        "checksums": [f"{seed} {i}".encode() for i in range(count)],
        "hashes": rng.integers(0, 2**16, (count, 16)).astype(np.uint16),
        "contrasts": np.full(count, 50.0, np.float32),
    }
    made |= fields
    batch = {
        "labels": made["labels"],
        "label_mask": made["label_mask"],
        "landmarks": np.full((count, 5, 2), 0.5),
        "landmarks_valid": np.arange(count) < (count if with_landmarks is None else with_landmarks),
        "bytes": np.full(count, 1000),
        "image/height": made["sizes"][:, 0],
        "image/width": made["sizes"][:, 1],
        "image/brightness": made["contrasts"],
        "image/contrast": made["contrasts"],
    }
    return SplitStatistics(SplitSummary.of(batch), **made)
