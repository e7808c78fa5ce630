import json
import shutil

import numpy as np
import pytest

from tfac.data.records.info import read_info
from tfac.data_report.statistics import read_statistics
from tfac.data_report.summarizing import summarize
from tfac.data_report.summary import (
    EDGES,
    DataSetSummary,
    SplitSummary,
    ValueSummary,
    phi,
    read_summary,
    write_summary,
)
from tfac.errors import DataError


@pytest.fixture(scope="module")
def info(tiny_records):
    return read_info(tiny_records)


@pytest.fixture(scope="module")
def train(info):
    parts = [summarize(info, "train", path) for path in info.shard_lengths["train"]]
    whole = parts[0]
    for part in parts[1:]:
        whole = whole + part
    return whole


def test_summary_counts_the_records(info, train):
    whole = read_statistics(info, "train")
    labels, mask = whole.labels.astype(int), whole.label_mask.astype(int)
    assert whole.summary.to_dict() == train.to_dict() and train.num_pictures == len(whole.keys)
    assert train.annotated_counts.tolist() == mask.sum(0).tolist()
    assert train.shown_counts.tolist() == (labels * mask).sum(axis=0).tolist()
    for a, b in ((0, 39), (5, 6), (2, 2)):
        both = mask[:, a] * mask[:, b]
        assert train.annotated[a, b] == both.sum()
        assert train.shown[a, b] == (labels[:, a] * both).sum()
        assert train.both_shown[a, b] == (labels[:, a] * labels[:, b] * both).sum()
    assert train.size_range == ((48, 48), (40, 40))
    contrast = train.values["image/contrast"]
    assert contrast.mean == pytest.approx(whole.contrasts.mean(), rel=1e-5)
    assert contrast.deviation == pytest.approx(whole.contrasts.std(), rel=1e-3)
    assert contrast.counts.sum() == 24 and contrast.lowest == whole.contrasts.min()


def test_phi_of_millions_of_pictures_does_not_overflow():
    count, shown = np.full((2, 2), 10**9), np.full((2, 2), 5 * 10**8)
    np.testing.assert_allclose(phi(shown, count, shown), np.ones((2, 2)))


def test_parts_add_up_to_the_whole():
    values = np.random.default_rng(0).uniform(-10, 300, 50)  # beyond the edges, too
    edges = EDGES["image/brightness"]
    parts, whole = ValueSummary.of(values[:20], edges), ValueSummary.of(values, edges)
    parts += ValueSummary.of(values[20:], edges)
    assert parts.counts.tolist() == whole.counts.tolist() and whole.counts.sum() == 50
    assert (parts.lowest, parts.highest) == (whole.lowest, whole.highest)
    assert parts.mean == pytest.approx(values.mean())
    assert parts.deviation == pytest.approx(values.std())


def test_a_summary_takes_as_much_memory_however_many_pictures(train):
    doubled = train
    for _ in range(10):
        doubled = doubled + doubled
    assert doubled.num_pictures == 24 * 1024
    sizes = [len(json.dumps(summary.to_dict())) for summary in (train, doubled)]
    assert sizes[1] < 2 * sizes[0]  # digits


def test_files_hold_all_of_a_summary(info, train, tmp_path):
    written = DataSetSummary(
        info.name, info.fingerprint, info.attributes, info.landmark_scheme, {"train": train}
    )
    write_summary(written, tmp_path / "a.json")
    found = read_summary(tmp_path / "a.json")
    assert found.attributes == info.attributes
    assert found.landmark_scheme is info.landmark_scheme
    assert found.splits["train"].to_dict() == train.to_dict()
    assert isinstance(found.splits["train"], SplitSummary)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"name": "faces", "splits": 3}'])
def test_files_that_are_no_summary_are_refused(tmp_path, content):
    (tmp_path / "bad.json").write_text(content)
    with pytest.raises(DataError, match="bad.json: expected statistics of a data set"):
        read_summary(tmp_path / "bad.json")


def test_broken_records_are_named(info, tmp_path):
    shutil.copytree(info.path, tmp_path / "broken")
    broken = read_info(tmp_path / "broken")
    (shard,) = broken.shard_lengths["test"]
    contents = bytearray(shard.read_bytes())
    contents[200] ^= 255
    shard.write_bytes(contents)
    with pytest.raises(DataError, match="record 0 is cut off or corrupt"):
        summarize(broken, "test", shard)
