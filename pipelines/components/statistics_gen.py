"""StatisticsGen: what each split holds, in a fixed amount of memory, on Beam."""

import functools
import itertools
import operator
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from tensorflow_metadata.proto.v0 import statistics_pb2

from pipelines.components.beam import create_workers
from pipelines.components.features import BEAM_RUNNER, label_feature
from pipelines.engine.artifacts import Examples, ExampleStatistics, Input, Output
from pipelines.engine.component import component
from tfac.data_report.summary import (
    EDGES,
    DataSetSummary,
    SplitSummary,
    ValueSummary,
    read_summary,
    write_summary,
)
from tfac.files import whole_file

if TYPE_CHECKING:
    from tfac.data.records.info import RecordsInfo

STATISTICS_FILE = "statistics.json"
PROTO_FILE = "statistics.pb"  # in a folder for each split

Work = tuple[str, Path, Path]  # a split, a file of its records, where its summary goes


@component(neutral=("beam_runner", "beam_options"), resumable=True)
def statistics_gen(
    examples: Input[Examples],
    statistics: Output[ExampleStatistics],
    *,
    beam_runner: str = BEAM_RUNNER,
    beam_options: list[str] | None = None,
) -> None:
    """Reads every record once, a file of them at a time, and adds the files' summaries up.

    Pictures that are there twice are the business of tfac-data-report, which remembers each.

    Args:
        examples: the data set.
        statistics: statistics.json (`tfac.data_report.summary.DataSetSummary`), and for each split
            statistics.pb, a `DatasetFeatureStatisticsList` of tensorflow-metadata.
        beam_runner: Beam's runner; all of its workers see the same files.
        beam_options: the runner's options, such as "--direct_num_workers=2".

    Raises:
        DataError: a record or picture is broken.
    """
    from tfac.data.records.info import read_info

    info = read_info(examples.path)
    shards = statistics.path / "shards"
    work = _work(info, shards)
    workers = create_workers(beam_runner, beam_options)
    for _ in workers.for_each(_summarize, work, info, is_done=lambda item: item[2].exists()):
        pass
    summary = _describe(info, _add_up(work))
    for split, about in summary.splits.items():
        with whole_file(statistics.path / split / PROTO_FILE) as aside:
            aside.write_bytes(_as_proto(summary, split, about).SerializeToString(True))
    write_summary(summary, statistics.path / STATISTICS_FILE)
    shutil.rmtree(shards)
    statistics.properties |= {
        "fingerprint": info.fingerprint,
        "pictures": {split: about.num_pictures for split, about in summary.splits.items()},
    }


def read_statistics(statistics: ExampleStatistics) -> DataSetSummary:
    """Returns what StatisticsGen has written.

    Raises:
        DataError: the file is missing or broken.
    """
    return read_summary(statistics.path / STATISTICS_FILE)


def _work(info: "RecordsInfo", folder: Path) -> list[Work]:
    from tfac.data.records.info import check_shards

    work = []
    for split, count in info.splits.items():
        if count:
            check_shards(info, split)
            files = [path for path, length in info.shard_lengths[split].items() if length]
            work += [(split, file, folder / f"{file.name}.json") for file in files]
    return work


def _summarize(item: Work, info: "RecordsInfo") -> None:
    from tfac.data_report.summarizing import summarize

    split, file, target = item
    if not target.exists():
        write_summary(_describe(info, {split: summarize(info, split, file)}), target)


def _add_up(work: list[Work]) -> dict[str, SplitSummary]:
    """Returns the summaries of the splits; one file's is in memory at a time."""
    return {
        split: functools.reduce(
            operator.add, (read_summary(target).splits[split] for _, _, target in files)
        )
        for split, files in itertools.groupby(work, key=operator.itemgetter(0))
    }


def _describe(info: "RecordsInfo", splits: Mapping[str, SplitSummary]) -> DataSetSummary:
    return DataSetSummary(
        info.name, info.fingerprint, info.attributes, info.landmark_scheme, splits
    )


def _as_proto(
    summary: DataSetSummary, split: str, about: SplitSummary
) -> statistics_pb2.DatasetFeatureStatisticsList:
    proto = statistics_pb2.DatasetFeatureStatisticsList()
    data_set = proto.datasets.add(name=split, num_examples=about.num_pictures)
    labelled = zip(
        summary.attributes,
        about.shown_counts.tolist(),
        about.annotated_counts.tolist(),
        strict=True,
    )
    for attribute, shown, annotated in labelled:
        counts = np.array([annotated - shown, shown])
        labels = ValueSummary(0, 1, shown, shown, counts)
        _add_feature(data_set, label_feature(attribute), "INT", labels, (0, 0.5, 1))
    for name, values in about.values.items():
        kind = "INT" if name in ("image/height", "image/width") else "FLOAT"
        _add_feature(data_set, name, kind, values, EDGES[name])
    return proto


def _add_feature(data_set, name: str, kind: str, values: ValueSummary, edges) -> None:
    """Adds a feature with one value in each picture that has it."""
    feature = data_set.features.add(
        name=name, type=statistics_pb2.FeatureNameStatistics.Type.Value(kind)
    )
    count, numbers = int(values.counts.sum()), feature.num_stats
    common = numbers.common_stats
    common.num_non_missing, common.num_missing = count, data_set.num_examples - count
    common.tot_num_values = count
    if not count:
        return
    common.min_num_values = common.max_num_values = common.avg_num_values = 1
    numbers.mean, numbers.std_dev = values.mean, values.deviation
    numbers.min, numbers.max = values.lowest, values.highest
    if edges == (0, 0.5, 1):
        numbers.num_zeros = values.counts[0]
    histogram = numbers.histograms.add(type=statistics_pb2.Histogram.STANDARD)
    for low, high, inside in zip(edges, edges[1:], values.counts, strict=False):
        histogram.buckets.add(low_value=low, high_value=high, sample_count=int(inside))
