import numpy as np

from tests.models.model_checks import create_tiny_backbone, random_images, run_model_test
from tfac.models import Baseline, create_model


def test_network_contract(tmp_path):
    run_model_test(Baseline, {"backbone": create_tiny_backbone()}, tmp_path)


def test_scores_are_a_linear_map_of_the_mean_feature():
    model = create_model("baseline", backbone=create_tiny_backbone())
    images = random_images(2, 40, 48)
    feature_map = np.array(model.backbone(model.normalization(images)))
    kernel, bias = model.head.get_weights()
    expected = feature_map.mean(axis=(1, 2)) @ kernel + bias
    np.testing.assert_allclose(model(images)["scores"], expected, rtol=1e-4, atol=1e-5)


def test_resnet18_baseline_has_11_2_million_weights():
    assert create_model("baseline", backbone="resnet18").count_params() == 11_206_632
