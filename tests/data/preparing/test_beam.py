"""Preparation on Apache Beam gives what preparation in this process gives."""

import numpy as np
import pytest

from tests.data.celeba_files import NAMES, encoded_picture, write_celeba
from tests.data.preparing.test_preparation import records
from tfac.data.preparing.beam import BeamWorkers
from tfac.data.preparing.preparation import prepare
from tfac.data.preparing.workers import Processes
from tfac.data.sources.celeba import CelebASource
from tfac.errors import ConfigError, DataError

pytest.importorskip("apache_beam", reason="Apache Beam (tfac[beam]) is not installed")

PROCESSES = BeamWorkers(
    "DirectRunner", ("--direct_num_workers=2", "--direct_running_mode=multi_processing")
)
HERE = BeamWorkers("DirectRunner", ("--direct_running_mode=in_memory",))


@pytest.fixture(scope="module")
def broken_source(tmp_path_factory):
    """600 pictures, three chunks of annotation, and one of them broken."""
    folder = tmp_path_factory.mktemp("source")
    names = tuple(f"{i + 1:06d}.jpg" for i in range(600))
    write_celeba(folder, archive=False, names=names, partition=(0, 0, 0, 1, 2) * 120)
    (folder / "img_align_celeba" / names[300]).write_bytes(encoded_picture(300)[:-20])
    return folder


@pytest.fixture(scope="module")
def expected(broken_source, tmp_path_factory):
    data_dir = tmp_path_factory.mktemp("here")
    options = {"landmarks": "none", "on_error": "skip", "workers": Processes(1)}
    return prepare(CelebASource(broken_source), data_dir, **options)


def assert_same_records(prepared, expected):
    assert prepared.splits == expected.splits
    assert prepared.metadata == expected.metadata
    found, wanted = records(prepared), records(expected)
    assert found.keys() == wanted.keys()
    for key, record in wanted.items():
        for name, value in record.items():
            np.testing.assert_array_equal(found[key][name], value)


@pytest.mark.slow
def test_two_processes_write_the_same_records(broken_source, expected, tmp_path):
    options = {"landmarks": "none", "on_error": "skip", "workers": PROCESSES}
    prepared = prepare(CelebASource(broken_source), tmp_path, **options)
    assert_same_records(prepared, expected)
    assert [path.name for path in tmp_path.iterdir()] == ["celeba"]


@pytest.mark.slow
def test_a_dask_cluster_writes_the_same_records(broken_source, expected, tmp_path):
    distributed = pytest.importorskip("distributed", reason="Dask (apache-beam[dask]) is missing")
    with distributed.LocalCluster(2, threads_per_worker=1, dashboard_address=None) as cluster:
        dask = BeamWorkers("DaskRunner", (f"--dask_client_address={cluster.scheduler_address}",))
        options = {"landmarks": "none", "on_error": "skip", "workers": dask}
        assert_same_records(prepare(CelebASource(broken_source), tmp_path, **options), expected)


@pytest.mark.slow
def test_landmarks_are_the_same(tmp_path):
    source = CelebASource(write_celeba(tmp_path / "source"))
    prepared = prepare(source, tmp_path / "beam", workers=HERE)
    assert_same_records(prepared, prepare(source, tmp_path / "here", workers=Processes(1)))


def test_finished_chunks_are_not_computed_again(tmp_path, monkeypatch):
    source, data_dir = CelebASource(write_celeba(tmp_path / "source")), tmp_path / "data"

    def stop(*arguments, **options):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("tfac.data.preparing.preparation.write_data_set", stop)
        with pytest.raises(KeyboardInterrupt):
            prepare(source, data_dir, landmarks="none", workers=HERE)
    (chunk,) = data_dir.rglob("chunk-*.npz")
    monkeypatch.setattr("tfac.data.preparing.landmark_annotation._compute_chunk", stop)
    assert chunk.exists()
    assert prepare(source, data_dir, landmarks="none", workers=HERE).splits["train"] == 4


def test_a_broken_picture_stops_and_is_named(tmp_path):
    source = write_celeba(tmp_path / "source", archive=False)
    (source / "img_align_celeba" / NAMES[4]).write_bytes(b"broken")
    with pytest.raises(DataError, match=f"{NAMES[4]}: expected a picture.*list_attr_celeba.txt"):
        prepare(CelebASource(source), tmp_path / "data", landmarks="none", workers=HERE)


def test_a_pipeline_that_fails_says_so(tmp_path, monkeypatch):
    def fail(*arguments):
        raise OSError("the disk went away")

    monkeypatch.setattr("tfac.data.preparing.landmark_annotation._compute_chunk", fail)
    with pytest.raises(DataError, match="the Beam pipeline failed: .*the disk went away"):
        source = CelebASource(write_celeba(tmp_path / "source"))
        prepare(source, tmp_path / "data", landmarks="none", workers=HERE)


@pytest.mark.parametrize("option", ["--direct_num_worker=2", "--nonsense"])
def test_unknown_options_are_named(option):
    name = option.partition("=")[0]
    with pytest.raises(ConfigError, match=f"beam_option: expected .*Received: {name}$"):
        BeamWorkers("DirectRunner", (option,)).pipeline_options()


@pytest.mark.parametrize(
    ("runner", "options"),
    [
        ("DirectRunner", PROCESSES.options),
        ("DaskRunner", ("--dask_client_address=tcp://HOST:8786",)),
        ("FlinkRunner", ("--flink_master=HOST:8081", "--environment_type=LOOPBACK")),
        ("SparkRunner", ("--job_endpoint=HOST:8099", "--environment_type=LOOPBACK")),
    ],
)
def test_options_that_are_documented_are_known(runner, options):
    if runner == "DaskRunner":
        pytest.importorskip("distributed", reason="Dask (apache-beam[dask]) is not installed")
    assert BeamWorkers(runner, options).pipeline_options()


def test_a_runner_that_is_not_there_is_named():
    with pytest.raises(ConfigError, match="beam_runner: expected a runner .*Received: FastRunner"):
        BeamWorkers("FastRunner").pipeline_options()
