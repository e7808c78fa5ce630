import hashlib
import shutil

import numpy as np
import pytest
import tensorflow as tf

from tfac.data.records.info import read_info
from tfac.data_report.statistics import read_pictures, read_statistics
from tfac.errors import ConfigError, DataError


def records(info, split):
    for record in tf.data.TFRecordDataset(info.shards(split)):
        yield {name: value.numpy() for name, value in info.parse(record).items()}


def area_mean(grey, rows, columns):
    """The mean of each cell of a grid [rows, columns] over a picture, pixel by pixel in parts."""
    height, width = grey.shape
    cells = np.zeros((rows, columns))
    for r in range(rows):
        for c in range(columns):
            total = 0
            top, bottom = r * height / rows, (r + 1) * height / rows
            left, right = c * width / columns, (c + 1) * width / columns
            for y in range(int(top), int(np.ceil(bottom))):
                for x in range(int(left), int(np.ceil(right))):
                    part = (min(bottom, y + 1) - max(top, y)) * (min(right, x + 1) - max(left, x))
                    total += part * grey[y, x]
            cells[r, c] = total / ((bottom - top) * (right - left))
    return cells


def test_statistics_are_those_of_the_records(tiny_records):
    info = read_info(tiny_records)
    found = read_statistics(info, "train")
    expected = list(records(info, "train"))
    assert len(found.keys) == len(expected) == 24
    for i, record in enumerate(expected):
        assert found.keys[i] == record["key"].decode()
        assert found.checksums[i] == hashlib.sha256(record["image"]).digest()
        for name in ("labels", "label_mask"):
            np.testing.assert_array_equal(getattr(found, name)[i], record[name])
        assert found.sizes[i].tolist() == [48, 40]
    valid = [record["landmarks"] for record in expected if record["landmarks_valid"]]
    assert found.summary.with_landmarks == len(valid) == 23
    np.testing.assert_allclose(found.summary.mean_landmarks, np.mean(valid, axis=0), rtol=1e-5)
    assert found.summary.num_bytes == sum(len(record["image"]) for record in expected)
    picture = tf.io.decode_jpeg(expected[0]["image"], dct_method="INTEGER_ACCURATE").numpy()
    grey = picture @ [0.2989, 0.587, 0.114]
    assert found.contrasts[0] == pytest.approx(grey.std(), rel=1e-3)
    cells = area_mean(grey, 16, 17)
    words = []
    for word in range(16):
        bits = ""
        for row in range(16):
            column = (word + 5 * row) % 16
            bits += "1" if cells[row, column + 1] > cells[row, column] else "0"
        words.append(int(bits[:8], 2) + 256 * int(bits[8:], 2))
    assert found.hashes[0].tolist() == words


def test_pictures_are_found_by_key(tiny_records):
    info = read_info(tiny_records)
    pictures = read_pictures(info, "test", {"test-003.jpg", "other"})
    assert list(pictures) == ["test-003.jpg"] and pictures["test-003.jpg"].shape == (48, 40, 3)
    assert read_pictures(info, "test", set()) == {}


def test_broken_records_and_unknown_splits_are_named(tiny_records, tmp_path):
    shutil.copytree(tiny_records, tmp_path / "broken")
    (shard,) = (tmp_path / "broken").glob("*test*tfrecord*")
    contents = bytearray(shard.read_bytes())
    contents[200] ^= 255
    shard.write_bytes(contents)
    info = read_info(tmp_path / "broken")
    with pytest.raises(DataError, match="test.tfrecord.*: record 0 is cut off or corrupt"):
        read_statistics(info, "test")
    with pytest.raises(ConfigError, match="unknown or empty split"):
        read_statistics(info, "dev")
