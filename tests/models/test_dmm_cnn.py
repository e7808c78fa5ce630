import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.layers.test_spatial_pyramid_pooling import pool_by_loops
from tfac.attributes import ATTRIBUTES, SUBJECTIVE_ATTRIBUTES
from tfac.errors import ConfigError
from tfac.models import DMMCNN, create_model


def random_images(*shape):
    return np.random.default_rng(0).integers(0, 256, (*shape, 3)).astype(np.uint8)


def branch_by_matrices(branch, feature_map):
    """Pooling in loops, then each fully connected layer as a matrix product."""
    features = pool_by_loops(feature_map, branch.levels)
    for layer in branch.hidden:
        if layer.name.startswith("dense"):
            kernel, bias = layer.get_weights()
            features = np.maximum(features @ kernel + bias, 0.0)
    kernel, bias = branch.head.get_weights()
    return features @ kernel + bias


@pytest.fixture(scope="module")
def model():
    return create_model("dmm_cnn", backbone="resnet18")


@pytest.mark.slow
def test_the_printed_network_has_88_7_million_weights():
    model = create_model("dmm_cnn")
    assert model.count_params() == 88_766_584
    assert model.attribute_branches[1].head.kernel.shape == (1024, 18)
    assert model.attribute_branches[1].hidden[0].kernel.shape == (28_672, 2048)
    assert model.attribute_branches[0].head.kernel.shape == (1024, 22)
    assert model.landmark_branch.head.kernel.shape == (1024, 144)


@pytest.mark.parametrize("size", [(33, 47), (64, 64), (96, 41)])
def test_odd_sizes_equal_plain_loops_over_the_feature_map(model, size):
    images = random_images(2, *size)
    outputs = model(images)
    feature_map = np.array(model.backbone(model.normalization(images)))
    objective, subjective = (branch_by_matrices(b, feature_map) for b in model.attribute_branches)
    expected = np.zeros((2, 40))
    names = iter(np.transpose(objective)), iter(np.transpose(subjective))
    for column, name in enumerate(ATTRIBUTES):
        expected[:, column] = next(names[name in SUBJECTIVE_ATTRIBUTES])
    np.testing.assert_allclose(outputs["scores"], expected, rtol=1e-3, atol=1e-4)
    landmarks = branch_by_matrices(model.landmark_branch, feature_map).reshape(2, 72, 2)
    np.testing.assert_allclose(outputs["landmarks"], landmarks, rtol=1e-3, atol=1e-4)


def test_permuted_attributes_permute_the_scores(model):
    order = np.random.default_rng(1).permutation(len(ATTRIBUTES))
    permuted_names = [ATTRIBUTES[i] for i in order]
    permuted = create_model("dmm_cnn", backbone="resnet18", attributes=permuted_names)
    # The head of each branch answers its attributes in the order of `attributes`.
    permuted.set_weights(model.get_weights())
    for source, target in zip(model.attribute_branches, permuted.attribute_branches, strict=True):
        subjective = target.name == "subjective_branch"
        names = [n for n in ATTRIBUTES if (n in SUBJECTIVE_ATTRIBUTES) == subjective]
        columns = [names.index(n) for n in permuted_names if n in names]
        target.head.set_weights([weight[..., columns] for weight in source.head.get_weights()])
    images = random_images(2, 40, 40)
    np.testing.assert_allclose(
        permuted(images)["scores"], np.array(model(images)["scores"])[:, order], atol=1e-5
    )


def test_one_trace_serves_every_size(model):
    traces = []

    @tf.function(input_signature=[tf.TensorSpec((None, None, None, 3), tf.uint8)])
    def score(images):
        traces.append(1)
        return model(images)["scores"]

    for size in [(1, 64, 64), (3, 45, 71), (2, 33, 32)]:
        images = random_images(*size)
        np.testing.assert_allclose(score(images), model(images)["scores"], atol=1e-4)
    assert len(traces) == 1


def test_uint8_and_float_images_give_the_same_scores(model):
    images = random_images(2, 40, 40)
    np.testing.assert_array_equal(
        model(images)["scores"], model(images.astype(np.float32))["scores"]
    )


@pytest.mark.parametrize("options", [{}, {"branch_normalization": True, "branch_shortcut": True}])
def test_gradients_reach_every_weight(options):
    model = create_model("dmm_cnn", backbone="resnet18", **options)
    with tf.GradientTape() as tape:
        outputs = model(random_images(4, 64, 64), training=True)
        loss = tf.reduce_sum(tf.square(outputs["scores"] - 1.0))
        loss += tf.reduce_sum(tf.square(outputs["landmarks"] - 0.5))
    gradients = tape.gradient(loss, [variable.value for variable in model.trainable_variables])
    for variable, gradient in zip(model.trainable_variables, gradients, strict=True):
        assert gradient is not None and np.any(np.array(gradient) != 0), variable.path


@pytest.mark.parametrize("policy", ["float32", "mixed_float16", "mixed_bfloat16"])
def test_saved_model_file_gives_the_same_answers(tmp_path, policy):
    model = create_model("dmm_cnn", backbone="resnet18", num_landmarks=5, dtype=policy)
    model.save(tmp_path / "model.keras")
    restored = keras.models.load_model(tmp_path / "model.keras")
    assert restored.get_config() == model.get_config()
    images = random_images(2, 40, 48)
    for name, value in model(images).items():
        assert value.dtype == "float32"
        np.testing.assert_array_equal(restored(images)[name], value)


def test_without_grouping_one_branch_answers_all():
    model = DMMCNN(backbone="resnet18", attribute_grouping=False, num_landmarks=0)
    outputs = model(random_images(1, 40, 40))
    assert [branch.name for branch in model.attribute_branches] == ["subjective_branch"]
    assert outputs.keys() == {"scores"} and outputs["scores"].shape == (1, 40)


def test_own_attributes_without_subjective_ones():
    model = DMMCNN(backbone="resnet18", attributes=("Freckles", "Scar"), subjective_attributes=())
    assert model(random_images(1, 40, 40))["scores"].shape == (1, 2)


def test_subjective_attribute_that_is_not_answered_is_refused():
    with pytest.raises(ConfigError, match="unknown attribute names.*Young"):
        DMMCNN(backbone="resnet18", attributes=("Male",), subjective_attributes=("Young",))
