import keras
import numpy as np
import pytest
import tensorflow as tf

from tfac.landmarks import CELEBA_5
from tfac.losses import PartGuidance, get_attribute_loss
from tfac.models import create_model
from tfac.training.checkpoints import create_state
from tfac.training.schedules import NoPlateau
from tfac.training.step import (
    create_loss_step,
    create_train_step,
    joint_loss,
    set_reproducible,
)
from tfac.training.weighting import UniformWeighting


@pytest.fixture
def batch_and_outputs():
    rng = np.random.default_rng(1)
    batch = {
        "labels": (rng.uniform(size=(6, 5)) < 0.4).astype(np.float32),
        "label_mask": (rng.uniform(size=(6, 5)) < 0.7).astype(np.float32),
        "landmarks": rng.uniform(size=(6, 3, 2)).astype(np.float32),
        "landmarks_valid": np.array([1, 0, 1, 1, 0, 1], np.float32),
    }
    outputs = {
        "scores": rng.normal(size=(6, 5)).astype(np.float32),
        "landmarks": rng.uniform(size=(6, 3, 2)).astype(np.float32),
    }
    return batch, outputs


def losses_of(batch, outputs, attribute_weights, **options):
    weighting = UniformWeighting(len(attribute_weights))
    weighting.attribute_weights.assign(attribute_weights)
    losses = joint_loss(
        outputs,
        batch,
        attribute_loss=get_attribute_loss("squared_error"),
        weighting=weighting,
        **{"beta": 0.5, "batch_size": 6, **options},
    )
    return {name: np.asarray(loss) for name, loss in losses.items()}


def test_eq_1_to_3_equal_plain_loops(batch_and_outputs):
    batch, outputs = batch_and_outputs
    weights = [0.5, 1.0, 2.0, 0.0, 3.0]
    attribute_losses = [0.0] * 5
    landmark_loss = 0.0
    for i in range(6):
        for j in range(5):
            if batch["label_mask"][i, j]:
                label = 1 if batch["labels"][i, j] else -1
                attribute_losses[j] += (outputs["scores"][i, j] - label) ** 2 / 6
        if batch["landmarks_valid"][i]:
            for k in range(3):
                for axis in range(2):
                    difference = outputs["landmarks"][i, k, axis] - batch["landmarks"][i, k, axis]
                    landmark_loss += difference**2 / 6
    total = sum(w * loss for w, loss in zip(weights, attribute_losses, strict=True))
    losses = losses_of(batch, outputs, weights)
    np.testing.assert_allclose(losses["attributes"], attribute_losses, rtol=1e-5)
    np.testing.assert_allclose(losses["landmarks"], landmark_loss, rtol=1e-5)
    np.testing.assert_allclose(losses["total"], total + 0.5 * landmark_loss, rtol=1e-5)


def test_shares_of_a_batch_add_up_to_the_whole(batch_and_outputs):
    batch, outputs = batch_and_outputs
    whole = losses_of(batch, outputs, np.ones(5))
    shares = [
        losses_of(
            {name: value[part] for name, value in batch.items()},
            {name: value[part] for name, value in outputs.items()},
            np.ones(5),
        )
        for part in (slice(0, 2), slice(2, 6))
    ]
    for name, value in whole.items():
        np.testing.assert_allclose(shares[0][name] + shares[1][name], value, rtol=1e-5)


def test_guidance_adds_the_masks_distances_of_pictures_with_landmarks(batch_and_outputs):
    batch, outputs = batch_and_outputs
    rng = np.random.default_rng(2)
    batch["landmarks"] = rng.uniform(size=(6, 5, 2)).astype(np.float32)
    del outputs["landmarks"]
    outputs |= {
        f"{level}_attention_mask": rng.uniform(size=(6, side, side, 2)).astype(np.float32)
        for level, side in (("P4", 4), ("P5", 2))
    }
    guidance = PartGuidance(CELEBA_5, ("nose", "eyes"))
    expected = 0
    for level in ("P4", "P5"):
        errors = guidance.squared_error(outputs[f"{level}_attention_mask"], batch["landmarks"])
        expected += sum(float(errors[i]) for i in (0, 2, 3, 5)) / 6
    unguided = losses_of(batch, outputs, np.ones(5))
    losses = losses_of(batch, outputs, np.ones(5), part_guidance=guidance, guidance=3.0)
    np.testing.assert_allclose(losses["guidance"], expected, rtol=1e-5)
    np.testing.assert_allclose(losses["total"], unguided["total"] + 3 * expected, rtol=1e-5)
    assert "guidance" not in unguided


def test_without_a_landmark_branch_there_is_no_landmark_loss(batch_and_outputs):
    batch, outputs = batch_and_outputs
    losses = losses_of(batch, {"scores": outputs["scores"]}, np.ones(5))
    assert "landmarks" not in losses
    np.testing.assert_allclose(losses["total"], losses["attributes"].sum(), rtol=1e-6)


def test_every_term_has_the_loss_of_the_answer(batch_and_outputs):
    batch, outputs = batch_and_outputs
    base_scores = outputs["scores"] + 1
    weights = [0.5, 1.0, 2.0, 0.0, 3.0]
    answer = losses_of(batch, {"scores": outputs["scores"]}, weights)
    base = losses_of(batch, {"scores": base_scores}, weights)
    both = losses_of(
        batch, {"scores": outputs["scores"], "base_scores": base_scores, "mask": None}, weights
    )
    assert set(both) == {"total", "attributes", "base_scores"}
    np.testing.assert_allclose(both["total"], answer["total"] + base["total"], rtol=1e-6)
    np.testing.assert_array_equal(both["attributes"], answer["attributes"])
    np.testing.assert_allclose(both["base_scores"], base["attributes"].mean(), rtol=1e-6)


def test_loss_step_gives_sums_and_counts_of_annotated_pictures(batch_and_outputs):
    batch, outputs = batch_and_outputs
    loss_step = create_loss_step(
        lambda images, training: {"scores": images},
        get_attribute_loss("squared_error"),
        tf.distribute.get_strategy(),
    )
    sums, counts = loss_step({**batch, "images": tf.constant(outputs["scores"])})
    for j in range(5):
        losses = [
            (outputs["scores"][i, j] - (1 if batch["labels"][i, j] else -1)) ** 2
            for i in range(6)
            if batch["label_mask"][i, j]
        ]
        assert float(counts[j]) == len(losses)
        assert float(sums[j]) == pytest.approx(sum(losses), rel=1e-5)


@pytest.mark.slow
def test_a_step_from_the_same_state_ends_with_the_same_weights():
    set_reproducible(1)
    assert not tf.config.optimizer.get_experimental_options()["arithmetic_optimization"]
    model = create_model("mgg_net", backbone="resnet18", dtype="mixed_bfloat16")
    state = create_state(
        model, keras.optimizers.AdamW(0.01), UniformWeighting(40), NoPlateau(), num_attributes=40
    )
    strategy = tf.distribute.get_strategy()
    step = create_train_step(
        state,
        attribute_loss=get_attribute_loss("binary_crossentropy"),
        beta=0.0,
        batch_size=8,
        strategy=strategy,
    )
    rng = np.random.default_rng(2)
    batch = {
        "images": tf.constant(rng.integers(0, 256, (8, 32, 32, 3), np.uint8)),
        "labels": tf.constant(rng.integers(0, 2, (8, 40)).astype(np.float32)),
        "label_mask": tf.ones((8, 40)),
    }
    variables = [*model.variables, *state.optimizer.variables]
    start = [variable.numpy() for variable in variables]
    ends = set()
    for _ in range(20):
        for variable, value in zip(variables, start, strict=True):
            variable.assign(value)
        step(batch)
        ends.add(b"".join(variable.numpy().tobytes() for variable in model.variables))
    assert len(ends) == 1
