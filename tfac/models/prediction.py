"""A model's answer, with or without test-time flip."""

import keras
from keras import ops

from tfac.attributes import Mirroring


def predict(
    model: keras.Model, images, test_time_flip: bool | Mirroring = False, **arguments
) -> dict:
    """Returns a model's outputs for images [B, H, W, 3], without training.

    Args:
        model: images to a dict of outputs with "scores" [B, A].
        images: as the model takes them.
        test_time_flip: the scores are the means over each picture and its mirror image, at twice
            the cost; every other output is the picture's own. A `Mirroring` says which scores swap,
            and of which attributes the picture's own score is the answer.
        **arguments: the model's own call arguments, such as `explain`.
    """
    outputs = model(images, training=False, **arguments)
    if not test_time_flip:
        return outputs
    scores = outputs["scores"]
    mirrored = model(ops.flip(images, axis=2), training=False)["scores"]
    if test_time_flip is True or test_time_flip.is_symmetric:
        return {**outputs, "scores": (scores + mirrored) / 2}
    mirrored = ops.take(mirrored, test_time_flip.indices, axis=1)
    mirrored = ops.where(ops.array(test_time_flip.kept), mirrored, scores)
    return {**outputs, "scores": (scores + mirrored) / 2}
