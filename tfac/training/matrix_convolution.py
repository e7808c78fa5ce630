"""Convolutions as matrix products, where these are the faster ones on a CPU."""

import itertools
import types

import keras
import tensorflow as tf

from tfac.training.inference_folding import folds

# Found by measuring on x86-64 with AVX-512 and AMX.
_TINY = 4  # positions of the output map
_SMALL = 64


def use_matrix_products(model: keras.Model) -> int:
    """Makes a model's convolutions matrix products where the maps are small, and counts them.

    For each convolution, and for each of its two gradients, oneDNN brings the kernel into an order
    of its own. Where the maps are small beside the kernel, that is most of the work: the last stage
    of a ResNet at 64 pixels, 512 x 512 channels on maps of 2 x 2. So, on TensorFlow:

    - a kernel of 1x1 that moves by one position is a product of the positions with it;
    - one that moves by one over maps of up to 2 x 2 is a product of the patches below it with it;
    - in bfloat16 and float16 the gradient in the kernel of one that moves by one over other maps of
      up to 8 x 8, or by more over maps of up to 2 x 2, is a product a place of the kernel: of what
      it sees there with the gradient in the outputs.

    Answers and gradients are Keras's up to rounding. Only the `convolution_op` of each layer object
    changes: its class, config and weights stay Keras's. Layers with groups, dilation or channels
    first, and inputs whose height and width are not known when traced, are left to Keras.

    Args:
        model: a built model. `keras.layers.Conv2D` at any depth is found; its subclasses are left
            alone.

    Returns:
        The number of convolutions found.
    """
    layers = [layer for layer in model._flatten_layers() if _fits(layer)]
    for layer in layers:
        layer.convolution_op = types.MethodType(_convolve, layer)
    return len(layers)


def _fits(layer: keras.layers.Layer) -> bool:
    return (
        type(layer) is keras.layers.Conv2D
        and layer.data_format == "channels_last"
        and layer.groups == 1
        and tuple(layer.dilation_rate) == (1, 1)
    )


def _convolve(layer: keras.layers.Conv2D, inputs: tf.Tensor, kernel: keras.Variable) -> tf.Tensor:
    # Keras's own takes a variable for a tensor, and what is passed on would be read twice.
    kernel = tf.convert_to_tensor(kernel)
    size = _output_size(layer, inputs)
    if None not in size and inputs.dtype == kernel.dtype:
        positions = size[0] * size[1]
        tiny, half = 0 < positions <= _TINY, inputs.dtype in (tf.bfloat16, tf.float16)
        # Where norms are folded, a convolution takes shift and ReLU along, and a product does not.
        pointwise = tuple(layer.kernel_size) == (1, 1) and not folds()
        if _moves_by_one(layer) and (tiny or pointwise):
            return _product_of_patches(layer, inputs, kernel)
        if half and (tiny or (_moves_by_one(layer) and positions <= _SMALL)):
            return _with_gradient_by_taps(layer, inputs, kernel)
    return keras.layers.Conv2D.convolution_op(layer, inputs, kernel)


def _moves_by_one(layer: keras.layers.Conv2D) -> bool:
    return tuple(layer.strides) == (1, 1)


def _output_size(layer: keras.layers.Conv2D, inputs: tf.Tensor) -> tuple[int | None, int | None]:
    return layer.compute_output_shape(inputs.shape)[1:3]


def _product_of_patches(layer, inputs: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
    height, width = _output_size(layer, inputs)
    filters = kernel.shape[-1]
    patches = tf.concat(_taps(layer, inputs), axis=-1)  # [B, h, w, taps * C]
    patches = tf.reshape(patches, (-1, patches.shape[-1]))  # [B * h * w, taps * C]
    outputs = patches @ tf.reshape(kernel, (patches.shape[-1], filters))  # [B * h * w, F]
    return tf.reshape(outputs, (-1, height, width, filters))


def _with_gradient_by_taps(layer, inputs: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
    @tf.custom_gradient
    def convolve(inputs, kernel):
        def gradients(upstream):
            of_inputs = tf.raw_ops.Conv2DBackpropInput(
                input_sizes=tf.shape(inputs),
                filter=kernel,
                out_backprop=upstream,
                strides=[1, *layer.strides, 1],
                padding=layer.padding.upper(),
            )
            return of_inputs, _kernel_gradient(layer, inputs, kernel, upstream)

        return keras.layers.Conv2D.convolution_op(layer, inputs, kernel), gradients

    return convolve(inputs, kernel)


def _kernel_gradient(layer, inputs, kernel, upstream) -> tf.Tensor:
    channels, filters = kernel.shape[2:]
    upstream = tf.reshape(upstream, (-1, filters))  # [B * h * w, F]
    products = [
        tf.matmul(tf.reshape(tap, (-1, channels)), upstream, transpose_a=True)  # [C, F]
        for tap in _taps(layer, inputs)
    ]
    return tf.reshape(tf.stack(products), kernel.shape)


def _taps(layer, inputs: tf.Tensor) -> list[tf.Tensor]:
    """Returns what each place of the kernel sees at each position of the output, [B, h, w, C]."""
    outputs = _output_size(layer, inputs)
    if layer.padding == "same":
        inputs = tf.pad(inputs, _same_padding(layer, inputs, outputs))
    places = itertools.product(*map(range, layer.kernel_size))
    if _moves_by_one(layer):  # `tf.slice` copies faster than a slice with steps
        return [tf.slice(inputs, [0, *place, 0], [-1, *outputs, -1]) for place in places]
    rows, columns = layer.strides
    height, width = ((n - 1) * stride + 1 for n, stride in zip(outputs, layer.strides, strict=True))
    return [inputs[:, i : i + height : rows, j : j + width : columns] for i, j in places]


def _same_padding(layer, inputs, outputs) -> list[list[int]]:
    paddings = [[0, 0]]
    for size, stride, length, cells in zip(
        layer.kernel_size, layer.strides, outputs, inputs.shape[1:3], strict=True
    ):
        total = max((length - 1) * stride + size - cells, 0)
        paddings.append([total // 2, total - total // 2])
    return [*paddings, [0, 0]]
