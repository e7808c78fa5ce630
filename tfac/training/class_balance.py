"""Weights of an attribute's two classes, from how often each is in the training split."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf

from tfac.data.records.info import RecordsInfo, check_shards
from tfac.data.records.pipeline import dataset_options, read_batches
from tfac.errors import DataError
from tfac.files import read_json, write_json
from tfac.progress import progress

COUNTS_FILE = "label_counts.json"
_BATCH = 1024  # records


@dataclasses.dataclass(frozen=True, eq=False)
class LabelCounts:
    """How many pictures of a split show each attribute and how many do not.

    Attributes:
        positives: int64 [A].
        negatives: int64 [A]; unannotated labels are in neither.
    """

    positives: np.ndarray
    negatives: np.ndarray


def class_weights(counts: LabelCounts, balance: str) -> np.ndarray | None:
    """Returns what a negative and a positive label weigh, float32 [A, 2]; None for 1.

    Args:
        counts: of the training split.
        balance: none; positive: a positive weighs negatives / positives, a negative 1; majority:
            the class with more labels weighs fewer / more, the other 1. An attribute with one class
            alone weighs 1.

    Reference:
        positive: Chen et al. (MGG-Net), section 3.3, "proportional to the imbalance level";
        majority: Rudd et al. (MOON), 2016, with a target of one half.
    """
    if balance == "none":
        return None
    pairs = np.stack([counts.negatives, counts.positives], axis=1).astype(np.float64)  # [A, 2]
    other = pairs[:, ::-1]
    weights = np.divide(
        other, pairs, out=np.ones_like(pairs), where=pairs.min(1, keepdims=True) > 0
    )
    if balance == "positive":
        weights[:, 0] = 1
    else:
        weights = np.minimum(weights, 1)
    return weights.astype(np.float32)


def describe_missing(counts: LabelCounts, attributes: Sequence[str]) -> str:
    """Returns which of the attributes [A] have no labels or one class alone; "" where none has."""
    positives, negatives = counts.positives > 0, counts.negatives > 0
    kinds = {
        "no label of": ~positives & ~negatives,
        "no picture that shows": ~positives & negatives,
        "no picture that does not show": positives & ~negatives,
    }
    return "; ".join(
        f"{words} {', '.join(attributes[a] for a in np.flatnonzero(which))}"
        for words, which in kinds.items()
        if which.any()
    )


def count_labels(info: RecordsInfo, split: str, show_progress: bool = False) -> LabelCounts:
    """Counts the labels of `split` without decoding its pictures.

    Raises:
        ConfigError: there is no such split.
        DataError: a file is missing or damaged.
    """
    check_shards(info, split)

    def labels(batch: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        features = info.parse(batch)
        shown = tf.cast(features["labels"], tf.bool)
        return shown & features["label_mask"], ~shown & features["label_mask"]

    records = tf.data.TFRecordDataset(info.shards(split), num_parallel_reads=tf.data.AUTOTUNE)
    batches = records.batch(_BATCH).map(labels, num_parallel_calls=tf.data.AUTOTUNE)
    batches = batches.with_options(dataset_options())
    totals = np.zeros((2, len(info.attributes)), np.int64)
    with progress(
        total=info.splits[split],
        desc=f"counting the labels of {split}",
        unit="picture",
        disable=not show_progress,
    ) as bar:
        for shown, absent in read_batches(batches, info, split):
            totals += [shown.numpy().sum(axis=0), absent.numpy().sum(axis=0)]
            bar.update(len(shown))
    return LabelCounts(positives=totals[0], negatives=totals[1])


def cached_label_counts(
    workdir: Path,
    info: RecordsInfo,
    split: str,
    show_progress: bool = False,
    writes: bool = True,
) -> LabelCounts:
    """Returns the counts that `workdir` holds; counts and keeps them if it holds none of this data.

    Nothing is kept unless `writes`.

    Raises:
        DataError: the file in the workdir cannot be read; see also `count_labels`.
    """
    path = workdir / COUNTS_FILE
    identity = {"fingerprint": info.fingerprint, "split": split}
    if path.is_file():
        try:
            record = read_json(path)
            if {key: record[key] for key in identity} == identity:
                pairs = np.array(list(record["labels"].values()), np.int64)  # [A, 2]
                return LabelCounts(positives=pairs[:, 0], negatives=pairs[:, 1])
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            raise DataError(f"{path} is not what tfac-train wrote: {error}") from error
    counts = count_labels(info, split, show_progress)
    if not writes:
        return counts
    pairs = np.stack([counts.positives, counts.negatives], axis=1).tolist()
    labels = dict(zip(info.attributes, pairs, strict=True))
    record = {**identity, "classes": ["positives", "negatives"], "labels": labels}
    write_json(path, record, indent=2)
    return counts
