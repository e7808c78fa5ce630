import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.layers.test_group_head import head_by_loops
from tfac.attributes import ATTRIBUTES, PART_GROUPS
from tfac.errors import ConfigError
from tfac.models import LGANet, create_model

GROUPS = {"eyes": ("Eyeglasses", "Narrow_Eyes"), "mouth": ("Smiling",), "hat": ("Wearing_Hat",)}
OWN = {"attributes": ("Smiling", "Eyeglasses", "Wearing_Hat"), "part_groups": GROUPS}


def random_images(*shape):
    return np.random.default_rng(0).integers(0, 256, (*shape, 3)).astype(np.uint8)


@pytest.fixture(scope="module")
def model():
    return create_model("lga_net")


def test_has_fewer_weights_than_dmm_cnn(model):
    assert model.count_params() == 13_685_512
    assert model.count_params() < create_model("dmm_cnn", backbone="resnet18").count_params()


def test_masks_come_on_request(model):
    images = random_images(2, 224, 224)
    outputs = model(images)
    shapes = {name: tuple(value.shape) for name, value in outputs.items()}
    assert shapes == {"scores": (2, 40), "landmarks": (2, 72, 2)}
    assert shapes == model.compute_output_shape(images.shape)
    explained = model(images, explain=True)
    assert explained.pop("P4_attention_mask").shape == (2, 14, 14, 8)
    assert explained.pop("P5_attention_mask").shape == (2, 7, 7, 8)
    assert model.group_names == tuple(PART_GROUPS)
    for name, value in explained.items():
        np.testing.assert_array_equal(value, outputs[name])


@pytest.mark.parametrize("levels", [(), ("P5",), ("P3", "P4", "P5")])
def test_scores_are_the_plain_head_s_and_the_groups_by_loops(levels):
    keras.utils.set_random_seed(0)
    model = create_model("lga_net", backbone="alexnet", levels=levels, num_landmarks=0, **OWN)
    rng = np.random.default_rng(1)
    for head in (model.base_head, *model.heads.values()):
        head.bias.assign(rng.normal(size=3))
    images = random_images(2, 48, 70)
    outputs = model(images, explain=True)
    maps = model.feature_extractor(model.normalization(images))
    kernel, bias = model.base_head.get_weights()
    expected = np.zeros((2, 3))
    for picture in range(2):
        for attribute in range(3):
            mean = np.array(maps["P5"])[picture].mean(axis=(0, 1))
            expected[picture, attribute] = mean @ kernel[:, attribute] + bias[attribute]
    for level in levels:
        features = np.array(maps[level])
        mask = np.array(outputs[f"{level}_attention_mask"])
        pooled = np.zeros((2, 3, features.shape[-1]))
        for picture in range(2):
            for group in range(3):
                masked = features[picture] * mask[picture, :, :, group, None]
                pooled[picture, group] = masked.mean(axis=(0, 1))
        expected += head_by_loops(model.heads[level], pooled)
    np.testing.assert_allclose(outputs["scores"], expected, rtol=1e-4, atol=1e-5)
    assert len(outputs) == 1 + len(levels)


def test_every_landmark_starts_in_the_middle_of_the_picture(model):
    landmarks = np.array(model(random_images(4, 64, 64), training=True)["landmarks"])
    assert np.abs(landmarks - 0.5).max() < 0.2


def test_one_trace_serves_every_size(model):
    traces = []

    @tf.function(input_signature=[tf.TensorSpec((None, None, None, 3), tf.uint8)])
    def score(images):
        traces.append(1)
        return model(images, explain=True)

    for size in [(1, 64, 64), (3, 45, 71)]:
        images = random_images(*size)
        expected = model(images, explain=True)
        for name, value in score(images).items():
            np.testing.assert_allclose(value, expected[name], rtol=1e-3, atol=1e-4)
    assert len(traces) == 1


@pytest.mark.parametrize("arguments", [{}, {"backbone": "alexnet"}, {"levels": ()}])
def test_gradients_reach_every_weight(arguments):
    keras.utils.set_random_seed(0)
    model = create_model("lga_net", **arguments)
    with tf.GradientTape() as tape:
        outputs = model(random_images(4, 64, 64), training=True)
        loss = sum(tf.reduce_sum(tf.square(value - 1.0)) for value in outputs.values())
    gradients = tape.gradient(loss, [variable.value for variable in model.trainable_variables])
    for variable, gradient in zip(model.trainable_variables, gradients, strict=True):
        assert gradient is not None and np.any(np.array(gradient) != 0), variable.path


def test_every_variable_is_listed_once(model):
    for listed in (model.variables, model.weights, model.trainable_variables):
        assert len({id(variable) for variable in listed}) == len(listed)
    parts = [model.backbone, model.base_head, model.landmark_branch]
    parts += [*model.attentions.values(), *model.heads.values()]
    expected = {id(variable) for part in parts for variable in part.variables}
    assert {id(variable) for variable in model.variables} == expected


@pytest.mark.parametrize("policy", ["float32", "mixed_float16", "mixed_bfloat16"])
def test_saved_model_file_gives_the_same_answers(tmp_path, policy):
    model = create_model("lga_net", dtype=policy, levels=["P3", "P5"], num_landmarks=5, **OWN)
    model.save(tmp_path / "model.keras")
    restored = keras.models.load_model(tmp_path / "model.keras")
    assert restored.get_config() == model.get_config()
    images = random_images(2, 40, 48)
    again = restored(images, explain=True)
    for name, value in model(images, explain=True).items():
        assert value.dtype == "float32" and np.all(np.isfinite(value))
        np.testing.assert_array_equal(again[name], value)


def test_config_survives_json():
    config = LGANet(backbone="alexnet", **OWN).get_config()
    restored = LGANet.from_config(json.loads(json.dumps(config)))
    assert restored.get_config() == config


def test_permuted_attributes_permute_the_scores(model):
    order = np.random.default_rng(1).permutation(len(ATTRIBUTES))
    permuted = create_model("lga_net", attributes=[ATTRIBUTES[i] for i in order])
    permuted.set_weights(model.get_weights())
    kernel, bias = model.base_head.get_weights()
    permuted.base_head.set_weights([kernel[:, order], bias[order]])
    for level in model.levels:
        kernel, bias = model.heads[level].get_weights()
        permuted.heads[level].set_weights([kernel[order], bias[order]])
    images = random_images(2, 40, 40)
    expected = np.array(model(images)["scores"])[:, order]
    np.testing.assert_allclose(permuted(images)["scores"], expected, atol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"part_groups": {"mouth": ("Smiling",)}}, "5_o_Clock_Shadow in exactly one.*none"),
        ({"levels": ("P2",)}, "levels: expected one or more of P3, P4, P5.*P2"),
        ({"levels": ("P4", "P4")}, "each once"),
        ({"backbone": "lenet"}, "backbone: expected"),
    ],
)
def test_impossible_arguments_are_refused(arguments, message):
    with pytest.raises(ConfigError, match=message):
        LGANet(**arguments)
