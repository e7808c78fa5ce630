"""Convolutions as matrix products, where these are the faster ones on a CPU."""

import dataclasses
import functools
import itertools
import math
import types
from collections.abc import Sequence

import keras
import tensorflow as tf

from tfac.speed.inference_folding import folds

# Found by measuring on x86-64 with AVX-512, with and without AMX; benchmarks/step_cost.py and
# pytorch.py show what they give.
_TINY = 4  # positions of the output map
_SMALL = 64
_SMALL_KERNEL = 3 * 3  # places of the kernel


def use_matrix_products(model: keras.Model) -> int:
    """Makes a model's convolutions matrix products where the maps are small, and counts them.

    For each convolution, and for each of its two gradients, oneDNN brings the kernel into an order
    of its own. Where the maps are small beside the kernel, that is most of the work: the last stage
    of a ResNet at 64 pixels, 512 x 512 channels on maps of 2 x 2. So, on TensorFlow:

    - a kernel of 1x1 is a product of the positions with it;
    - one whose outputs are maps of up to 2 x 2 is a product a position: of the part of the maps it
      sees with the part of the kernel that lies on it. Of 3x3 over maps of 2 x 2 that leaves 16
      products of 36; the others are with the padding;
    - in bfloat16 and float16 the gradient in the kernel of one that moves by one over maps of up to
      8 x 8, or of one of up to 3x3 that moves by more over any, is a product a place of the kernel:
      of what it sees there with the gradient in the outputs.

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
    size = layer.compute_output_shape(inputs.shape)[1:3]
    if None in size or 0 in size or inputs.dtype != kernel.dtype:
        return keras.layers.Conv2D.convolution_op(layer, inputs, kernel)
    axes = _axes(layer, inputs.shape[1:3], size)
    positions, places = math.prod(size), math.prod(layer.kernel_size)
    tiny = positions <= _TINY
    # Where norms are folded, a convolution takes shift and ReLU along, and a product does not.
    if places == 1 and (tiny or not folds()):
        return _product_of_positions(axes, inputs, kernel)
    if tiny:
        return _product_by_position(axes, inputs, kernel)
    half = inputs.dtype in (tf.bfloat16, tf.float16)
    small = positions <= _SMALL if tuple(layer.strides) == (1, 1) else places <= _SMALL_KERNEL
    if half and small and not folds():
        return _with_gradient_by_place(layer, axes, inputs, kernel)
    return keras.layers.Conv2D.convolution_op(layer, inputs, kernel)


@dataclasses.dataclass(frozen=True)
class _Axis:
    """One side of a convolution: its height or its width.

    Attributes:
        places: of the kernel.
        stride: positions of the maps that the kernel moves by.
        outputs: positions of the output.
        cells: positions of the maps.
        padding: positions before the maps.
    """

    places: int
    stride: int
    outputs: int
    cells: int
    padding: int

    def windows(self) -> list[tuple[slice, slice]]:
        """Returns for each output what it sees of the maps, and with which part of the kernel."""
        windows = []
        for output in range(self.outputs):
            start = output * self.stride - self.padding
            places = slice(max(0, -start), min(self.places, self.cells - start))
            windows.append((slice(start + places.start, start + places.stop), places))
        return windows

    def seen(self) -> list[slice]:
        """Returns for each place of the kernel the outputs at which it lies on the maps."""
        seen = []
        for place in range(self.places):
            first = max(0, math.ceil((self.padding - place) / self.stride))
            end = (self.cells - 1 + self.padding - place) // self.stride + 1
            seen.append(slice(first, min(end, self.outputs)))
        return seen


def _axes(layer, cells: tuple[int, int], outputs: tuple[int, int]) -> tuple[_Axis, _Axis]:
    axes = []
    for places, stride, length, side in zip(
        layer.kernel_size, layer.strides, outputs, cells, strict=True
    ):
        needed = (length - 1) * stride + places
        padding = max(needed - side, 0) // 2 if layer.padding == "same" else 0
        axes.append(_Axis(places, stride, length, side, padding))
    return tuple(axes)


def _product_of_positions(axes, inputs: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
    """A convolution whose kernel is 1x1."""
    rows, columns = axes
    channels, filters = kernel.shape[2:]
    everywhere = (slice(0, rows.outputs), slice(0, columns.outputs))
    maps = _seen_by_place(axes, _blocks(axes, inputs), (0, 0), everywhere)
    outputs = tf.reshape(maps, (-1, channels)) @ tf.reshape(kernel, (channels, filters))
    return tf.reshape(outputs, (-1, rows.outputs, columns.outputs, filters))


def _product_by_position(axes, inputs: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
    rows, columns = axes
    channels, filters = kernel.shape[2:]
    windows = [
        ((top, left), (above, beside))
        for top, above in rows.windows()
        for left, beside in columns.windows()
    ]

    @tf.custom_gradient
    def convolve(inputs, kernel):
        kernels, outputs = [], []
        for cells, places in windows:
            part = _cut(kernel, (*places, slice(None), slice(None)))
            kernels.append(tf.reshape(part, (-1, filters)))  # [places * C, F]
            seen = _cut(inputs, (slice(None), *cells, slice(None)))
            seen = tf.reshape(seen, (-1, kernels[-1].shape[0]))  # [B, places * C]
            outputs.append(seen @ kernels[-1])  # [B, F]
        outputs = tf.stack(outputs, axis=1)  # [B, h * w, F]

        def gradients(upstream):
            by_position = tf.unstack(tf.reshape(upstream, (-1, len(windows), filters)), axis=1)
            of_inputs = []
            for gradient, part, (cells, _) in zip(by_position, kernels, windows, strict=True):
                gradient = tf.matmul(gradient, part, transpose_b=True)  # [B, places * C]
                sides = [cell.stop - cell.start for cell in cells]
                gradient = tf.reshape(gradient, (-1, *sides, channels))
                of_inputs.append(_put_back(gradient, cells, inputs.shape[1:3]))
            # Not `add_n`, see `tfac.training.step.set_reproducible`.
            total = functools.reduce(tf.add, of_inputs)
            return total, _kernel_gradient(axes, inputs, kernel, upstream)

        return tf.reshape(outputs, (-1, rows.outputs, columns.outputs, filters)), gradients

    return convolve(inputs, kernel)


def _with_gradient_by_place(layer, axes, inputs: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
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
            return of_inputs, _kernel_gradient(axes, inputs, kernel, upstream)

        return keras.layers.Conv2D.convolution_op(layer, inputs, kernel), gradients

    return convolve(inputs, kernel)


def _kernel_gradient(axes, inputs, kernel, upstream) -> tf.Tensor:
    channels, filters = kernel.shape[2:]
    blocks = _blocks(axes, inputs)
    rows, columns = (axis.seen() for axis in axes)
    products = []
    for place in itertools.product(range(len(rows)), range(len(columns))):
        outputs = rows[place[0]], columns[place[1]]
        if any(some.start >= some.stop for some in outputs):  # on the padding alone
            products.append(tf.zeros((channels, filters), kernel.dtype))
            continue
        seen = _seen_by_place(axes, blocks, place, outputs)
        gradient = _cut(upstream, (slice(None), *outputs, slice(None)))
        gradient = tf.reshape(gradient, (-1, filters))  # [B * h * w, F]
        products.append(
            tf.matmul(tf.reshape(seen, (-1, channels)), gradient, transpose_a=True)  # [C, F]
        )
    return tf.reshape(tf.stack(products), kernel.shape)


def _blocks(axes, inputs: tf.Tensor) -> tf.Tensor:
    """Returns maps by moves of the kernel, [B, n, rows of a move, m, columns of a move * C].

    A place of the kernel sees the same part of each, and a slice of one piece is copied much faster
    than one that skips positions.
    """
    blocks = [math.ceil(axis.cells / axis.stride) for axis in axes]
    ends = [n * axis.stride - axis.cells for n, axis in zip(blocks, axes, strict=True)]
    if any(ends):
        inputs = tf.pad(inputs, [[0, 0], [0, ends[0]], [0, ends[1]], [0, 0]])
    rows, columns = axes
    width = columns.stride * inputs.shape[-1]
    return tf.reshape(inputs, (-1, blocks[0], rows.stride, blocks[1], width))


def _seen_by_place(axes, blocks: tf.Tensor, place, outputs: tuple[slice, slice]) -> tf.Tensor:
    """Returns what a place of the kernel sees at some outputs, [B, h, w, C]."""
    starts, parts = zip(
        *(divmod(i - axis.padding, axis.stride) for i, axis in zip(place, axes, strict=True)),
        strict=True,
    )
    moves = [
        slice(start + some.start, start + some.stop)
        for start, some in zip(starts, outputs, strict=True)
    ]
    channels = blocks.shape[-1] // axes[1].stride
    row = slice(parts[0], parts[0] + 1)
    column = slice(parts[1] * channels, (parts[1] + 1) * channels)
    seen = _cut(blocks, (slice(None), moves[0], row, moves[1], column))
    return tf.reshape(seen, (-1, seen.shape[1], seen.shape[3], channels))


def _cut(tensor: tf.Tensor, slices: Sequence[slice]) -> tf.Tensor:
    """Returns a part of a tensor; `tf.slice` copies faster than indexing."""
    pairs = list(zip(slices, tensor.shape, strict=True))
    if all(part in (slice(None), slice(0, side)) for part, side in pairs):
        return tensor
    starts = [part.start or 0 for part, _ in pairs]
    sizes = [-1 if part == slice(None) else part.stop - part.start for part, _ in pairs]
    return tf.slice(tensor, starts, sizes)


def _put_back(part: tf.Tensor, cells: tuple[slice, slice], sides) -> tf.Tensor:
    """Returns maps [B, H, W, C] that are 0 but for a part of them."""
    paddings = [[cell.start, side - cell.stop] for cell, side in zip(cells, sides, strict=True)]
    if paddings == [[0, 0], [0, 0]]:
        return part
    return tf.pad(part, [[0, 0], *paddings, [0, 0]])
