"""Options that were not given, fitted to what a data set has."""

import dataclasses
from collections.abc import Collection

import tensorflow as tf

from tfac.data.records.info import RecordsInfo
from tfac.data.records.pipeline import read_batches
from tfac.errors import ConfigError
from tfac.losses import PartGuidance
from tfac.training.config import TrainConfig

_BATCH = 1024  # records


def fit_to_data(
    config: TrainConfig, given: Collection[str], info: RecordsInfo
) -> tuple[TrainConfig, list[str]]:
    """Returns options that the data set can be trained with, and a sentence for each that changed.

    A batch is no larger than the training split; without a validation split the training split
    stands in; without landmarks none are trained; where the attributes are in one part group there
    is no graph, and where no landmark tells a part's place no guidance.

    Args:
        config: the options.
        given: names of those that stay as they are, as the user gave them.
        info: the data set.
    """
    changes = {
        name: (value, why)
        for name, value, why in _changes(config, info)
        if name not in given and getattr(config, name) != value
    }
    config = dataclasses.replace(config, **{name: value for name, (value, _) in changes.items()})
    return config, [f"{name}={value}, as {why}" for name, (value, why) in changes.items()]


def _changes(config: TrainConfig, info: RecordsInfo):
    pictures = info.splits.get(config.train_split)
    if not pictures:
        return  # training refuses it
    if pictures < config.batch_size:
        yield "batch_size", pictures, f"split {config.train_split} has {pictures} pictures"
    if not info.splits.get(config.validation_split):
        why = f"there is no split {config.validation_split}: what it says of itself flatters"
        yield "validation_split", config.train_split, why
    if config.model == "mgg_net" and config.attention_groups == "parts":
        if len(info.groups.part_groups) < 2:
            why = f"all attributes are of the part {', '.join(info.groups.part_groups)}"
            yield "graph", False, f"{why} (tfac-prepare --attribute_groups says others)"
    if config.guides_attention and not _tells_parts(info):
        parts = ", ".join(info.groups.part_groups)
        why = f"landmarks tell the place of no part of {parts} (tfac-prepare --attribute_groups)"
        yield "guidance", 0.0, why
    if config.trains_landmarks or config.guides_attention:
        for split in (config.train_split, config.validation_split):
            if info.splits.get(split) and not has_landmarks(info, split):
                why = f"no picture of split {split} has landmarks"
                if config.trains_landmarks:
                    yield "landmarks", False, why
                if config.guides_attention:
                    yield "guidance", 0.0, why


def has_landmarks(info: RecordsInfo, split: str) -> bool:
    """Says whether a picture of the split has landmarks; reads up to the first that has."""
    records = tf.data.TFRecordDataset(info.shards(split)).batch(_BATCH)
    valid = records.map(lambda batch: info.parse(batch)["landmarks_valid"])
    return any(batch.numpy().any() for batch in read_batches(valid, info, split))


def _tells_parts(info: RecordsInfo) -> bool:
    try:
        PartGuidance(info.landmark_scheme, tuple(info.groups.part_groups))
    except ConfigError:
        return False
    return True
