"""Parts of a run's page: tables and figures."""

import io
from collections.abc import Sequence
from typing import Any

import matplotlib
from matplotlib.figure import Figure


def as_table(
    headings: Sequence[str], rows: Sequence[Sequence[Any]], texts: Sequence[int] = ()
) -> str:
    """Returns a table as HTML.

    Args:
        headings: of the columns.
        rows: cells as HTML.
        texts: the columns that are words rather than numbers; the first is anyway.
    """

    def line(kind: str, cells: Sequence[Any]) -> str:
        style = {column: ' class="text"' for column in texts}
        filled = (f"<{kind}{style.get(i, '')}>{c}</{kind}>" for i, c in enumerate(cells))
        return f"<tr>{''.join(filled)}</tr>\n"

    lines = [line("th", headings), *(line("td", row) for row in rows)]
    return f"<table>{''.join(lines)}</table>"


def inline_svg(figure: Figure) -> str:
    """Returns a figure as an SVG element."""
    target = io.StringIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "tfac"}):
        without = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        figure.savefig(target, format="svg", metadata=without)
    text = target.getvalue()
    return text[text.index("<svg") :]
