"""Pages from the templates beside this file, and figures within them."""

import datetime
import io
from typing import Any

import jinja2
import matplotlib
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tfac.pages import create_templates


def as_time(seconds: float) -> str:
    """Returns a moment, from seconds since 1970."""
    moment = datetime.datetime.fromtimestamp(seconds, datetime.UTC)
    return moment.strftime("%Y-%m-%d %H:%M:%S UTC")


def as_duration(record: Any) -> str:
    """Returns how long what has `started` and `ended` took."""
    if record.ended is None:
        return "not ended"
    seconds = record.ended - record.started
    return f"{seconds:.1f} s" if seconds < 100 else f"{seconds / 60:.1f} min"


def as_size(num_bytes: float) -> str:
    """Returns a size in the unit that suits it."""
    for unit in ("B", "kB", "MB"):
        if num_bytes < 1000:
            return f"{num_bytes:.3g} {unit}"
        num_bytes /= 1000
    return f"{num_bytes:.3g} GB"


def words(name: str) -> str:
    """Returns a name as words."""
    return name.replace("_", " ")


TEMPLATES = create_templates("pipelines.page")
TEMPLATES.undefined = jinja2.ChainableUndefined  # a property that is not there is empty
TEMPLATES.filters |= {
    **{"time": as_time, "duration": as_duration, "size": as_size},
    **{"words": words, "repr": repr},
}


def inline_svg(figure: Figure) -> Markup:
    """Returns a figure as an SVG element."""
    target = io.StringIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "tfac"}):
        without = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        figure.savefig(target, format="svg", metadata=without)
    text = target.getvalue()
    return Markup(text[text.index("<svg") :])


def attribute_axes(names: list[str]) -> Axes:
    """Returns axes of a new figure with a place for each attribute, 0, 1 and so on."""
    figure = Figure(figsize=(max(6, 1.5 + 0.33 * len(names)), 3.6), layout="constrained")
    axes = figure.add_subplot()
    labels = [words(name) for name in names]
    axes.set_xticks(range(len(names)), labels, rotation=60, ha="right", rotation_mode="anchor")
    axes.tick_params(labelsize=8)
    axes.set_xlim(-0.6, len(names) - 0.4)
    axes.spines[["top", "right"]].set_visible(False)
    return axes
