import io

import numpy as np
import pytest
import tensorflow_datasets as tfds

from tests.data.celeba_files import encoded_picture, label
from tfac.attributes import ATTRIBUTES
from tfac.data.preparing.preparation import prepare
from tfac.data.preparing.workers import Processes
from tfac.data.records.info import read_info
from tfac.data.sources.celeba import LANDMARK_COLUMNS
from tfac.data.sources.problems import Problems
from tfac.data.sources.tfds_celeb_a import TFDSCelebASource
from tfac.errors import DataError

COUNTS = {"train": 5, "validation": 2, "test": 1}


def write_celeb_a(data_dir, attributes=ATTRIBUTES):
    """Writes a tiny celeb_a with TFDS's own features; returns its version's folder."""

    class CelebA(tfds.core.GeneratorBasedBuilder, skip_registration=True):
        name = "celeb_a"
        VERSION = tfds.core.Version("2.1.0")

        def _info(self):
            features = {
                "image": tfds.features.Image(shape=(218, 178, 3), encoding_format="jpeg"),
                "landmarks": {name: np.int64 for name in LANDMARK_COLUMNS},
                "attributes": {name: np.bool_ for name in attributes},
                "identity": {"Identity_No": np.int64},
            }
            return tfds.core.DatasetInfo(
                builder=self, features=tfds.features.FeaturesDict(features)
            )

        def _split_generators(self, dl_manager):
            return {split: self._generate_examples(split) for split in COUNTS}

        def _generate_examples(self, split):
            for i in range(COUNTS[split]):
                points = [69, 111, 108, 111, 88 + i, 400 if i == 1 else 131, 73, 152, 105, 152]
                yield (
                    f"{split}{i}",
                    {
                        "image": io.BytesIO(encoded_picture(i, 218, 178)),
                        "landmarks": dict(zip(LANDMARK_COLUMNS, points, strict=True)),
                        "attributes": {
                            name: bool(label(i, j)) for j, name in enumerate(attributes)
                        },
                        "identity": {"Identity_No": i},
                    },
                )

    builder = CelebA(data_dir=data_dir)
    builder.download_and_prepare()
    return builder.data_path


@pytest.fixture(scope="module")
def celeb_a(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tfds")
    write_celeb_a(folder)
    return folder


def test_pictures_labels_and_landmarks_stay_together(celeb_a, tmp_path):
    source = TFDSCelebASource(celeb_a, tmp_path / "pictures.zip")
    splits = source.read_splits(Problems(), with_landmarks=True)
    assert {name: len(split.names) for name, split in splits.items()} == COUNTS
    found = set()
    for row, name in enumerate(splits["train"].names):
        (i,) = [i for i in range(5) if source.pictures.read(name) == encoded_picture(i, 218, 178)]
        found.add(i)
        assert splits["train"].labels[row].tolist() == [label(i, j) for j in range(40)]
        landmarks = splits["train"].landmarks[row]
        if i == 1:  # one of its points is below the picture
            assert np.isnan(landmarks).all()
        else:
            np.testing.assert_allclose(landmarks[2], [(88 + i) / 178, 131 / 218], rtol=1e-6)
    assert found == set(range(5))
    source.clean_up()
    assert not (tmp_path / "pictures.zip").exists()


def test_records_are_prepared_and_nothing_else_is_left(celeb_a, tmp_path):
    archive = tmp_path / "data" / ".celeb_a-pictures.zip"
    options = {"landmarks": "celeba_5", "workers": Processes(1)}
    prepared = prepare(TFDSCelebASource(celeb_a, archive), tmp_path / "data", **options)
    assert read_info(tmp_path / "data").splits == COUNTS == prepared.splits
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["celeb_a"]
    again = prepare(TFDSCelebASource(celeb_a, archive), tmp_path / "data", **options)
    assert again.already_there and not archive.exists()


@pytest.mark.parametrize("below", ["", "celeb_a", "celeb_a/2.1.0"])
def test_folder_may_be_any_above_the_version(celeb_a, tmp_path, below):
    TFDSCelebASource(celeb_a / below, tmp_path / "pictures.zip")


def test_other_folders_are_refused(tmp_path):
    with pytest.raises(DataError, match="expected exactly one version of celeb_a.*none"):
        TFDSCelebASource(tmp_path, tmp_path / "pictures.zip")
    folder = write_celeb_a(tmp_path, ATTRIBUTES[:39])
    with pytest.raises(DataError, match="expected the features of celeb_a. Missing: attr.* Young"):
        TFDSCelebASource(folder, tmp_path / "pictures.zip")
    (folder / "dataset_info.json").write_text("{")
    with pytest.raises(DataError, match="2.1.0: expected a data set of TFDS"):
        TFDSCelebASource(folder, tmp_path / "pictures.zip")


def test_features_of_other_classes_are_not_imported(celeb_a, tmp_path):
    (version,) = celeb_a.glob("celeb_a/*")
    text = (version / "features.json").read_text()
    own = "tensorflow_datasets.core.features.image_feature.Image"
    assert own in text
    (tmp_path / "dataset_info.json").write_text("{}")
    (tmp_path / "features.json").write_text(text.replace(own, "wave.Wave_read"))
    with pytest.raises(DataError, match="features.json: .*Received: wave.Wave_read"):
        TFDSCelebASource(tmp_path, tmp_path / "pictures.zip")


def test_cut_records_leave_no_archive(tmp_path):
    folder = write_celeb_a(tmp_path)
    for path in folder.glob("*train*tfrecord*"):
        path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DataError, match="the pictures cannot be copied"):
        TFDSCelebASource(tmp_path, tmp_path / "pictures.zip").read_splits(Problems())
    assert not list(tmp_path.glob("*.zip"))
