"""A model's answer, with or without test-time flip."""

import keras
from keras import ops


def predict(model: keras.Model, images, test_time_flip: bool = False, **arguments) -> dict:
    """Returns a model's outputs for images [B, H, W, 3], without training.

    Args:
        model: images to a dict of outputs with "scores" [B, A].
        images: as the model takes them.
        test_time_flip: the scores are the means over each picture and its mirror image, at twice
            the cost; every other output is the picture's own.
        **arguments: the model's own call arguments, such as `explain`.
    """
    outputs = model(images, training=False, **arguments)
    if not test_time_flip:
        return outputs
    mirrored = model(ops.flip(images, axis=2), training=False)
    return {**outputs, "scores": (outputs["scores"] + mirrored["scores"]) / 2}
