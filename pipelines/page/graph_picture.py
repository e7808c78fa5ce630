"""A picture of boxes with arrows between them, each box in a column right of all that it needs."""

import dataclasses
import itertools
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch
from matplotlib.path import Path

# State of a component to the colours of its box and frame.
COLOURS = {
    "complete": ("#e6f4ea", "#2e7d32"),
    "cached": ("#eef2f7", "#5b7083"),
    "skipped": ("#fff7e0", "#b98900"),
    "failed": ("#fdecea", "#b00020"),
    "killed": ("#fdecea", "#b00020"),
    "running": ("#e3f0fd", "#1565c0"),
    "not run": ("#ffffff", "#aaaaaa"),
}
_LINE, _PADDING = 0.2, 0.16  # inches
_CHARACTER = 0.083
_COLUMN_GAP, _ROW_GAP = 0.55, 0.35
_SWEEPS = 8
_ARROW = "#8a8f98"


@dataclasses.dataclass(frozen=True)
class Box:
    """A box: a heading, lines below it, and a state, one of COLOURS."""

    heading: str
    lines: tuple[str, ...] = ()
    state: str = "complete"


@dataclasses.dataclass(frozen=True)
class _Place:
    """Where a box is: left, bottom, width and height in inches."""

    left: float
    bottom: float
    width: float
    height: float


def draw_graph(
    boxes: Mapping[str, Box], edges: Sequence[tuple[str, str]], title: str = ""
) -> Figure:
    """Draws boxes from left to right.

    Args:
        boxes: by name.
        edges: from a box to one that needs it, by name; no circles. Those between boxes that
            others connect as well are left out.
        title: what to write above.
    """
    edges = _without_shortcuts(edges)
    depths = _depths(boxes, edges)
    routes = [_route(source, target, depths) for source, target in edges]
    places = _place(boxes, _columns(depths, routes))
    width = max(place.left + place.width for place in places.values()) + 0.2
    height = max(place.bottom + place.height for place in places.values()) + 0.2
    figure = Figure(figsize=(width, height + (0.4 if title else 0)), dpi=110)
    axes = figure.add_axes((0, 0, 1, height / figure.get_figheight()))
    axes.set(xlim=(0, width), ylim=(0, height))
    axes.set_axis_off()
    if title:
        figure.text(0.2 / width, 1 - 0.28 / figure.get_figheight(), title, size=12, weight="bold")
    for route in routes:
        _draw_arrow(axes, [places[name] for name in route])
    for name, box in boxes.items():
        _draw_box(axes, places[name], box)
    return figure


def _without_shortcuts(edges: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    targets: dict[str, set[str]] = {}
    for source, target in edges:
        targets.setdefault(source, set()).add(target)

    def reaches(source: str, wanted: str) -> bool:
        return any(t == wanted or reaches(t, wanted) for t in targets.get(source, ()))

    return [
        (source, target)
        for source, target in dict.fromkeys(edges)
        if not any(reaches(other, target) for other in targets[source] - {target})
    ]


def _depths(boxes: Mapping[str, Box], edges: Sequence[tuple[str, str]]) -> dict[str, int]:
    """Returns the column of each box, from the left."""
    depths: dict[str, int] = {}

    def depth(name: str) -> int:
        if name not in depths:
            depths[name] = 1 + max((depth(s) for s, t in edges if t == name), default=-1)
        return depths[name]

    for name in boxes:
        depth(name)
    for name in boxes:
        targets = [depths[target] for source, target in edges if source == name]
        if targets and not any(target == name for _, target in edges):
            depths[name] = min(targets) - 1  # beside what needs it
    return depths


def _route(source: str, target: str, depths: dict[str, int]) -> list[str]:
    """Returns what an edge passes from left to right; adds a place in each column between."""
    between = {
        f"{source} to {target} {column}": column
        for column in range(depths[source] + 1, depths[target])
    }
    depths.update(between)
    return [source, *between, target]


def _columns(depths: Mapping[str, int], routes: Sequence[Sequence[str]]) -> list[list[str]]:
    """Returns the names in each column, from the top, each near to what it is connected with."""
    columns: list[list[str]] = [[] for _ in range(1 + max(depths.values()))]
    for name, column in depths.items():
        columns[column].append(name)
    neighbours = {name: [] for name in depths}
    for source, target in (pair for route in routes for pair in itertools.pairwise(route)):
        neighbours[source].append(target)
        neighbours[target].append(source)
    for _ in range(_SWEEPS):
        heights = {
            name: (row + 0.5) / len(column) for column in columns for row, name in enumerate(column)
        }
        for column in columns:
            column.sort(key=lambda name: np.mean([heights[n] for n in neighbours[name]] or [0.5]))
    return columns


def _place(boxes: Mapping[str, Box], columns: Sequence[Sequence[str]]) -> dict[str, _Place]:
    def height(name: str) -> float:
        if name not in boxes:
            return 0  # an edge that passes
        return 2 * _PADDING + _LINE * (1 + len(boxes[name].lines))

    tall = max(sum(height(n) + _ROW_GAP for n in column) - _ROW_GAP for column in columns)
    places, left = {}, 0.2
    for column in columns:
        width = max(_width(boxes[name]) for name in column if name in boxes)
        used = sum(height(name) + _ROW_GAP for name in column) - _ROW_GAP
        top = 0.2 + tall - (tall - used) / 2
        for name in column:
            places[name] = _Place(left, top - height(name), width, height(name))
            top -= height(name) + _ROW_GAP
        left += width + _COLUMN_GAP
    return places


def _width(box: Box) -> float:
    heading = 1.12 * len(box.heading)  # it is bold
    return 2 * _PADDING + _CHARACTER * max(heading, *map(len, box.lines), 8)


def _draw_box(axes, place: _Place, box: Box) -> None:
    fill, frame = COLOURS[box.state]
    axes.add_patch(
        FancyBboxPatch(
            (place.left, place.bottom),
            place.width,
            place.height,
            boxstyle="round,pad=0,rounding_size=0.08",
            facecolor=fill,
            edgecolor=frame,
            linewidth=1.3,
        )
    )
    for number, text in enumerate((box.heading, *box.lines)):
        axes.text(
            place.left + _PADDING,
            place.bottom + place.height - _PADDING - (number + 0.5) * _LINE,
            text,
            size=9.5 if number == 0 else 8.5,
            weight="bold" if number == 0 else "normal",
            va="center",
        )


def _draw_arrow(axes, route: Sequence[_Place]) -> None:
    """Draws an edge from the first place to the last, straight across those between."""
    points = []
    for number, place in enumerate(route):
        middle = place.bottom + place.height / 2
        if number > 0:
            points.append((place.left, middle))
        if number < len(route) - 1:
            points.append((place.left + place.width, middle))
    axes.add_patch(
        FancyArrowPatch(
            path=Path(points),
            arrowstyle="-|>",
            mutation_scale=10,
            facecolor=_ARROW,
            edgecolor=_ARROW,
            linewidth=1,
            zorder=0,
        )
    )
