import numpy as np
import pytest

from tfac.models import create_model
from tfac.models.alexnet import create_alexnet


def test_has_the_weights_of_the_single_tower_layout():
    # torchvision's alexnet().features has as many: its layout is that of "One weird trick", 2014.
    assert create_alexnet().count_params() == 2_469_696


@pytest.mark.parametrize(
    ("size", "last"),
    [((224, 224), (7, 7)), ((64, 64), (2, 2)), ((33, 70), (2, 3)), ((1, 1), (1, 1))],
)
def test_every_size_has_a_last_map_of_stride_32(size, last):
    images = np.random.default_rng(0).normal(size=(1, *size, 3)).astype(np.float32)
    feature_map = np.array(create_alexnet()(images))
    assert feature_map.shape == (1, *last, 256)
    assert np.all(feature_map >= 0) and np.any(feature_map > 0)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_layers_follow_the_dtype_policy(policy):
    model = create_model("baseline", backbone="alexnet", dtype=policy)
    images = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3)).astype(np.uint8)
    feature_map = model.backbone(model.normalization(images))
    assert feature_map.dtype == policy.removeprefix("mixed_")
    assert np.all(np.isfinite(model(images)["scores"]))
    assert all(variable.dtype == "float32" for variable in model.trainable_variables)
