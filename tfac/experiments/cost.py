"""What a network costs: multiply-adds of one picture."""

from collections.abc import Callable

import numpy as np
import tensorflow as tf


def count_multiply_adds(predict: Callable, image_size: tuple[int, int]) -> int:
    """Returns the multiply-adds that prediction takes for one picture.

    Those of convolutions and matrix products, read from the shapes in its graph; what
    works element by element (normalisation, activations, pooling) is left out.

    Args:
        predict: images uint8 [B, H, W, 3] to outputs.
        image_size: height and width of the picture, pixels.
    """
    images = tf.TensorSpec([1, *image_size, 3], tf.uint8)
    graph = tf.function(predict).get_concrete_function(images)
    return sum(_multiply_adds(operation) for operation in graph.graph.get_operations())


def _multiply_adds(operation: tf.Operation) -> int:
    shapes = [list(tensor.shape) for tensor in operation.inputs]
    if operation.type == "Conv2D":
        kernel_height, kernel_width, channels, _ = shapes[1]
        return _size(operation) * kernel_height * kernel_width * channels
    if operation.type == "DepthwiseConv2dNative":
        kernel_height, kernel_width, _, _ = shapes[1]
        return _size(operation) * kernel_height * kernel_width
    if operation.type == "MatMul":
        return _size(operation) * shapes[0][0 if operation.get_attr("transpose_a") else 1]
    if operation.type in ("BatchMatMul", "BatchMatMulV2", "BatchMatMulV3"):
        return _size(operation) * shapes[0][-2 if operation.get_attr("adj_x") else -1]
    if operation.type == "Einsum":
        subscripts = operation.get_attr("equation").decode().partition("->")[0].split(",")
        sides = {}
        for letters, shape in zip(subscripts, shapes, strict=True):
            sides |= dict(zip(letters, shape, strict=True))
        return int(np.prod(list(sides.values()), dtype=np.int64))
    return 0


def _size(operation: tf.Operation) -> int:
    return operation.outputs[0].shape.num_elements()
