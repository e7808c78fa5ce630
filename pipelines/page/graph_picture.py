"""A picture of boxes with arrows between them, each box in a column right of all that it needs."""

import dataclasses
import graphlib
import itertools
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch
from matplotlib.path import Path
from matplotlib.transforms import Bbox

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
_LINE, _PADDING, _MARGIN = 0.2, 0.16, 0.2  # inches, as are all places
_CHARACTER = 0.083
_COLUMN_GAP, _ROW_GAP = 0.55, 0.35
_SWEEPS = 8
_ARROW = "#8a8f98"

Edges = Sequence[tuple[str, str]]


@dataclasses.dataclass(frozen=True)
class Box:
    """A box: a heading, lines below it, and a state, one of COLOURS."""

    heading: str
    lines: tuple[str, ...] = ()
    state: str = "complete"


def draw_graph(boxes: Mapping[str, Box], edges: Edges, title: str = "") -> Figure:
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
    width, height = Bbox.union(list(places.values())).max + _MARGIN
    figure = Figure(figsize=(width, height + (0.4 if title else 0)), dpi=110)
    axes = figure.add_axes((0, 0, 1, height / figure.get_figheight()))
    axes.set(xlim=(0, width), ylim=(0, height))
    axes.set_axis_off()
    top = 1 - 0.28 / figure.get_figheight()
    figure.text(_MARGIN / width, top, title, size=12, weight="bold")
    for route in routes:
        _draw_arrow(axes, [places[name] for name in route])
    for name, box in boxes.items():
        _draw_box(axes, places[name], box)
    return figure


def _without_shortcuts(edges: Edges) -> Edges:
    def reaches(source: str, wanted: str) -> bool:
        return any(t == wanted or reaches(t, wanted) for s, t in edges if s == source)

    return [
        (source, target)
        for source, target in dict.fromkeys(edges)
        if not any(reaches(t, target) for s, t in edges if s == source and t != target)
    ]


def _depths(boxes: Mapping[str, Box], edges: Edges) -> dict[str, int]:
    """Returns the column of each box, from the left."""
    needed = {name: [s for s, t in edges if t == name] for name in boxes}
    depths = dict.fromkeys(boxes, 0)
    for name in graphlib.TopologicalSorter(needed).static_order():
        depths[name] = 1 + max((depths[each] for each in needed[name]), default=-1)
    for name in boxes:
        targets = [depths[target] for source, target in edges if source == name]
        if targets and not needed[name]:
            depths[name] = min(targets) - 1  # beside what needs it
    return depths


def _route(source: str, target: str, depths: dict[str, int]) -> list[str]:
    """Returns what an edge passes from left to right; adds a place in each column between."""
    columns = range(depths[source] + 1, depths[target])
    between = {f"{source} to {target} {column}": column for column in columns}
    depths.update(between)
    return [source, *between, target]


def _columns(depths: Mapping[str, int], routes: Sequence[Sequence[str]]) -> list[list[str]]:
    """Returns the names in each column, from the top, each near to what it is connected with."""
    columns = [[n for n in depths if depths[n] == c] for c in range(1 + max(depths.values()))]
    neighbours = {name: [] for name in depths}
    for source, target in itertools.chain(*map(itertools.pairwise, routes)):
        neighbours[source].append(target)
        neighbours[target].append(source)
    for _ in range(_SWEEPS):
        heights = {
            name: (row + 0.5) / len(column) for column in columns for row, name in enumerate(column)
        }
        for column in columns:
            column.sort(key=lambda name: np.mean([heights[n] for n in neighbours[name]] or [0.5]))
    return columns


def _place(boxes: Mapping[str, Box], columns: Sequence[Sequence[str]]) -> dict[str, Bbox]:
    sizes = {name: _size(box) for name, box in boxes.items()}
    flat = (0, 0)  # an edge that passes
    heights = [[sizes.get(name, flat)[1] + _ROW_GAP for name in column] for column in columns]
    middle = _MARGIN + (max(map(sum, heights)) - _ROW_GAP) / 2
    places, left = {}, _MARGIN
    for column, own in zip(columns, heights, strict=True):
        width = max(sizes.get(name, flat)[0] for name in column)
        top = middle + (sum(own) - _ROW_GAP) / 2
        for name, height in zip(column, own, strict=True):
            places[name] = Bbox([[left, top - height + _ROW_GAP], [left + width, top]])
            top -= height
        left += width + _COLUMN_GAP
    return places


def _size(box: Box) -> tuple[float, float]:
    heading = 1.12 * len(box.heading)  # it is bold
    width = _CHARACTER * max(heading, *map(len, box.lines), 8)
    return 2 * _PADDING + width, 2 * _PADDING + _LINE * (1 + len(box.lines))


def _draw_box(axes, place: Bbox, box: Box) -> None:
    fill, frame = COLOURS[box.state]
    style = {"boxstyle": "round,pad=0,rounding_size=0.08", "linewidth": 1.3}
    axes.add_patch(FancyBboxPatch(place.p0, *place.size, fc=fill, ec=frame, **style))
    for number, text in enumerate((box.heading, *box.lines)):
        left, middle = place.x0 + _PADDING, place.y1 - _PADDING - (number + 0.5) * _LINE
        font = {"size": 8.5} if number else {"size": 9.5, "weight": "bold"}
        axes.text(left, middle, text, va="center", **font)


def _draw_arrow(axes, route: Sequence[Bbox]) -> None:
    """Draws an edge from the first place to the last, straight across those between."""
    sides = [(x, (place.y0 + place.y1) / 2) for place in route for x in (place.x0, place.x1)]
    style = {"arrowstyle": "-|>", "mutation_scale": 10, "color": _ARROW, "linewidth": 1}
    axes.add_patch(FancyArrowPatch(path=Path(sides[1:-1]), zorder=0, **style))
