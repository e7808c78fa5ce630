import numpy as np
import pytest
import tensorflow as tf

from tests.models.model_checks import create_tiny_backbone, random_images, run_model_test
from tfac.models import backbones, create_backbone, create_model, load_backbone_weights
from tfac.models.two_crop_net import TwoCropNet

IMAGES = random_images(2, 218, 178)


@pytest.fixture(scope="module")
def network():
    model = TwoCropNet(
        create_tiny_backbone(), whole_size=(68, 56), close_up_size=(64, 64), grid=(2, 1)
    )
    model.build((None, None, None, 3))
    return model


def test_network_contract(tmp_path):
    sizes = {"whole_size": (68, 56), "close_up_size": (64, 64), "grid": (2, 1)}
    arguments = {"backbone": create_tiny_backbone(), **sizes}
    run_model_test(TwoCropNet, arguments, tmp_path, smallest=(16, 17))


def cell_mean(maps, rows, columns):
    total, count = 0, 0
    for row in range(*rows):
        for column in range(*columns):
            total, count = total + maps[row, column], count + 1
    return total / count


def test_head_reads_means_of_all_levels_and_a_grid_of_p4_of_both_crops(network):
    crops = (IMAGES, IMAGES[:, 78:187, 34:144])  # where dlib's chips lie in CelebA's pictures
    expected = [[], []]
    for crop, size, extractor in zip(
        crops, [(68, 56), (64, 64)], network.feature_extractors, strict=True
    ):
        resized = tf.image.resize(tf.cast(crop, tf.float32), size)
        maps = {k: np.array(v) for k, v in extractor(network.normalization(resized)).items()}
        for b, features in enumerate(expected):
            for level in ("P3", "P4", "P5"):
                h, w, _ = maps[level].shape[1:]
                features.append(cell_mean(maps[level][b], (0, h), (0, w)))
            h, w, _ = maps["P4"].shape[1:]
            features.append(cell_mean(maps["P4"][b], (0, -(-h // 2)), (0, w)))
            features.append(cell_mean(maps["P4"][b], (h // 2, h), (0, w)))
    expected = np.stack([np.concatenate(features) for features in expected])
    np.testing.assert_allclose(network.features(IMAGES), expected, rtol=1e-3, atol=1e-3)
    kernel, bias = network.head.get_weights()
    np.testing.assert_allclose(
        network(IMAGES)["scores"], expected @ kernel + bias, rtol=1e-3, atol=1e-2
    )


def test_has_11_4_million_weights_of_two_backbones():
    # The head: 2 x (64 + 128 + 512 + 16 x 128) features and a bias for each attribute.
    assert create_model("two_crop_net").count_params() == 2 * 5_585_376 + 40 * (2 * 2752 + 1)


def test_both_backbones_start_from_the_weights():
    model = create_model("two_crop_net", backbone_weights="dlib", dtype="mixed_bfloat16")
    expected = create_backbone("dlib_resnet29")
    load_backbone_weights(expected, "dlib")
    assert len(backbones(model)) == 2
    for backbone in backbones(model):
        for loaded, weight in zip(backbone.get_weights(), expected.get_weights(), strict=True):
            np.testing.assert_array_equal(loaded, weight)
    assert np.all(np.isfinite(model(IMAGES[:1])["scores"]))
