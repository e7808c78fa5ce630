"""The report as a page that opens without a server, and as text."""

from collections.abc import Mapping
from typing import Any

from tfac.data_report.problems import PROBLEMS
from tfac.pages import create_templates

_MOST_LINES = 10  # of a problem on a terminal

_TEMPLATES = create_templates("tfac.data_report")


def render_page(report: Mapping[str, Any], pictures: Mapping[str, str]) -> str:
    """Returns the page as HTML.

    Args:
        report: see `tfac.data_report.report`.
        pictures: file beside the page to its heading.
    """
    copies = [", ".join(each["pictures"]) + _conflicts(each) for each in report["duplicates"]]
    near = [
        f"{', '.join(each['pictures'])} ({each['bits']} bits){_conflicts(each)}"
        for each in report["near_duplicates"]
    ]
    lists = {
        **{PROBLEMS[kind].capitalize(): lines for kind, lines in _by_name(report).items()},
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
            named = _by_name(report).get(kind, [])
            lines += [f"  {line}" for line in named[:_MOST_LINES]]
            if len(named) > _MOST_LINES:
                lines.append(f"  and {len(named) - _MOST_LINES} more, see report.json")
    if not any(report["problems"].values()):
        lines.append("no problems found")
    return "\n".join(lines)


def _by_name(report: Mapping[str, Any]) -> dict[str, list[str]]:
    """Returns what was found of the problems that are told by name, a line each."""
    return {
        "contradictions": [
            f"{each['rule']}: {each['broken']} of {each['about']} ({each['share']:.1f} %), as "
            f"{each['reason']}; such as {', '.join(each['pictures'])}"
            for each in report["label_rules"]
            if each["broken"]
        ],
        "one_class": report["one_class"],
        "small_splits": [
            f"{name}: {report['splits'][name]['pictures']} pictures"
            for name in report["small_splits"]
        ],
        "drift": [f"{name}: {_frequencies(report, name)}" for name in report["drift"]],
    }


def _frequencies(report: Mapping[str, Any], name: str) -> str:
    """Returns how often each split shows the attribute, and of how many pictures."""
    about = report["attributes"][name]
    parts = []
    for split, frequency in about["frequency"].items():
        if frequency is not None:
            pictures = about["annotated"][split] * report["splits"][split]["pictures"] / 100
            parts.append(f"{frequency:.1f} % of {pictures:.0f} in {split}")
    return ", ".join(parts)


def _conflicts(each: Mapping[str, Any]) -> str:
    return f": other labels of {', '.join(each['conflicts'])}" if each["conflicts"] else ""
