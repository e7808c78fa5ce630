"""The report as a page that opens without a server, and as text."""

from collections.abc import Mapping
from typing import Any

from tfac.data_report.problems import PROBLEMS
from tfac.pages import create_templates

_TEMPLATES = create_templates("tfac.data_report")


def render_page(report: Mapping[str, Any], pictures: Mapping[str, str]) -> str:
    """Returns the page as HTML.

    Args:
        report: see `tfac.data_report.report`.
        pictures: file beside the page to its heading.
    """
    copies = [
        ", ".join(each["pictures"])
        + (f": other labels of {', '.join(each['conflicts'])}" if each["conflicts"] else "")
        for each in report["duplicates"]
    ]
    near = [f"{', '.join(e['pictures'])} ({e['bits']} bits)" for e in report["near_duplicates"]]
    lists = {
        "Copies": copies,
        "Nearly the same, with the bits of 256 that differ": near,
        "Of one colour": report["blank"],
        "Tiny": report["tiny"],
        "Not as the schema says": report["schema"],
    }
    return _TEMPLATES.get_template("report.html").render(
        report=report, problems=PROBLEMS, pictures=pictures, lists=lists, most_listed=50
    )


def format_report(report: Mapping[str, Any]) -> str:
    """Returns splits and problems as text for a terminal."""
    lines = []
    for name, split in report["splits"].items():
        lines.append(
            f"{name}: {split['pictures']} pictures, {split['bytes'] / 1e6:.1f} MB, "
            f"{split['unannotated']:.1f} % of the labels unknown, landmarks in "
            f"{split['with_landmarks']:.1f} %"
        )
    for kind, count in report["problems"].items():
        if count:
            lines.append(f"{count} {kind}: {PROBLEMS[kind]}")
    if not any(report["problems"].values()):
        lines.append("no problems found")
    return "\n".join(lines)
