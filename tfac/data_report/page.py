"""The report as a page that opens without a server, and as text."""

import string
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from tfac.data_report.problems import PROBLEMS

_PAGE = string.Template("""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>tfac: data set $name</title>
<style>
body { font: 15px/1.45 system-ui, sans-serif; margin: 2em auto; max-width: 1300px; padding: 0 1em; }
table { border-collapse: collapse; margin: .5em 0 1.5em; }
th, td { border: 1px solid #ccc; padding: .25em .6em; text-align: right; }
th { background: #f3f3f3; } td:first-child, th:first-child { text-align: left; }
.found { color: #b00020; font-weight: bold; } img { max-width: 100%; }
</style>
</head>
<body>
<h1>Data set $name</h1>
<p>$path, fingerprint $fingerprint, landmarks $scheme.</p>
<h2>Problems</h2>
$problems
<h2>Splits</h2>
$splits
<h2>Attributes</h2>
<p>Percent of the annotated pictures that show it; drift is the largest difference between two
splits, in points and in standard deviations of chance.</p>
$attributes
$pictures
$lists
</body>
</html>
""")

_MOST_LISTED = 50


def render_page(report: Mapping[str, Any], pictures: Mapping[str, str]) -> str:
    """Returns the page as HTML.

    Args:
        report: see `tfac.data_report.report`.
        pictures: file beside the page to its heading.
    """
    data_set = report["data_set"]
    images = [
        f'<h2>{escape(heading)}</h2><img src="{escape(file)}" alt="{escape(heading)}">'
        for file, heading in pictures.items()
    ]
    return _PAGE.substitute(
        name=escape(data_set["name"]),
        path=escape(data_set["path"]),
        fingerprint=data_set["fingerprint"][:16],
        scheme=escape(data_set["landmark_scheme"]),
        problems=_problems(report),
        splits=_splits(report),
        attributes=_attributes(report),
        pictures="\n".join(images),
        lists=_lists(report),
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


def _problems(report: Mapping[str, Any]) -> str:
    rows = [
        [
            escape(kind),
            escape(PROBLEMS[kind]),
            f'<span class="found">{count}</span>' if count else "0",
        ]
        for kind, count in report["problems"].items()
    ]
    return _table(["problem", "what it is", "found"], rows)


def _splits(report: Mapping[str, Any]) -> str:
    headings = ["", "pictures", "MB", "height", "width", "labels unknown, %", "with landmarks, %"]
    rows = [
        [
            escape(name),
            split["pictures"],
            f"{split['bytes'] / 1e6:.1f}",
            _range(split["height"]),
            _range(split["width"]),
            f"{split['unannotated']:.2f}",
            f"{split['with_landmarks']:.2f}",
        ]
        for name, split in report["splits"].items()
    ]
    return _table(headings, rows)


def _range(spread: Mapping[str, float]) -> str:
    return f"{spread['lowest']} to {spread['highest']}, median {spread['median']:g}"


def _attributes(report: Mapping[str, Any]) -> str:
    splits = list(report["splits"])
    rows = []
    for name, about in report["attributes"].items():
        drift = f"{about['drift']['points']:.1f} ({about['drift']['deviations']:.1f})"
        if name in report["drift"]:
            drift = f'<span class="found">{drift}</span>'
        shares = [about["frequency"][split] for split in splits]
        shown = ["&ndash;" if share is None else f"{share:.1f}" for share in shares]
        rows.append([escape(name), *shown, drift])
    return _table(["", *map(escape, splits), "drift"], rows)


def _lists(report: Mapping[str, Any]) -> str:
    parts = []
    copies = [
        f"{', '.join(each['pictures'])}"
        + (f": other labels of {', '.join(each['conflicts'])}" if each["conflicts"] else "")
        for each in report["duplicates"]
    ]
    near = [f"{', '.join(e['pictures'])} ({e['bits']} bits)" for e in report["near_duplicates"]]
    for heading, lines in (
        ("Copies", copies),
        ("Nearly the same, with the bits of 256 that differ", near),
        ("Of one colour", report["blank"]),
        ("Tiny", report["tiny"]),
        ("Not as the schema says", report["schema"]),
    ):
        if lines:
            items = "".join(f"<li>{escape(line)}</li>" for line in lines[:_MOST_LISTED])
            more = len(lines) - _MOST_LISTED
            items += f"<li>and {more} more, see report.json</li>" if more > 0 else ""
            parts.append(f"<h2>{heading}</h2><ul>{items}</ul>")
    return "\n".join(parts)


def _table(headings: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    lines = ["".join(f"<th>{heading}</th>" for heading in headings)]
    lines += ["".join(f"<td>{cell}</td>" for cell in row) for row in rows]
    return "<table>" + "".join(f"<tr>{line}</tr>\n" for line in lines) + "</table>"
