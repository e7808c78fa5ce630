import dlib
import numpy as np
import pytest

from tfac.data.synthetic.drawing import draw_face
from tfac.data.synthetic.sampling import sample_face
from tfac.dlib_files import FACE_RECOGNITION, dlib_file
from tfac.errors import ConfigError
from tfac.models import create_backbone, create_model, load_backbone_weights
from tfac.models.calibration import calibrate_batch_norms
from tfac.models.dlib_weights import load_dlib_weights
from tfac.models.normalization import create_image_normalization


@pytest.fixture(scope="module")
def chips():
    """Four drawn faces, uint8 [4, 150, 150, 3]: the size that dlib's network takes."""
    return np.stack([draw_face(sample_face(0, "train", i, 0), 150)[0] for i in range(4)])


@pytest.fixture
def normalized(chips):
    return np.array(create_image_normalization()(chips))


def test_gives_the_numbers_of_dlib(chips, normalized):
    network = dlib.face_recognition_model_v1(str(dlib_file(FACE_RECOGNITION, "a test")))
    expected = np.array([network.compute_face_descriptor(chip) for chip in chips])
    backbone = create_backbone("dlib_resnet29")
    last_layer = load_dlib_weights(backbone)
    # The backbone appends the mean of the last stage to every cell.
    means = np.array(backbone(normalized, training=False))[:, 0, 0, 256:]
    np.testing.assert_allclose(means @ last_layer, expected, atol=1e-4)
    assert np.abs(expected).max() > 0.1


def test_calibrated_norms_leave_answers_and_have_the_statistics_of_the_pictures(normalized):
    backbone = create_backbone("dlib_resnet29")
    load_backbone_weights(backbone, "dlib")
    expected = np.array(backbone(normalized, training=False))
    assert calibrate_batch_norms(backbone, normalized) == 29
    np.testing.assert_allclose(backbone(normalized, training=False), expected, rtol=1e-3, atol=1e-4)
    # A step of training now starts from the network as it was, which it does not otherwise.
    in_training = np.array(backbone(normalized, training=True))
    np.testing.assert_allclose(in_training, expected, rtol=1e-2, atol=1e-3)


def test_damaged_file_is_refused(tmp_path):
    contents = bytearray(dlib_file(FACE_RECOGNITION, "a test").read_bytes())
    contents[1_000_000] ^= 1
    damaged = tmp_path / "damaged.dat"
    damaged.write_bytes(contents)
    for path, words in ((damaged, "22466066 bytes with SHA-256"), (tmp_path / "none", "cannot")):
        with pytest.raises(ConfigError, match=words):
            load_dlib_weights(create_backbone("dlib_resnet29"), path)


def test_larger_file_is_not_read_to_its_end(tmp_path):
    with (tmp_path / "large.dat").open("wb") as file:
        file.truncate(2**33)
    with pytest.raises(ConfigError, match="more than 22466066 bytes"):
        load_dlib_weights(create_backbone("dlib_resnet29"), tmp_path / "large.dat")


def test_weights_of_dlib_for_another_backbone_are_refused():
    with pytest.raises(ConfigError, match="those of backbone dlib_resnet29. Received: resnet18"):
        create_model("baseline", backbone="resnet18", backbone_weights="dlib")
