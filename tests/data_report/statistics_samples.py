"""Statistics of splits made by hand."""

import numpy as np

from tfac.data_report.statistics import SplitStatistics


def make_split(count, *, attributes=3, seed=0, start=0, **fields):
    """A split of `count` different pictures; keys are their numbers from `start`."""
    rng = np.random.default_rng(seed)
    made = {
        "keys": [f"{start + i}.jpg" for i in range(count)],
        "sizes": np.full((count, 2), 64, np.int32),
        "labels": rng.integers(0, 2, (count, attributes)).astype(np.uint8),
        "label_mask": np.ones((count, attributes), bool),
        "landmarks_valid": np.ones(count, bool),
        "mean_landmarks": np.full((5, 2), 0.5),
        "checksums": [f"{seed} {i}".encode() for i in range(count)],
        "hashes": rng.integers(0, 2**16, (count, 16)).astype(np.uint16),
        "contrasts": np.full(count, 50.0, np.float32),
        "num_bytes": 1000 * count,
    }
    return SplitStatistics(**{**made, **fields})
