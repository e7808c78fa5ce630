import pytest

from pipelines.page.graph_picture import (
    COLOURS,
    Box,
    _columns,
    _depths,
    _route,
    _without_shortcuts,
    draw_graph,
)


def test_shortcuts_are_left_out():
    edges = [("a", "b"), ("b", "c"), ("a", "c"), ("a", "c"), ("c", "d"), ("a", "d")]
    assert _without_shortcuts(edges) == [("a", "b"), ("b", "c"), ("c", "d")]


def test_box_is_right_of_all_that_it_needs():
    boxes = {name: Box(name) for name in "dcbae"}
    edges = [("a", "b"), ("b", "c"), ("a", "c"), ("e", "c"), ("c", "d")]
    assert _depths(boxes, edges) == {"a": 0, "b": 1, "e": 1, "c": 2, "d": 3}  # e beside c


def test_long_edge_has_a_place_of_its_own_in_the_columns_between():
    boxes = {name: Box(name) for name in "abcde"}
    edges = [("a", "b"), ("b", "c"), ("c", "d"), ("a", "e"), ("e", "d")]
    depths = _depths(boxes, edges)
    routes = [_route(*edge, depths) for edge in edges]
    assert [len(route) for route in routes] == [2, 2, 2, 2, 3]
    columns = _columns(depths, routes)
    assert [len(column) for column in columns] == [1, 2, 2, 1]
    # It goes past c on the side on which e is.
    assert columns[1].index("e") == columns[2].index(routes[4][1])


@pytest.mark.parametrize("state", COLOURS)
def test_box_of_any_state_is_drawn(state):
    figure = draw_graph({"a": Box("Trainer", ("3 s",), state)}, [], "title")
    assert [text.get_text() for text in figure.axes[0].texts] == ["Trainer", "3 s"]
    figure.canvas.draw()
