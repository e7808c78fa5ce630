import shutil

import pytest

pytest.importorskip("apache_beam", reason="Apache Beam (tfac[beam]) is not installed")

from tensorflow_metadata.proto.v0 import statistics_pb2

from pipelines.components.statistics_gen import read_statistics, statistics_gen
from pipelines.engine.artifacts import Examples, ExampleStatistics
from tfac.data.records.info import read_info
from tfac.data_report.summarizing import summarize
from tfac.errors import DataError

pytestmark = pytest.mark.slow  # Beam


@pytest.fixture(scope="module")
def statistics(tiny_records, tmp_path_factory):
    made = ExampleStatistics(tmp_path_factory.mktemp("statistics"))
    statistics_gen(Examples(tiny_records), made)
    return made


def test_every_split_is_described(statistics, tiny_records):
    info, summary = read_info(tiny_records), read_statistics(statistics)
    assert statistics.properties == {
        "fingerprint": info.fingerprint,
        "pictures": {"test": 8, "train": 24, "validation": 12},
    }
    assert summary.attributes == info.attributes and summary.name == info.name
    (shard,) = info.shard_lengths["test"]
    assert summary.splits["test"].to_dict() == summarize(info, "test", shard).to_dict()
    names = sorted(path.relative_to(statistics.path).as_posix() for path in files(statistics.path))
    splits = ("test", "train", "validation")
    assert names == ["statistics.json", *(f"{split}/statistics.pb" for split in splits)]


def test_protos_say_what_the_summary_says(statistics):
    about = read_statistics(statistics).splits["train"]
    proto = statistics_pb2.DatasetFeatureStatisticsList.FromString(
        (statistics.path / "train" / "statistics.pb").read_bytes()
    )
    (data_set,) = proto.datasets
    assert (data_set.name, data_set.num_examples) == ("train", 24)
    features = {feature.name: feature for feature in data_set.features}
    assert len(features) == 44
    labels = features["labels/5_o_Clock_Shadow"].num_stats
    assert (labels.common_stats.num_non_missing, labels.common_stats.num_missing) == (23, 1)
    assert labels.mean == pytest.approx(about.shown_counts[0] / 23)
    assert labels.num_zeros == 23 - about.shown_counts[0]
    assert [b.sample_count for b in labels.histograms[0].buckets] == [
        labels.num_zeros,
        about.shown_counts[0],
    ]
    height = features["image/height"].num_stats
    assert (height.min, height.max, height.mean, height.std_dev) == (48, 48, 48, 0)
    assert sum(bucket.sample_count for bucket in height.histograms[0].buckets) == 24


def test_finished_files_are_not_read_again(tiny_records, tmp_path, monkeypatch):
    whole, stopped = (ExampleStatistics(tmp_path / name) for name in ("whole", "stopped"))
    statistics_gen(Examples(tiny_records), whole)
    read = []

    def stop_at_the_third(info, split, shard):
        read.append(shard)
        if len(read) == 3:
            raise KeyboardInterrupt
        return summarize(info, split, shard)

    with monkeypatch.context() as patch:
        patch.setattr("tfac.data_report.summarizing.summarize", stop_at_the_third)
        with pytest.raises((KeyboardInterrupt, DataError)):
            statistics_gen(Examples(tiny_records), stopped)
    there = {path.name.removesuffix(".json") for path in (stopped.path / "shards").iterdir()}
    assert there == {shard.name for shard in read[:2]}

    def not_again(info, split, shard):
        assert shard.name not in there
        return summarize(info, split, shard)

    monkeypatch.setattr("tfac.data_report.summarizing.summarize", not_again)
    statistics_gen(Examples(tiny_records), stopped)
    contents = [{p.name: p.read_bytes() for p in files(made.path)} for made in (whole, stopped)]
    assert contents[0] == contents[1]


def test_broken_records_are_named(tiny_records, tmp_path):
    shutil.copytree(tiny_records, tmp_path / "broken")
    (shard,) = (tmp_path / "broken").glob("*test*tfrecord*")
    shard.write_bytes(shard.read_bytes()[:-10])
    with pytest.raises(DataError, match="tinyfaces|tiny_faces.*-test.tfrecord"):
        statistics_gen(Examples(tmp_path / "broken"), ExampleStatistics(tmp_path / "statistics"))


def files(folder):
    return [path for path in sorted(folder.rglob("*")) if path.is_file()]
