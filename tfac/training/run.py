"""A whole training run: from options and a prepared data set to a trained workdir."""

import contextlib
import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import keras
import tensorflow as tf
from absl import logging

from tfac.data.records.frequencies import count_shown, describe_changes
from tfac.data.records.info import RecordsInfo, read_info
from tfac.data.records.pipeline import (
    PREFETCHED_BATCHES,
    evaluation_dataset,
    read_batches,
    train_dataset,
)
from tfac.errors import ConfigError, DataError, TrainingError
from tfac.files import only_writer
from tfac.inference.predict_step import create_predict_step
from tfac.losses import AttributeLoss, PartGuidance, get_attribute_loss
from tfac.models import backbones
from tfac.models.calibration import calibrate_batch_norms
from tfac.speed import accelerate
from tfac.training.checkpoints import (
    Checkpoints,
    TrainingState,
    create_state,
    create_step,
    has_checkpoint,
    restore_for_use,
)
from tfac.training.class_balance import (
    LabelCounts,
    cached_label_counts,
    class_weights,
    describe_missing,
)
from tfac.training.config import TrainConfig
from tfac.training.devices import Devices, describe_slowness
from tfac.training.interruption import Interrupted, stop_on_signals
from tfac.training.layer_rates import layer_rates
from tfac.training.linear_probe import fit_head
from tfac.training.loop import Plan, create_plan, train
from tfac.training.monitor import Monitor
from tfac.training.schedules import create_optimizer, create_plateau
from tfac.training.step import (
    STEP_FEATURES,
    create_loss_step,
    create_train_step,
    set_reproducible,
)
from tfac.training.summaries import Summaries
from tfac.training.thresholds import get_threshold_rule
from tfac.training.validation import ValidationResult, validate
from tfac.training.weighting import Weighting, create_weighting
from tfac.training.workdir import (
    check_initial_workdir,
    claim_workdir,
    create_network,
    with_kept_backbone,
    write_record,
)

_CALIBRATION_PICTURES = 128
_SAMPLED_PICTURES = 10  # validation pictures a step that weighting=aw looks at
# A validation batch has about so many pixels (512 pictures of 64x64), at least a training batch's:
# casting and folding weights costs the same for any batch, and inference keeps few maps
# (benchmarks/validation.py).
_VALIDATION_PIXELS = 2**21
_VALIDATION_CACHE_BYTES = 2**30  # decoded validation pictures that are kept without being asked


def run_training(
    config: TrainConfig,
    data_dir: str | Path,
    workdir: str | Path,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    show_progress: bool = True,
    weighting: Weighting | None = None,
    attribute_loss: AttributeLoss | None = None,
) -> TrainingState:
    """Trains as `config` says, or goes on with the run that `workdir` holds.

    The workdir then has ``config.json``, ``checkpoints/``, ``tensorboard/`` and a copy of a
    backbone of the user's own. Whatever moment the process was killed at, the same call goes on
    from the last checkpoint, and on a CPU ends with the same weights, bit for bit, as a run that
    was never stopped. A finished run is left as it is, and need not be writable.

    Args:
        config: the options.
        data_dir: a prepared data set, see `tfac.data.read_info`.
        workdir: the run's folder; made if it is not there.
        callbacks: Keras callbacks to run inside the loop.
        show_progress: draw a progress bar and print a line a validation.
        weighting: a scheme of your own, in place of the one that `config` names.
        attribute_loss: a loss of your own, in place of the one that `config` names; that one still
            says how scores become probabilities.

    Raises:
        ConfigError: options that do not fit the data, the machine or the workdir's earlier run, or
            another process trains in the workdir.
        DataError: the data set or a checkpoint is missing or damaged, or the workdir of a run that
            has not ended cannot be written.
        TrainingError: a loss became NaN or infinite, another worker has ended, or loss scaling left
            out every step.
        Interrupted: SIGTERM or Ctrl-C, after the state was saved.
    """
    workdir, info = Path(workdir), read_info(data_dir)
    _require_splits(config, info)
    devices = Devices(config)
    with devices.end_with_others(), _alone(workdir, devices) as unwritable:
        return _run(
            config,
            info,
            workdir,
            devices,
            unwritable,
            callbacks,
            show_progress and devices.writes,
            weighting,
            attribute_loss,
        )


@contextlib.contextmanager
def _alone(workdir: Path, devices: Devices) -> Iterator[DataError | None]:
    """Holds the workdir against other runs; yields why nothing can be written there, if so.

    Raises:
        ConfigError: another process trains there.
    """
    refused = unwritable = None
    with contextlib.ExitStack() as held:
        if devices.writes:
            try:
                held.enter_context(only_writer(workdir, "workdir"))
            except ConfigError as error:
                refused = error
            except DataError as error:
                unwritable = error
        devices.refuse_together(refused)
        yield unwritable


def _run(
    config: TrainConfig,
    info: RecordsInfo,
    workdir: Path,
    devices: Devices,
    unwritable: DataError | None,
    callbacks: Sequence[keras.callbacks.Callback],
    show_progress: bool,
    weighting: Weighting | None,
    attribute_loss: AttributeLoss | None,
) -> TrainingState:
    writes = devices.writes and not unwritable
    if not has_checkpoint(workdir):
        devices.refuse_together(unwritable)
        check_initial_workdir(config, info)
    is_longer = claim_workdir(workdir, config, info, writes)
    devices.require_same("the options and the data set", (config.to_dict(), info.fingerprint))
    set_reproducible(config.seed)

    plan = create_plan(config, info.splits[config.train_split])
    counts = cached_label_counts(workdir, info, config.train_split, show_progress, writes)
    if show_progress and (missing := describe_missing(counts, info.attributes)):
        print(f"warning: split {config.train_split} has {missing}", flush=True)
    if show_progress and (slow := describe_slowness(config)):
        print(f"warning: {slow}", flush=True)
    if attribute_loss is None:
        weights = class_weights(counts, config.class_balance)
        attribute_loss = get_attribute_loss(config.attribute_loss, weights)
    state = _create_state(with_kept_backbone(config, workdir), info, plan, devices, weighting)
    checkpoints = Checkpoints(workdir, state, writes)
    if checkpoints.restore_latest():
        if is_longer and writes:
            write_record(workdir, config, info)
    else:
        if config.initial_workdir:
            _start_from(config, state)
        if config.freeze:
            fit_head(state.model, config, info, attribute_loss, show_progress)
        elif config.backbone_weights == "dlib":
            _calibrate(config, info, state.model)
    devices.require_same("the step that workdir's checkpoint is of", int(state.step.numpy()))
    is_finished = plan.total_steps == int(state.step.numpy()) == int(state.validated_step.numpy())
    if not is_finished:
        devices.refuse_together(unwritable)
    train_step = create_train_step(
        state,
        attribute_loss=attribute_loss,
        beta=config.beta,
        batch_size=config.batch_size,
        strategy=devices.strategy,
        xla=config.xla,
        part_guidance=_create_part_guidance(config, info, state),
        guidance=config.guidance,
        rates=layer_rates(backbones(state.model), config.backbone_rate, config.first_layer_rate),
    )
    summaries = Summaries(workdir / "tensorboard" if writes and not is_finished else None)
    summaries.write_hyperparameters(config.to_dict())
    monitor = Monitor(
        state,
        attributes=info.attributes,
        label_rules=info.groups.label_rules,
        attribute_loss=attribute_loss,
        plan=plan,
        batch_size=config.batch_size,
        summaries=summaries,
        callbacks=callbacks,
        show_progress=show_progress,
    )
    predict_step = create_predict_step(
        state.model,
        config.test_time_flip and info.groups.mirroring(info.attributes),
        devices.strategy,
    )
    distribute = devices.strategy.experimental_distribute_dataset
    validation_batches = distribute(_validation_dataset(config, info))
    with stop_on_signals(devices.largest) as interruption, monitor.running():

        def validate_all() -> ValidationResult:
            batches = read_batches(validation_batches, info, config.validation_split)
            batches = interruption.watch(batches)
            result = validate(predict_step, batches, attribute_loss, devices.gather)
            _require_landmarks(result, config)
            if int(state.validated_step.numpy()) < 0 and show_progress:
                _say_changes(config, info, counts, result)
            return result

        batches = distribute(_training_dataset(config, info, int(state.step.numpy())))
        try:
            train(
                state,
                plan=plan,
                batches=read_batches(batches, info, config.train_split),
                train_step=train_step,
                validate=validate_all,
                validation_samples=_sample_losses(config, info, state, attribute_loss, devices),
                threshold_rule=get_threshold_rule(config.thresholds, config.gamma),
                checkpoints=checkpoints,
                monitor=monitor,
                interruption=interruption,
            )
        except Interrupted:
            monitor.check_losses()
            checkpoints.save()
            raise
        if int(state.step.numpy()) != int(
            state.validated_step.numpy()
        ):  # a callback stopped the run
            monitor.check_losses()
            checkpoints.save()
    _require_updates(state, config)
    return state


def _say_changes(
    config: TrainConfig, info: RecordsInfo, counts: LabelCounts, result: ValidationResult
) -> None:
    """Says which attributes are not as frequent where thresholds come from as in training."""
    changes = describe_changes(
        info.attributes,
        config.train_split,
        (counts.positives, counts.positives + counts.negatives),
        config.validation_split,
        count_shown(result.labels, result.label_mask),
    )
    if changes:
        print(f"warning: {changes}. Thresholds may be wrong elsewhere", flush=True)


def _create_part_guidance(
    config: TrainConfig, info: RecordsInfo, state: TrainingState
) -> PartGuidance | None:
    if not config.guides_attention:
        return None
    return PartGuidance(info.landmark_scheme, state.model.group_names)


def _create_state(
    config: TrainConfig,
    info: RecordsInfo,
    plan: Plan,
    devices: Devices,
    weighting: Weighting | None,
) -> TrainingState:
    num_attributes = len(info.attributes)
    with devices.strategy.scope():
        step = create_step()
        replicas = devices.strategy.num_replicas_in_sync
        optimizer = create_optimizer(config, plan.steps_per_epoch, replicas, step)
        model = create_network(
            config, info.attributes, info.landmark_scheme, info.groups, config.backbone_weights
        )
        if config.accelerate:
            accelerate(model, optimizer)
        weighting = weighting or create_weighting(
            config.weighting, num_attributes, steps_per_epoch=plan.steps_per_epoch, model=model
        )
        plateau = create_plateau(config, optimizer)
        return create_state(model, optimizer, weighting, plateau, num_attributes, step)


def _start_from(config: TrainConfig, state: TrainingState) -> None:
    """Gives the state the weights and, if they may move, thresholds of another run's end."""
    folder = Path(config.initial_workdir)
    thresholds, step = restore_for_use(folder, state.model, state.thresholds.shape[0])
    if config.thresholds != "fixed":
        state.thresholds.assign(thresholds)
    logging.info("Starting from %s, step %d", folder, step)


def _calibrate(config: TrainConfig, info: RecordsInfo, model: keras.Model) -> None:
    """Gives the backbone's norms, which dlib's file has no statistics for, those of pictures."""
    dataset = evaluation_dataset(
        info,
        config.train_split,
        image_size=config.image_size,
        batch_size=_CALIBRATION_PICTURES,
    )
    batch = next(read_batches(dataset.take(1), info, config.train_split))
    calibrate_batch_norms(model, batch["images"])


def _sample_losses(
    config: TrainConfig,
    info: RecordsInfo,
    state: TrainingState,
    attribute_loss: AttributeLoss,
    devices: Devices,
) -> Iterator[tuple[tf.Tensor, tf.Tensor]]:
    """Yields losses of a few validation pictures, others each step from the state's step on.

    Which pictures depends on the seed and the step alone. Nothing is read before the first `next`,
    which comes before the state's next step.
    """
    dataset = train_dataset(
        info,
        config.validation_split,
        image_size=config.image_size,
        batch_size=min(_SAMPLED_PICTURES, info.splits[config.validation_split]),
        seed=config.seed,
        start_step=int(state.step.numpy()),
        flip=False,
        cache=config.cache,
        shuffle_buffer=config.shuffle_buffer,
    )
    loss_step = create_loss_step(state.model, attribute_loss, devices.strategy)
    batches = devices.strategy.experimental_distribute_dataset(_step_features(dataset))
    for batch in read_batches(batches, info, config.validation_split):
        yield loss_step(batch)


def _training_dataset(config: TrainConfig, info: RecordsInfo, start_step: int) -> tf.data.Dataset:
    dataset = train_dataset(
        info,
        config.train_split,
        image_size=config.image_size,
        batch_size=config.batch_size,
        seed=config.seed,
        start_step=start_step,
        flip=config.flip,
        cache=config.cache,
        shuffle_buffer=config.shuffle_buffer,
    )
    return _step_features(dataset)


def _validation_dataset(config: TrainConfig, info: RecordsInfo) -> tf.data.Dataset:
    pixels = math.prod(config.image_size)
    cache = config.cache
    if cache == "none" and 3 * pixels * info.splits[config.validation_split] <= (
        _VALIDATION_CACHE_BYTES
    ):
        cache = "memory"
    dataset = evaluation_dataset(
        info,
        config.validation_split,
        image_size=config.image_size,
        # A multiple, as it has to divide evenly over the devices too.
        batch_size=config.batch_size * max(1, _VALIDATION_PIXELS // (config.batch_size * pixels)),
        cache=cache,
    )
    return _step_features(dataset)


def _step_features(dataset: tf.data.Dataset) -> tf.data.Dataset:
    dataset = dataset.map(lambda batch: {name: batch[name] for name in STEP_FEATURES})
    return dataset.prefetch(PREFETCHED_BATCHES)


def _require_splits(config: TrainConfig, info: RecordsInfo) -> None:
    for option in ("train_split", "validation_split"):
        split = getattr(config, option)
        if not info.splits.get(split):
            raise ConfigError(
                f"{option}={split}: expected a split with pictures among "
                f"{', '.join(name for name, count in info.splits.items() if count)} of "
                f"{info.path}; name one with --{option}"
            )
    if info.splits[config.train_split] < config.batch_size:
        raise ConfigError(
            f"batch_size={config.batch_size}: split {config.train_split} has "
            f"{info.splits[config.train_split]} pictures; give a --batch_size of no more"
        )


def _require_landmarks(result: ValidationResult, config: TrainConfig) -> None:
    flags = ["--nolandmarks"] * config.trains_landmarks
    flags += ["--guidance=0"] * config.guides_attention
    if flags and not result.has_landmarks:
        raise ConfigError(
            f"landmarks={config.landmarks}, but no picture of split {config.validation_split} has "
            f"landmarks; train with {' '.join(flags)}, or prepare the data set with landmarks"
        )


def _require_updates(state: TrainingState, config: TrainConfig) -> None:
    steps = int(state.step.numpy())
    if steps and state.left_out_steps == steps:
        raise TrainingError(
            f"nothing was learned: the gradients of all {steps} steps overflowed in "
            f"precision={config.precision}, so that loss scaling left them out. Train in another "
            "workdir with --precision=mixed_bfloat16 or float32, more epochs (a step left out "
            f"halves the loss scale), or a --loss_scale below {config.loss_scale:g}"
        )
