import shutil

import numpy as np
import pytest
import tensorflow as tf

from tfac.data.records.info import read_info
from tfac.data.records.pipeline import evaluation_dataset, read_batches, train_dataset
from tfac.errors import ConfigError, DataError

STEPS_PER_EPOCH = 24 // 5


@pytest.fixture(scope="module")
def info(tiny_records):
    return read_info(tiny_records)


def train(info, **changes):
    arguments = {
        "image_size": (16, 16),
        "batch_size": 5,
        "seed": 7,
        "flip": True,
        "shuffle_buffer": 24,
        **changes,
    }
    return train_dataset(info, "train", **arguments)


def batches(dataset, count):
    return list(dataset.take(count).as_numpy_iterator())


def keys(dataset, count):
    return [batch["key"].tolist() for batch in batches(dataset, count)]


def assert_same(first, second):
    assert len(first) == len(second)
    for one, other in zip(first, second, strict=True):
        assert one.keys() == other.keys()
        for name in one:
            np.testing.assert_array_equal(one[name], other[name], err_msg=name)


def test_batches_have_the_documented_shapes_and_ranges(info):
    (batch,) = batches(train(info), 1)
    shapes = {name: (value.shape, value.dtype.name) for name, value in batch.items()}
    assert shapes == {
        "images": ((5, 16, 16, 3), "uint8"),
        "labels": ((5, 40), "float32"),
        "label_mask": ((5, 40), "float32"),
        "landmarks": ((5, 72, 2), "float32"),
        "landmarks_valid": ((5,), "float32"),
        "key": ((5,), "object"),
        "size": ((5, 2), "int32"),
    }
    assert set(np.unique(batch["labels"])) <= {0.0, 1.0}
    assert batch["size"].tolist() == [[48, 40]] * 5


def test_an_epoch_has_no_picture_twice_and_epochs_differ(info):
    order = keys(train(info), 3 * STEPS_PER_EPOCH)
    epochs = [sum(order[i : i + STEPS_PER_EPOCH], []) for i in (0, 4, 8)]
    for epoch in epochs:
        assert len(set(epoch)) == 20
    assert epochs[0] != epochs[1] != epochs[2]


def test_seed_decides_the_order_and_the_process_wide_seed_does_not(info):
    tf.random.set_seed(1)
    first = keys(train(info), 6)
    tf.random.set_seed(2)
    assert keys(train(info), 6) == first
    assert keys(train(info, seed=8), 6) != first


@pytest.mark.parametrize(
    ("cache", "shuffle_buffer"), [("none", 1000), ("none", 3), ("memory", 3), ("folder", 24)]
)
def test_resumed_batches_equal_uninterrupted_ones_across_epochs(
    info, cache, shuffle_buffer, tmp_path
):
    cache = str(tmp_path) if cache == "folder" else cache
    options = {"cache": cache, "shuffle_buffer": shuffle_buffer}
    whole = batches(train(info, **options), 11)
    for start in (3, 4, 6):  # before, at and past the border of an epoch
        resumed = batches(train(info, start_step=start, **options), 11 - start)
        assert_same(resumed, whole[start:])


def test_cache_changes_nothing(info, tmp_path):
    whole = batches(train(info), 9)
    assert_same(batches(train(info, cache="memory"), 9), whole)
    assert_same(batches(train(info, cache=str(tmp_path)), 9), whole)


def test_memory_cache_reads_the_files_once(tiny_records, tmp_path):
    copy = shutil.copytree(tiny_records, tmp_path / "data")
    dataset = iter(train(read_info(copy), cache="memory"))
    first_epoch = [next(dataset) for _ in range(STEPS_PER_EPOCH + 1)]
    shutil.rmtree(copy)
    later = [next(dataset) for _ in range(3 * STEPS_PER_EPOCH)]
    assert len(first_epoch) + len(later) == 17


def test_folder_cache_appears_whole_is_reused_and_fits_one_size_alone(info, tmp_path):
    train(info, cache=str(tmp_path))
    (folder,) = tmp_path.iterdir()
    written = folder.stat().st_mtime_ns
    train(info, cache=str(tmp_path))
    assert [path.stat().st_mtime_ns for path in tmp_path.iterdir()] == [written]
    (batch,) = batches(train(info, cache=str(tmp_path), image_size=(8, 12)), 1)
    assert batch["images"].shape == (5, 8, 12, 3)
    assert len(list(tmp_path.iterdir())) == 2


def test_damaged_folder_cache_is_reported(info, tmp_path):
    train(info, cache=str(tmp_path))
    for path in tmp_path.rglob("*.snapshot"):
        path.write_bytes(path.read_bytes()[:-100])
    dataset = evaluation_dataset(
        info, "train", image_size=(16, 16), batch_size=5, cache=str(tmp_path)
    )
    with pytest.raises(DataError, match="a cache of it may be damaged"):
        list(read_batches(dataset, info, "train"))


@pytest.mark.parametrize("cache", ["none", "memory"])
def test_evaluation_counts_every_picture_once_in_the_same_order(info, cache):
    dataset = evaluation_dataset(info, "validation", image_size=(16, 16), batch_size=5, cache=cache)
    passes = [
        [batch["key"].numpy().tolist() for batch in read_batches(dataset, info, "validation")]
        for _ in range(2)
    ]
    assert [len(batch) for batch in passes[0]] == [5, 5, 2]
    assert sorted(sum(passes[0], [])) == [b"validation-%03d.jpg" % i for i in range(12)]
    assert passes[0] == passes[1]


def test_evaluation_pictures_are_unchanged(info):
    dataset = evaluation_dataset(info, "train", image_size=(48, 40), batch_size=24)
    (batch,) = list(dataset)
    for record in tf.data.TFRecordDataset(info.shards("train")):
        features = info.parse(record)
        row = batch["key"].numpy().tolist().index(features["key"].numpy())
        picture = tf.io.decode_jpeg(features["image"], dct_method="INTEGER_ACCURATE")
        np.testing.assert_array_equal(batch["images"][row], picture)
        np.testing.assert_array_equal(batch["labels"][row], features["labels"])
        np.testing.assert_array_equal(batch["label_mask"][row], features["label_mask"])
        np.testing.assert_array_equal(batch["landmarks"][row], features["landmarks"])


@pytest.mark.parametrize("cache", ["none", "memory"])
def test_no_data_set_tunes_itself(info, cache):
    """Its iterator could wait for seconds when it is dropped, see `dataset_options`."""
    evaluation = evaluation_dataset(info, "train", image_size=(16, 16), batch_size=5, cache=cache)
    for dataset in (evaluation, train(info, cache=cache)):
        images = dataset.map(lambda batch: batch["images"])
        assert images.options().autotune.enabled is False


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"batch_size": 25}, "at most the 24 pictures of split train"),
        ({"batch_size": 0}, "batch size of at least 1"),
        ({"image_size": (0, 4)}, "image size and batch size"),
        ({"shuffle_buffer": 0}, "shuffle buffer of at least 1"),
        ({"start_step": -1}, "start step of at least 0"),
    ],
)
def test_values_that_cannot_be_used_are_refused(info, changes, message):
    with pytest.raises(ConfigError, match=message):
        train(info, **changes)


def test_unknown_split_is_refused(info):
    with pytest.raises(ConfigError, match="expected one of .*Received: valid"):
        evaluation_dataset(info, "valid", image_size=(8, 8), batch_size=2)


def test_picture_damaged_after_the_start_is_named_in_the_middle_of_training(tiny_records, tmp_path):
    info = read_info(shutil.copytree(tiny_records, tmp_path / "data"))
    dataset = train(info)
    (shard,) = info.shards("train")
    with open(shard, "r+b") as file:
        file.seek(30_000)
        file.write(b"\xff" * 8)
    with pytest.raises(DataError, match=r"train\.tfrecord-00000-of-00001: record \d+ is"):
        list(read_batches(dataset.take(STEPS_PER_EPOCH), info, "train"))
