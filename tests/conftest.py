"""Fixtures shared by the tests: a tiny data set of records and the real faces, where present."""

import dataclasses
import io
import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
import pytest

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"

TINY_SPLITS = {"train": 24, "validation": 12, "test": 8}
# Height and width; the first is the size that the tiny models were trained at.
PICTURE_SIZES = [(48, 40), (61, 33), (20, 70), (218, 178)]


@pytest.fixture(scope="session")
def real_faces() -> Path:
    """The folder of real faces that is on the project's own machines alone."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"needs the real faces in {SHARED_DATA}, which are never published")
    return SHARED_DATA


@pytest.fixture(scope="session")
def tiny_records(tmp_path_factory) -> Path:
    """A prepared data set: 24, 12 and 8 noise pictures of 40x48 with all 40 labels.

    Attribute j is shown where the picture's mean brightness passes a level that rises with j, so
    labels are learnable. The first picture of each split has no landmarks, the second has three
    unannotated attributes.
    """
    import tensorflow as tf
    import tensorflow_datasets as tfds

    from tfac.attributes import ATTRIBUTES
    from tfac.data.records.features import record_features, record_metadata
    from tfac.landmarks import DLIB_72

    def examples(split: str, count: int):
        rng = np.random.default_rng(len(split))
        levels = np.linspace(60, 200, len(ATTRIBUTES))
        for i in range(count):
            brightness = rng.uniform(40, 215)
            picture = np.clip(rng.normal(brightness, 20, (48, 40, 3)), 0, 255).astype(np.uint8)
            label_mask = np.ones(len(ATTRIBUTES), bool)
            if i == 1:
                label_mask[:3] = False
            valid = i != 0
            yield {
                "image": tf.io.encode_jpeg(picture, quality=95).numpy(),
                "key": f"{split}-{i:03d}.jpg",
                "size": np.array(picture.shape[:2], np.int32),
                "labels": ((brightness > levels) & label_mask).astype(np.uint8),
                "label_mask": label_mask,
                "landmarks": rng.uniform(0.2, 0.8, (72, 2)).astype(np.float32) * valid
                + 0.5 * (not valid),
                "landmarks_valid": valid,
            }

    class TinyFaces(tfds.core.GeneratorBasedBuilder, skip_registration=True):
        """Tiny data set of the tests."""

        VERSION = tfds.core.Version("1.0.0")

        def _info(self):
            return tfds.core.DatasetInfo(
                builder=self,
                features=record_features(ATTRIBUTES, DLIB_72),
                metadata=record_metadata(ATTRIBUTES, DLIB_72),
            )

        def _split_generators(self, dl_manager):
            return {split: self._generate(split, n) for split, n in TINY_SPLITS.items()}

        def _generate(self, split, count):
            for example in examples(split, count):
                # A file object is stored byte for byte; an array would be encoded again.
                yield example["key"], {**example, "image": io.BytesIO(example["image"])}

        def _generate_examples(self):
            raise NotImplementedError

    data_dir = tmp_path_factory.mktemp("tiny")
    builder = TinyFaces(data_dir=data_dir)
    builder.download_and_prepare()
    return Path(builder.data_path)


@pytest.fixture(scope="session")
def tiny_trained():
    """A DMM-CNN (a small ResNet, 48x40) with random weights and thresholds amid its scores."""
    import keras
    import tensorflow as tf

    from tests.models.model_checks import create_tiny_resnet
    from tfac.attributes import ATTRIBUTES, default_groups
    from tfac.inference.trained_network import TrainedNetwork
    from tfac.landmarks import DLIB_72
    from tfac.losses import get_attribute_loss
    from tfac.models import create_model
    from tfac.training.config import TrainConfig

    keras.utils.set_random_seed(11)
    config = TrainConfig(backbone="resnet18", image_size=(48, 40), attribute_loss="squared_error")
    model = create_model("dmm_cnn", backbone=create_tiny_resnet())
    noise = np.random.default_rng(5).integers(0, 256, (16, *config.image_size, 3), np.uint8)
    scores = model(tf.constant(noise), training=False)["scores"].numpy()
    return TrainedNetwork(
        model=model,
        attribute_loss=get_attribute_loss(config.attribute_loss),
        thresholds=np.median(scores, axis=0),
        attributes=ATTRIBUTES,
        groups=default_groups(ATTRIBUTES),
        landmark_scheme=DLIB_72,
        image_size=config.image_size,
        step=7,
        training=config.to_dict(),
    )


@pytest.fixture(scope="session")
def tiny_frozen(tiny_records, tmp_path_factory) -> Path:
    """The workdir of a plain network on dlib's weights, its head fitted to `tiny_records`."""
    from tfac.training.config import TrainConfig
    from tfac.training.run import run_training

    config = TrainConfig(
        model="baseline",
        backbone="dlib_resnet29",
        backbone_weights="dlib",
        freeze=True,
        image_size=(64, 64),
        batch_size=8,
    )
    workdir = tmp_path_factory.mktemp("frozen")
    run_training(config, tiny_records, workdir, show_progress=False)
    return workdir


@pytest.fixture(scope="session")
def tiny_export(tiny_trained, tmp_path_factory) -> Path:
    """Version 1 of `tiny_trained`, exported."""
    from tfac.export import export_saved_model

    return export_saved_model(tiny_trained, tmp_path_factory.mktemp("saved_models") / "tiny")


@pytest.fixture(scope="session")
def pictures() -> list[np.ndarray]:
    """Noise of several sizes and brightnesses, uint8 [H, W, 3]."""
    rng = np.random.default_rng(3)
    return [
        np.clip(rng.normal(rng.uniform(50, 200), 40, (h, w, 3)), 0, 255).astype(np.uint8)
        for h, w in PICTURE_SIZES
    ]


@pytest.fixture(scope="session")
def encoded(pictures) -> list[bytes]:
    """The pictures as JPEG files."""
    import tensorflow as tf

    return [tf.io.encode_jpeg(picture, quality=95).numpy() for picture in pictures]


@pytest.fixture(scope="session")
def tiny_signatures(tiny_export):
    """What `tiny_export` can be asked."""
    import tensorflow as tf

    loaded = tf.saved_model.load(str(tiny_export))
    yield loaded.signatures


@pytest.fixture
def small(tiny_trained):
    """A trained model of a few weights; scores follow the mean colour."""
    import keras

    inputs = keras.Input((None, None, 3))
    features = keras.layers.GlobalAveragePooling2D()(keras.layers.Rescaling(1 / 255)(inputs))
    outputs = {"scores": keras.layers.Dense(40, dtype="float32")(features)}
    model = keras.Model(inputs, outputs)
    return dataclasses.replace(tiny_trained, model=model, landmark_scheme=None)
