"""A linear head fitted at once to what a pretrained network says of the training pictures.

The backbone stays as it is, so each picture goes through it once, and the head is logistic
regression on the features, which is convex.
"""

from collections.abc import Iterable

import keras
import numpy as np
import tensorflow as tf
from scipy.optimize import minimize
from tqdm import tqdm

from tfac.data.records.info import RecordsInfo
from tfac.data.records.pipeline import evaluation_dataset, read_batches
from tfac.losses import AttributeLoss
from tfac.progress import progress
from tfac.speed.inference_folding import folding_batch_norms
from tfac.training.config import TrainConfig

_PICTURES = 20_000  # at most, so that memory stays flat
_BATCH = 256
_ITERATIONS = 40
_ROWS = 2048  # in float32 at a time
# By the loss of other pictures the best strength of L2 regularisation for 200, 600, 2,000 and 6,038
# pictures of CelebA and 5,504 features was 3, 1, 1 and 0.3 of 0.3, 1, 3 and 10; see
# benchmarks/few_pictures.py.
_L2 = 30.0


def fit_head(
    model: keras.Model,
    config: TrainConfig,
    info: RecordsInfo,
    attribute_loss: AttributeLoss,
    show_progress: bool = True,
) -> None:
    """Fits ``model.head`` to ``model.features`` of training pictures and their mirror images.

    With test-time flip it is fitted to the mean of the two, as the mean of a linear head's scores
    is its score of the mean. Where an attribute's label is another in the mirror image, it is
    fitted to the pictures alone.

    Args:
        model: with `features`, images [B, H, W, 3] to [B, F], and `head`, a dense layer from these
            to scores [B, A]. The head alone changes.
        config: says which split, and whether pictures are mirrored in training and in testing.
        info: the data set; of a larger split the first 20,000 pictures are taken.
        attribute_loss: binary cross-entropy; its class weights count.
        show_progress: draw a progress bar.
    """
    count = min(info.splits[config.train_split], _PICTURES)
    dataset = evaluation_dataset(
        info, config.train_split, image_size=config.image_size, batch_size=_BATCH
    )
    batches = read_batches(dataset.take(-(-count // _BATCH)), info, config.train_split)
    with progress(total=count, desc="features", unit="picture", disable=not show_progress) as bar:
        symmetric = info.groups.mirroring(info.attributes).is_symmetric
        features, labels, mask = _features(model, batches, config, symmetric, bar)
    weights = mask
    if attribute_loss.class_weights is not None:
        weights = mask * np.where(labels > 0.5, *np.transpose(attribute_loss.class_weights)[::-1])
    kernel, bias = logistic_regression(features, labels, weights, _L2 / np.sqrt(len(labels)))
    model.head.kernel.assign(kernel)
    model.head.bias.assign(bias)


def logistic_regression(
    features: np.ndarray, labels: np.ndarray, weights: np.ndarray, l2: float
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the kernel and bias of L2-regularised logistic regressions.

    They minimise, for each attribute, the sum over pictures and versions of weight times binary
    cross-entropy, divided by their number, plus l2 / 2 times the squares of the kernel for features
    of mean 0 and deviation 1.

    Args:
        features: float16 [V, N, F], V versions of each of N pictures.
        labels: float32 [N, A] in {0, 1}.
        weights: float32 [N, A], at least 0.
        l2: strength of the regularisation, above 0.

    Returns:
        Kernel float32 [F, A], bias float32 [A]; for the features as they are.
    """
    versions, pictures, width = features.shape
    sums = np.zeros((2, width))
    chunks = [
        (version, slice(start, min(start + _ROWS, pictures)))
        for version in range(versions)
        for start in range(0, pictures, _ROWS)
    ]
    for version, rows in chunks:
        part = features[version, rows].astype(np.float32)
        sums += [part.sum(axis=0), np.square(part).sum(axis=0)]
    mean, square = sums / (versions * pictures)
    deviation = np.sqrt(np.maximum(square - mean**2, 0)) + 1e-3
    scale, shift = (1 / deviation).astype(np.float32), (mean / deviation).astype(np.float32)

    buffer = np.empty((_ROWS, width), np.float32)

    def objective(parameters: np.ndarray) -> tuple[float, np.ndarray]:
        # The kernel is scaled in place of the features, which are many.
        kernel, bias = np.split(parameters.reshape(width + 1, -1).astype(np.float32), [width])
        scaled = kernel * scale[:, np.newaxis]
        bias = bias[0] - shift @ kernel
        value, gradient = 0.0, np.zeros((width + 1, labels.shape[1]))
        for version, rows in chunks:
            part = buffer[: rows.stop - rows.start]
            part[:] = features[version, rows]
            scores = part @ scaled + bias
            losses = np.logaddexp(0, scores) - labels[rows] * scores
            value += np.vdot(weights[rows], losses)
            errors = weights[rows] * (1 / (1 + np.exp(-scores)) - labels[rows])
            gradient[:-1] += part.T @ errors
            gradient[-1] += errors.sum(axis=0)
        gradient /= versions * pictures
        gradient[:-1] = scale[:, np.newaxis] * gradient[:-1] - np.outer(shift, gradient[-1])
        gradient[:-1] += l2 * kernel
        value = value / (versions * pictures) + l2 / 2 * np.vdot(kernel, kernel)
        return float(value), gradient.ravel()

    start = np.zeros((width + 1) * labels.shape[1])
    options = {"maxiter": _ITERATIONS}
    found = minimize(objective, start, jac=True, method="L-BFGS-B", options=options).x
    kernel, bias = np.split(found.reshape(width + 1, -1), [width])
    kernel = kernel * scale[:, np.newaxis]
    return kernel.astype(np.float32), (bias[0] - mean @ kernel).astype(np.float32)


def _features(
    model: keras.Model,
    batches: Iterable[dict[str, tf.Tensor]],
    config: TrainConfig,
    symmetric: bool,
    bar: tqdm,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns features float16 [V, N, F], V versions of each picture; labels and mask [N, A]."""

    @tf.function(reduce_retracing=True)
    def versions(images):
        views = [images]
        if symmetric and (config.flip or config.test_time_flip):
            views.append(images[:, :, ::-1])
        with folding_batch_norms():
            features = tf.stack([model.features(view) for view in views])
        if config.test_time_flip:
            features = tf.reduce_mean(features, axis=0, keepdims=True)
        return tf.cast(features, tf.float16)

    features, labels, mask = [], [], []
    for batch in batches:
        features.append(versions(batch["images"]).numpy())
        labels.append(batch["labels"].numpy())
        mask.append(batch["label_mask"].numpy())
        bar.update(len(labels[-1]))
    return np.concatenate(features, axis=1), np.concatenate(labels), np.concatenate(mask)
