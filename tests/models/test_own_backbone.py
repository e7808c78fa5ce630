import json

import keras
import keras_hub
import numpy as np
import pytest

from tests.models.model_checks import create_tiny_backbone, create_tiny_resnet, random_images
from tfac.errors import ConfigError
from tfac.models import (
    Baseline,
    MGGNet,
    TwoCropNet,
    backbones,
    create_backbone,
    create_feature_extractor,
    create_model,
)
from tfac.speed.folding import copy_network

IMAGES = random_images(2, 64, 64)


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    folder = tmp_path_factory.mktemp("backbones")
    model = create_tiny_backbone()
    model.compile("sgd", "mse")
    model.save(folder / "tiny.keras")
    resnet = create_tiny_resnet()
    resnet.save_to_preset(str(folder / "preset"))
    return {
        "model": (model, model),
        "file": (str(folder / "tiny.keras"), model),
        "preset": (folder / "preset", resnet),
    }


@pytest.mark.parametrize(
    ("network", "kind"),
    [
        (Baseline, "model"),
        (Baseline, "file"),
        (Baseline, "preset"),
        (MGGNet, "file"),
        (TwoCropNet, "preset"),
    ],
)
def test_networks_take_a_backbone_of_ones_own_with_its_weights(sources, network, kind, tmp_path):
    source, expected = sources[kind]
    model = network(source, **({"whole_size": (64, 48)} if network is TwoCropNet else {}))
    model.build((None, None, None, 3))
    for backbone in backbones(model):
        for weight, other in zip(backbone.get_weights(), expected.get_weights(), strict=True):
            np.testing.assert_array_equal(weight, other)
    assert len({id(v) for b in backbones(model) for v in b.variables}) == (
        len(expected.variables) * len(backbones(model))
    )
    scores = model(IMAGES)["scores"]
    assert scores.shape == (2, 40)

    config = json.loads(json.dumps(model.get_config()))
    restored = network.from_config(config)
    restored.build((None, None, None, 3))
    restored.set_weights(model.get_weights())
    np.testing.assert_array_equal(restored(IMAGES)["scores"], scores)

    model.save(tmp_path / "model.keras")
    restored = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(restored(IMAGES)["scores"], scores)


def test_known_backbone_stays_a_name_in_the_config():
    assert Baseline("alexnet").get_config()["backbone"] == "alexnet"


def test_model_is_used_as_it_is_and_the_close_up_has_a_copy(sources):
    model, _ = sources["model"]
    assert create_backbone(model, dtype="float32") is model
    first, second = TwoCropNet(model).backbones
    assert first is model and second is not model
    for weight, other in zip(first.get_weights(), second.get_weights(), strict=True):
        np.testing.assert_array_equal(weight, other)


@pytest.mark.parametrize("kind", ["model", "file", "preset"])
def test_layers_get_the_networks_precision(sources, kind):
    source, _ = sources[kind]
    model = create_model("baseline", backbone=source, dtype="mixed_bfloat16")
    convolution = next(x for x in model.backbone.layers if isinstance(x, keras.layers.Conv2D))
    assert convolution.compute_dtype == "bfloat16" and convolution.variable_dtype == "float32"
    copy = copy_network(model, "float32")
    assert copy.backbone.output.dtype == "float32"
    np.testing.assert_allclose(copy(IMAGES)["scores"], model(IMAGES)["scores"], atol=0.1)


def test_layers_that_are_told_no_precision_get_it_too():
    vgg = keras_hub.models.VGGBackbone(
        stackwise_num_repeats=[1], stackwise_num_filters=[4], image_shape=(None, None, 3)
    )
    backbone = create_backbone(vgg, dtype="mixed_bfloat16")
    assert backbone.output.dtype == "bfloat16"
    assert create_backbone(backbone, dtype="mixed_bfloat16") is backbone


def shapes(backbone):
    feature_maps = create_feature_extractor(create_backbone(backbone), ())(np.zeros((1, 64, 64, 3)))
    return {level: tuple(maps.shape[1:]) for level, maps in feature_maps.items()}


def test_levels_are_the_last_maps_of_their_strides(sources):
    assert shapes(create_tiny_backbone()) == {"P3": (8, 8, 8), "P4": (4, 4, 12), "P5": (2, 2, 16)}
    assert shapes(create_tiny_backbone((2, 4, 2))) == {
        "P3": (8, 8, 8),
        "P4": (4, 4, 12),
        "P5": (4, 4, 12),
    }
    assert shapes(create_tiny_backbone((8, 4), (64, 64))) == {"P3": (8, 8, 4), "P5": (2, 2, 8)}
    preset, _ = sources["preset"]
    assert shapes(preset) == {"P3": (8, 8, 4), "P4": (4, 4, 8), "P5": (2, 2, 16)}
    extractor = create_feature_extractor(create_tiny_backbone())
    image = np.random.default_rng(0).normal(size=(1, 64, 64, 3))
    assert np.min(extractor(image)["P3"]) == 0  # after the ReLU


def test_layers_within_a_nested_model_and_a_shared_layer_are_no_obstacle():
    images = keras.Input((None, None, 3))
    halve = keras.layers.MaxPooling2D()
    maps = halve(halve(halve(images)))
    assert shapes(keras.Model(images, create_nested(maps))) == {
        "P3": (8, 8, 3),
        "P4": (4, 4, 5),
        "P5": (4, 4, 5),
    }


def create_nested(maps):
    inner = keras.Input((None, None, 3))
    return keras.Model(inner, keras.layers.Conv2D(5, 3, 2, padding="same")(inner))(maps)


def test_sequential_models_and_lists_of_one_tensor_count_as_functional():
    convolution = keras.layers.Conv2D(4, 3, strides=8, padding="same")
    sequential = keras.Sequential([keras.Input((None, None, 3)), convolution])
    listed = keras.Model([sequential.inputs[0]], [sequential.outputs[0]])
    for source in (sequential, listed):
        backbone = create_backbone(source)
        assert backbone(IMAGES / 255).shape == (2, 8, 8, 4)
        assert backbone.weights[0] is convolution.kernel


def test_missing_level_is_refused_by_the_networks_that_need_it():
    two = create_tiny_backbone((8, 4))
    assert create_model("lga_net", backbone=two, levels=["P3", "P5"]).built
    for network in ("mgg_net", "two_crop_net"):
        with pytest.raises(ConfigError, match="levels P3, P4.*Received: tiny, which has no P4"):
            create_model(network, backbone=two)


class Subclassed(keras.Model):
    def call(self, images):
        return images


def create_lambda():
    images = keras.Input((None, None, 3))
    return keras.Model(images, keras.layers.Lambda(lambda maps: maps)(images))


def create_vector():
    images = keras.Input((None, None, 3))
    return keras.Model(images, keras.layers.GlobalAveragePooling2D()(images))


@pytest.mark.parametrize(
    ("create", "message"),
    [
        (create_lambda, "without running code.*a.keras: .*Lambda"),
        (Subclassed, "without running code.*a.keras: .*Subclassed"),
        (create_vector, r"functional.*\(None, None, None, 3\) to \(None, 3\)"),
    ],
)
def test_files_with_code_or_without_maps_are_refused(tmp_path, create, message):
    model = create()
    model(np.zeros((1, 8, 8, 3)))
    model.save(tmp_path / "a.keras")
    with pytest.raises(ConfigError, match=message):
        create_model("baseline", backbone=str(tmp_path / "a.keras"))


@keras.saving.register_keras_serializable(package="tests")
class Halving(keras.Model):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.convolution = keras.layers.Conv2D(4, 3, strides=2, padding="same")

    def call(self, images):
        return self.convolution(images)


def test_class_or_subclassed_model_is_a_backbone_with_its_output_as_level(tmp_path):
    own = Halving()
    network = create_model("baseline", backbone=own)
    assert network(IMAGES)["scores"].shape == (2, 40)
    assert any(weight is own.convolution.kernel for weight in network.weights)
    network.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(again(IMAGES)["scores"], network(IMAGES)["scores"])
    assert create_model("dmm_cnn", backbone=Halving, num_landmarks=0).built
    with pytest.raises(ConfigError, match="which has no P3"):
        create_model("mgg_net", backbone=Halving)


def test_other_models_are_refused(tmp_path):
    for path in (tmp_path / "none.keras", tmp_path, "http://127.0.0.1/a.keras"):
        with pytest.raises(ConfigError, match=f"Received: {path}, which is none of them"):
            Baseline(path)
    (tmp_path / "a.keras").write_text("no zip")
    with pytest.raises(ConfigError, match="a.keras: "):
        Baseline(tmp_path / "a.keras")
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ConfigError, match="that Keras can load"):
        Baseline(tmp_path)
    with pytest.raises(ConfigError, match="output_stride: expected 32.*Received: 16"):
        Baseline(create_tiny_backbone(), output_stride=16)
