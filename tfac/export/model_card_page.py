"""The model card's page: Markdown tables, escaping, and HTML that needs no other file."""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import markdown
from markupsafe import Markup

from tfac.pages import create_templates

_TEMPLATES = create_templates("tfac.export")

# What Markdown or HTML would read as markup within a line; as entities they are text in both.
_ENTITIES = {ord(char): f"&#{ord(char)};" for char in '&<>"\\`*[]|~$'}
_EMPHASIS = re.compile(r"(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])")  # within a word it is a letter
_ROW_HEIGHT, _LABELS_WIDTH, _BARS_WIDTH = 24, 170, 500


def plain(value: Any) -> str:
    """Returns text from users so that neither Markdown nor HTML reads markup in it, on one line."""
    text = " ".join(str(value).split())
    text = "".join(char if char.isprintable() else "\ufffd" for char in text)
    return _EMPHASIS.sub("&#95;", text.translate(_ENTITIES))


def table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Returns a Markdown table of cells that are Markdown already."""
    rule = ["---"] * len(headings)
    return "\n".join(f"| {' | '.join(row)} |" for row in [headings, rule, *rows])


def render_page(
    title: str, sections: Sequence[tuple[str, str]], evaluation: Mapping[str, Any] | None
) -> str:
    """Returns the card as HTML.

    Args:
        title: of the page, escaped.
        sections: headings, and the Markdown below each.
        evaluation: the report whose accuracies are drawn in the section "Results"; None for none.
    """
    bodies = {}
    for name, text in sections:
        body = markdown.markdown(text, extensions=["tables"])
        body = body.replace("<table>", f'<div class="scroll"><table{_table_class(name)}>')
        body = body.replace("</table>", "</table></div>")
        if name == "Results" and evaluation is not None:
            body = _bars(evaluation["attributes"]) + body
        bodies[name] = Markup(body)
    page = _TEMPLATES.get_template("model_card.html")
    return page.render(title=Markup(title), sections=bodies)


def _table_class(section: str) -> str:
    return ' class="figures"' if section.startswith("Results") else ""


def _bars(attributes: Mapping[str, Mapping[str, Any]]) -> str:
    """Draws accuracy and balanced accuracy of each attribute; the table below has the numbers."""
    width = _LABELS_WIDTH + _BARS_WIDTH + 10
    height = _ROW_HEIGHT * (len(attributes) + 2)
    rows = [
        _attribute_bars(name, values, _ROW_HEIGHT * (row + 2))
        for row, (name, values) in enumerate(attributes.items())
    ]
    left, label = _LABELS_WIDTH, "Accuracy and balanced accuracy of each attribute, percent"
    return f"""<svg viewBox="0 0 {width} {height}" width="{width}" role="img" aria-label="{label}">
<rect class="accuracy" x="{left}" y="6" width="12" height="9"/>
<text x="{left + 17}" y="15">accuracy</text>
<rect class="balanced_accuracy" x="{left + 90}" y="6" width="12" height="9"/>
<text x="{left + 107}" y="15">balanced accuracy, percent</text>
{_scale(height)}
{chr(10).join(rows)}
</svg>
"""


def _scale(height: int) -> str:
    lines = []
    for share in (0, 25, 50, 75, 100):
        x = _LABELS_WIDTH + _BARS_WIDTH * share // 100
        lines.append(
            f'<path d="M{x} 40V{height}"/><text x="{x}" y="35" text-anchor="middle">{share}</text>'
        )
    return "\n".join(lines)


def _attribute_bars(name: str, values: Mapping[str, Any], y: int) -> str:
    parts = [f'<text x="{_LABELS_WIDTH - 8}" y="{y + 15}" text-anchor="end">{plain(name)}</text>']
    for top, metric in ((y + 3, "accuracy"), (y + 12, "balanced_accuracy")):
        share = values[metric]
        if share is None or math.isnan(share):
            continue
        width = _BARS_WIDTH * share / 100
        parts.append(
            f'<rect class="{metric}" x="{_LABELS_WIDTH}" y="{top}" width="{width:.1f}" height="8"/>'
        )
    return "".join(parts)
