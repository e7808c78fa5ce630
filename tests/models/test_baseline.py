import keras
import numpy as np

from tfac.models import create_model

IMAGES = np.random.default_rng(0).integers(0, 256, (2, 40, 48, 3)).astype(np.uint8)


def test_scores_are_a_linear_map_of_the_mean_feature():
    model = create_model("baseline", backbone="resnet18")
    feature_map = np.array(model.backbone(model.normalization(IMAGES)))
    kernel, bias = model.head.get_weights()
    expected = feature_map.mean(axis=(1, 2)) @ kernel + bias
    np.testing.assert_allclose(model(IMAGES)["scores"], expected, rtol=1e-4, atol=1e-5)


def test_resnet18_baseline_has_11_2_million_weights():
    assert create_model("baseline", backbone="resnet18").count_params() == 11_206_632


def test_saved_model_file_gives_the_same_answers(tmp_path):
    model = create_model("baseline", backbone="resnet18", dtype="mixed_bfloat16")
    model.save(tmp_path / "model.keras")
    restored = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(restored(IMAGES)["scores"], model(IMAGES)["scores"])
