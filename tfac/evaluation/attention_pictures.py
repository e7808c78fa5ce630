"""Pictures of what group attention looks at and of how its groups listen to each other."""

import inspect
from collections.abc import Mapping, Sequence

import keras
import matplotlib
import numpy as np
from matplotlib.figure import Figure
from PIL import Image

_MASKS_A_ROW = 8
_TILE = 1.3  # inches
_DPI = 80
_MOST_NUMBERED = 12  # groups whose affinities are written as numbers too


def draw_attention(
    model: keras.Model, images: np.ndarray, most_pictures: int, most_groups: int = 40
) -> dict[str, Figure]:
    """Draws what a model with group attention looks at, and how its groups listen to each other.

    Args:
        model: any; one that has no attention to explain, on any level, or more groups than
            `most_groups`, gives no picture.
        images: uint8 [n, H, W, 3]; affinities are means over all of them.
        most_pictures: how many of them get their masks drawn.
        most_groups: more masks than that are no picture.

    Returns:
        "attention_masks" and, with a graph, "affinity".
    """
    if "explain" not in inspect.signature(model.call).parameters:
        return {}
    group_names = model.group_names
    if len(group_names) > most_groups:
        return {}
    outputs = model(images, training=False, explain=True)
    outputs = {name: keras.ops.convert_to_numpy(value) for name, value in outputs.items()}
    masks = {
        level: mask[:most_pictures] for level, mask in _by_level(outputs, "attention_mask").items()
    }
    if not masks:
        return {}
    figures = {"attention_masks": draw_attention_masks(images[:most_pictures], masks, group_names)}
    if affinity := _by_level(outputs, "affinity"):
        figures["affinity"] = draw_affinity(affinity, group_names)
    return figures


def _by_level(outputs: Mapping[str, np.ndarray], ending: str) -> dict[str, np.ndarray]:
    """Returns the outputs called ``LEVEL_ending`` by their level, such as "P3"."""
    return {
        name.removesuffix(f"_{ending}"): value
        for name, value in outputs.items()
        if name.endswith(f"_{ending}")
    }


def draw_attention_masks(
    images: np.ndarray, masks: Mapping[str, np.ndarray], group_names: Sequence[str]
) -> Figure:
    """Draws each group's mask over each picture, after figure 2 of Chen et al. (MGG-Net).

    Each picture has a row a level (more if there are many groups), the picture itself first. The
    colours run from dark blue (0) to red, the mask's own highest value in that picture.

    Args:
        images: uint8 [n, H, W, 3].
        masks: level to attention masks [n, h, w, G], at least 0.
        group_names: names [G].
    """
    height, width = images.shape[1:3]
    starts = range(0, len(group_names), _MASKS_A_ROW)
    rows = [(i, level, start) for i in range(len(images)) for level in masks for start in starts]
    columns = 1 + min(len(group_names), _MASKS_A_ROW)
    canvas = np.full((len(rows) * height, columns * width, 3), 255, np.uint8)
    size = (columns * _TILE, len(rows) * _TILE * height / width)
    figure = Figure(figsize=size, dpi=_DPI)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    for row, (i, level, start) in enumerate(rows):
        top = row * height
        canvas[top : top + height, :width] = images[i]
        _write(axes, 0, top, level, height)
        for column, name in enumerate(group_names[start : start + _MASKS_A_ROW], start=1):
            left = column * width
            mask = masks[level][i, :, :, start + column - 1]
            canvas[top : top + height, left : left + width] = _overlay(images[i], mask)
            _write(axes, left, top, name, height)
    axes.imshow(canvas, extent=(0, canvas.shape[1], canvas.shape[0], 0), aspect="auto")
    return figure


def draw_affinity(affinity: Mapping[str, np.ndarray], group_names: Sequence[str]) -> Figure:
    """Draws how much each group (row) takes from each other one (column), a panel a level.

    Args:
        affinity: level to softmax weights [n, G, G]; their mean over the n pictures is drawn.
        group_names: names [G].
    """
    num_groups = len(group_names)
    names = [name.replace("_", " ") for name in group_names]
    side = 2.5 + max(2.5, 0.35 * num_groups)
    figure = Figure(figsize=(side * len(affinity), side), dpi=_DPI, layout="constrained")
    panels = figure.subplots(1, len(affinity), squeeze=False)[0]
    for axes, (level, weights) in zip(panels, affinity.items(), strict=True):
        weights = np.mean(weights, axis=0)  # [G, G]
        heat = axes.imshow(weights, cmap="magma", vmin=0)
        axes.set_xticks(range(num_groups), names, rotation=90)
        axes.set_yticks(range(num_groups), names)
        axes.set(title=f"{level}: who listens to whom", xlabel="from", ylabel="receives")
        figure.colorbar(heat, ax=axes, shrink=0.7)
        if num_groups <= _MOST_NUMBERED:
            for (i, j), weight in np.ndenumerate(weights):
                colour = "white" if weight < 0.6 * weights.max() else "black"
                text = f"{weight:.2f}".lstrip("0")
                axes.text(j, i, text, ha="center", va="center", fontsize=7, color=colour)
    return figure


def _overlay(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Returns the picture, grey, under the mask's colours."""
    highest = mask.max()
    mask = mask / highest if highest > 0 else np.zeros_like(mask)
    enlarged = Image.fromarray(mask.astype(np.float32)).resize(
        (image.shape[1], image.shape[0]), Image.Resampling.BILINEAR
    )
    colours = matplotlib.colormaps["jet"](np.asarray(enlarged))[..., :3]
    grey = image.mean(axis=-1, keepdims=True) / 255
    return np.round(255 * (0.5 * grey + 0.5 * colours)).astype(np.uint8)


def _write(axes, left: int, top: int, text: str, height: int) -> None:
    axes.text(
        left + 0.03 * height,
        top + 0.03 * height,
        text.replace("_", " "),
        size=8,
        va="top",
        color="white",
        bbox={"facecolor": "black", "alpha": 0.5, "pad": 1, "linewidth": 0},
    )
