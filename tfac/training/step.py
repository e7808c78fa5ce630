"""One training step: the joint loss of DMM-CNN, its gradient, one update."""

from collections.abc import Callable, Mapping

import keras
import tensorflow as tf
from keras import ops

from tfac.losses import PartGuidance, landmark_squared_error
from tfac.training.checkpoints import TrainingState
from tfac.training.layer_rates import scale_learning_rates

# What the step reads of a batch. Strings such as the key cannot enter an XLA program.
STEP_FEATURES = ("images", "labels", "label_mask", "landmarks", "landmarks_valid")

TrainStep = Callable[[dict[str, tf.Tensor]], dict[str, tf.Tensor]]


def joint_loss(
    outputs,
    batch,
    *,
    attribute_loss,
    weighting,
    beta: float,
    batch_size: int,
    part_guidance: PartGuidance | None = None,
    guidance: float = 0.0,
):
    """Returns the losses of a batch, or one replica's share of them: shares add up.

    ``total = weighting.total(sum_t L_t) + beta L_landmarks + guidance L_guidance``, where L_tj is
    the sum over pictures of attribute j's loss of term t, 0 where it is not annotated, divided by
    `batch_size`, and L_landmarks and L_guidance likewise, 0 where a picture has no landmarks. The
    terms are the answer, "scores", and every other output whose name ends in "_scores"; L_guidance
    sums over every output whose name ends in "_attention_mask".

    Args:
        outputs: the model's, with "scores" [B, A], perhaps others such as "base_scores" [B, A], and
            perhaps "landmarks" [B, K, 2]; "P4_attention_mask" [B, h, w, G] and the like for
            `part_guidance`.
        batch: with "labels", "label_mask" [B, A], "landmarks" [B, K, 2], "landmarks_valid" [B].
        attribute_loss: see `tfac.losses.get_attribute_loss`.
        weighting: see `tfac.training.weighting.Weighting`.
        beta: weight of the landmark loss.
        batch_size: N, the pictures of the whole batch over all replicas.
        part_guidance: where attention masks should be; None to leave them alone.
        guidance: weight of the masks' distance from there.

    Returns:
        ``{"total": [], "attributes": [A]}``, the latter of the answer; "landmarks" [] if the model
        has them; "guidance" [] if there is any; and each other term's mean over attributes by its
        name, such as "base_scores" [].

    Reference:
        Mao et al. (DMM-CNN), Eq. 1 to 3; Chen et al. (MGG-Net), Eq. 5.
    """
    losses = {}
    summed = 0.0
    # MGG-Net's Eq. 5 by names: "scores", "base_scores", "P3_group_scores" (GAL), "P3_graph_scores"
    # (GCL) and so on; of DMM-CNN and the plain network there are "scores" alone.
    for name, scores in outputs.items():
        if name != "scores" and not name.endswith("_scores"):
            continue
        per_element = attribute_loss.per_element(batch["labels"], scores)  # [B, A]
        by_attribute = ops.sum(per_element * batch["label_mask"], axis=0) / batch_size  # [A], Eq. 2
        summed += by_attribute
        if name == "scores":
            losses["attributes"] = by_attribute
        else:
            losses[name] = ops.mean(by_attribute)
    losses["total"] = weighting.total(summed)
    if "landmarks" in outputs:
        per_picture = landmark_squared_error(batch["landmarks"], outputs["landmarks"])  # [B]
        losses["landmarks"] = ops.sum(per_picture * batch["landmarks_valid"]) / batch_size  # Eq. 1
        losses["total"] += beta * losses["landmarks"]  # Eq. 3
    if part_guidance is not None:
        per_picture = sum(
            part_guidance.squared_error(mask, batch["landmarks"])
            for name, mask in outputs.items()
            if name.endswith("_attention_mask")
        )  # [B]
        losses["guidance"] = ops.sum(per_picture * batch["landmarks_valid"]) / batch_size
        losses["total"] += guidance * losses["guidance"]
    return losses


def set_reproducible(seed: int) -> None:
    """Makes this process draw and add up the same way each time; before anything is compiled.

    TensorFlow rewrites sums into `AddN`, which starts with whichever of three or more terms is at
    hand first. So one step in ten or fewer of MGG-Net ended with other roundings, the more the
    busier the machine, and a resumed run with other weights. Without Grappler's arithmetic
    optimization the sums stay as they are written, at the same speed.
    """
    keras.utils.set_random_seed(seed)
    tf.config.optimizer.set_experimental_options({"arithmetic_optimization": False})


def create_train_step(
    state: TrainingState,
    *,
    attribute_loss,
    beta: float,
    batch_size: int,
    strategy: tf.distribute.Strategy,
    xla: bool = False,
    part_guidance: PartGuidance | None = None,
    guidance: float = 0.0,
    rates: Mapping[str, float] | None = None,
) -> TrainStep:
    """Returns a compiled function that takes a batch, updates the model and returns its losses.

    The losses are those of `joint_loss` for the whole batch. Every number that changes during
    training is a variable, so the function is traced once. `rates` are those of
    `tfac.training.layer_rates`.

    Keras adds gradients up over replicas itself, but clips, and looks for overflow, replica by
    replica before. Where it does either, they are added up here first; Keras adds them up again, so
    each replica hands over its share 1 / R, and the clip norm it was given is divided by R too.

    The moving statistics of batch norms are averaged over replicas after each step, so that every
    replica has the same network.
    """
    model, optimizer, weighting = state.model, state.optimizer, state.weighting
    if rates:
        scale_learning_rates(optimizer, rates)
    variables = state.trainable_variables
    several = strategy.num_replicas_in_sync > 1
    adds_up_first = several and _looks_at_gradients(optimizer)
    statistics = [v.value for v in model.non_trainable_variables if v.dtype.startswith("float")]
    explain = {} if part_guidance is None else {"explain": True}

    def replica_step(batch):
        with tf.GradientTape(persistent=weighting.compares_gradients) as tape:
            losses = joint_loss(
                model(batch["images"], training=True, **explain),
                batch,
                attribute_loss=attribute_loss,
                weighting=weighting,
                beta=beta,
                batch_size=batch_size,
                part_guidance=part_guidance,
                guidance=guidance,
            )
            scaled_loss = optimizer.scale_loss(losses["total"])
            scaled_losses = optimizer.scale_loss(losses["attributes"])
        gradients = tape.gradient(scaled_loss, [v.value for v in variables])
        if weighting.compares_gradients:
            loss_scale = optimizer.scale_loss(tf.ones([]))
            weighting.observe_gradients(tape, scaled_losses, losses["attributes"], loss_scale)
        if adds_up_first:
            gradients = _mean_over_replicas(gradients)
        optimizer.apply(gradients, variables)
        if several and statistics:
            means = _mean_over_replicas([tf.identity(variable) for variable in statistics])
            for variable, mean in zip(statistics, means, strict=True):
                variable.assign(mean)
        return losses

    @tf.function(jit_compile=xla)
    def train_step(batch):
        per_replica = strategy.run(replica_step, args=(batch,))
        return {
            name: strategy.reduce(tf.distribute.ReduceOp.SUM, loss, axis=None)
            for name, loss in per_replica.items()
        }

    return train_step


def _looks_at_gradients(optimizer: keras.optimizers.Optimizer) -> bool:
    if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        return True
    return bool(optimizer.clipnorm or optimizer.global_clipnorm or optimizer.clipvalue)


def _mean_over_replicas(gradients: list[tf.Tensor]) -> list[tf.Tensor]:
    return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.MEAN, gradients)


def create_loss_step(
    model: keras.Model, attribute_loss, strategy: tf.distribute.Strategy
) -> Callable[[dict[str, tf.Tensor]], tuple[tf.Tensor, tf.Tensor]]:
    """Returns a compiled function from a batch to its answer's losses, without training.

    They are sums over the annotated pictures [A], and the numbers of these [A].
    """

    def replica_losses(batch):
        scores = model(batch["images"], training=False)["scores"]
        per_element = attribute_loss.per_element(batch["labels"], scores) * batch["label_mask"]
        return ops.sum(per_element, axis=0), ops.sum(batch["label_mask"], axis=0)

    @tf.function(reduce_retracing=True)
    def loss_step(batch):
        per_replica = strategy.run(replica_losses, args=(batch,))
        return tuple(
            strategy.reduce(tf.distribute.ReduceOp.SUM, part, axis=None) for part in per_replica
        )

    return loss_step
