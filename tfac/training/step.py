"""One training step: the joint loss of DMM-CNN, its gradient, one update."""

from collections.abc import Callable

import keras
import tensorflow as tf
from keras import ops

from tfac.losses import landmark_squared_error
from tfac.training.checkpoints import TrainingState

# What the step reads of a batch. Strings such as the key cannot enter an XLA program.
STEP_FEATURES = ("images", "labels", "label_mask", "landmarks", "landmarks_valid")

TrainStep = Callable[[dict[str, tf.Tensor]], dict[str, tf.Tensor]]


def joint_loss(outputs, batch, *, attribute_loss, attribute_weights, beta: float, batch_size: int):
    """Returns the losses of a batch, or one replica's share of them: shares add up.

    ``total = sum_j attribute_weights_j L_j + beta L_landmarks``, where L_j is the sum over pictures
    of the attribute's loss, 0 where it is not annotated, divided by `batch_size`, and L_landmarks
    likewise, 0 where a picture has no landmarks.

    Args:
        outputs: the model's, with "scores" [B, A] and perhaps "landmarks" [B, K, 2].
        batch: with "labels", "label_mask" [B, A], "landmarks" [B, K, 2], "landmarks_valid" [B].
        attribute_loss: see `tfac.losses.get_attribute_loss`.
        attribute_weights: [A].
        beta: weight of the landmark loss.
        batch_size: N, the pictures of the whole batch over all replicas.

    Returns:
        ``{"total": [], "attributes": [A]}``, and "landmarks" [] if the model has them.

    Reference:
        Mao et al. (DMM-CNN), Eq. 1 to 3.
    """
    per_element = attribute_loss.per_element(batch["labels"], outputs["scores"])  # [B, A]
    attribute_losses = ops.sum(per_element * batch["label_mask"], axis=0) / batch_size  # [A], Eq. 2
    losses = {"attributes": attribute_losses}
    losses["total"] = ops.sum(attribute_weights * attribute_losses)
    if "landmarks" in outputs:
        per_picture = landmark_squared_error(batch["landmarks"], outputs["landmarks"])  # [B]
        losses["landmarks"] = ops.sum(per_picture * batch["landmarks_valid"]) / batch_size  # Eq. 1
        losses["total"] += beta * losses["landmarks"]  # Eq. 3
    return losses


def create_train_step(
    state: TrainingState,
    *,
    attribute_loss,
    beta: float,
    batch_size: int,
    strategy: tf.distribute.Strategy,
    xla: bool = False,
) -> TrainStep:
    """Returns a compiled function that takes a batch, updates the model and returns its losses.

    The losses are those of `joint_loss` for the whole batch. Every number that changes during
    training is a variable, so the function is traced once.

    Gradients are added up over replicas before the optimizer sees them, because Keras clips, and
    looks for overflow, replica by replica. It adds them up again, so each replica hands over its
    share 1 / R, and the clip norm it was given is divided by R too.
    """
    model, optimizer = state.model, state.optimizer

    def replica_step(batch):
        with tf.GradientTape() as tape:
            losses = joint_loss(
                model(batch["images"], training=True),
                batch,
                attribute_loss=attribute_loss,
                attribute_weights=state.weighting.attribute_weights,
                beta=beta,
                batch_size=batch_size,
            )
            scaled_loss = optimizer.scale_loss(losses["total"])
        gradients = tape.gradient(scaled_loss, [v.value for v in model.trainable_variables])
        if strategy.num_replicas_in_sync > 1:
            gradients = _mean_over_replicas(gradients)
        optimizer.apply(gradients, model.trainable_variables)
        return losses

    @tf.function(jit_compile=xla)
    def train_step(batch):
        per_replica = strategy.run(replica_step, args=(batch,))
        return {
            name: strategy.reduce(tf.distribute.ReduceOp.SUM, loss, axis=None)
            for name, loss in per_replica.items()
        }

    return train_step


def _mean_over_replicas(gradients: list[tf.Tensor]) -> list[tf.Tensor]:
    return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.MEAN, gradients)


def create_predict_step(
    model: keras.Model, strategy: tf.distribute.Strategy
) -> Callable[[tf.Tensor], dict[str, tf.Tensor]]:
    """Returns a compiled function from images to the model's outputs, without training.

    With several replicas both are per-replica values.
    """

    @tf.function(reduce_retracing=True)
    def predict_step(images):
        return strategy.run(lambda images: model(images, training=False), args=(images,))

    return predict_step
