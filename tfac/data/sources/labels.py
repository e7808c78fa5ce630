"""What the values of a table say: how it writes no, yes and unknown, shares, and classes."""

import dataclasses
import math
import re
import statistics
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Protocol

from tfac.attributes import celeba_name
from tfac.errors import ConfigError, DataError
from tfac.files import read_json

# How a label is written: no, yes. Blank is "not annotated" in all of them.
LABEL_VALUES: Mapping[str, tuple[str, str]] = {
    "0/1": ("0", "1"),
    "-1/1": ("-1", "1"),
    "false/true": ("false", "true"),
    "no/yes": ("no", "yes"),
    "f/t": ("f", "t"),
    "n/y": ("n", "y"),
}
UNKNOWN = 2
MOST_CLASSES = 20  # of a column that is proposed as an attribute a class

_SHOWN = 10
_SHOWN_LENGTH = 30


class Reading(Protocol):
    """How a column's values become an attribute's labels."""

    def label(self, text: str, attribute: str) -> int:
        """Returns 0, 1 or UNKNOWN; ValueError says what was expected and received."""


@dataclasses.dataclass(frozen=True)
class Values:
    """Labels are values: those of `no`, of `yes`, and of `unknown`, which blank is too.

    `option` is what takes another value as unknown, which stands for the braces in it.
    """

    no: tuple[str, ...]
    yes: tuple[str, ...]
    unknown: tuple[str, ...] = ()
    option: str = ""

    def label(self, text: str, attribute: str) -> int:
        """See `Reading.label`."""
        value = standard_value(text)
        for label, values in enumerate((self.no, self.yes, ("", *self.unknown))):
            if value in values:
                return label
        expected = ", ".join((*self.no, *self.yes, *self.unknown))
        option = self.option.replace("{}", shown(value))
        hint = f" ({option} takes it as unknown)" if option else ""
        raise ValueError(
            f"expected {expected} or blank for {attribute}. Received: {shown(text)!r}{hint}"
        )


@dataclasses.dataclass(frozen=True)
class Cut:
    """Labels are numbers from `low` to `high`: yes is at least `cut`, or less where `below`."""

    cut: float
    low: float = -math.inf
    high: float = math.inf
    below: bool = False

    def label(self, text: str, attribute: str) -> int:
        """See `Reading.label`."""
        value = standard_value(text)
        if not value:
            return UNKNOWN
        number = _number(value)
        if number is None or not self.low <= number <= self.high:
            limits = "" if math.isinf(self.low) else f" from {self.low:g} to {self.high:g}"
            raise ValueError(
                f"expected a number{limits} or blank for {attribute}. Received: {shown(text)!r}"
            )
        return int((number >= self.cut) != self.below)


def parse_label_values(text: str) -> Values:
    """Returns what "NO/YES" or "NO/UNKNOWN/YES" says.

    Raises:
        ConfigError: another form, a value twice, or a known pair the wrong way round.
    """
    parts = tuple(standard_value(part) for part in text.split("/"))
    turned = {(yes, no) for no, yes in LABEL_VALUES.values()}
    if len(parts) not in (2, 3) or "" in parts or len(set(parts)) < len(parts) or parts in turned:
        raise ConfigError(
            f"label_values: expected one of {', '.join(LABEL_VALUES)}, or other words for no and "
            f"yes in this order, or for no, unknown and yes, as -1/0/1. Received: {text}"
        )
    option = f"--label_values={parts[0]}/{{}}/{parts[1]}" if len(parts) == 2 else ""
    return Values(no=parts[:1], yes=parts[-1:], unknown=parts[1:-1], option=option)


def detect_label_values(path: Path, values: Mapping[str, Mapping[str, int]]) -> str:
    """Returns how a table writes labels, from the negative value that occurs.

    Args:
        path: the table, for the error.
        values: column to how often each value occurs in it, as `standard_value` gives them; blanks
            are left out.

    Raises:
        ConfigError: it cannot be told, or a column is not one of labels; says what can be done.
    """
    found = set().union(*values.values())
    said_by = [name for name, (no, _) in LABEL_VALUES.items() if no in found]
    shares = [column for column, counts in values.items() if _are_shares(counts)]
    foreign = [column for column, counts in values.items() if not _are_labels(counts)]
    columns = shares or values
    if shares:
        way = (
            "Numbers from 0 to 1, as shares of annotators, become labels by a cut of yours: "
            "--label_cut=0.5 takes a share of at least a half as yes"
        )
    elif len(found) == 2 and not said_by:
        first, second = sorted(found)
        way = (
            f"Say which with --label_values={first}/{second} where {second} is yes, "
            f"--label_values={second}/{first} where {first} is; --classes=FILE makes an attribute "
            "of each, and --propose_classes=FILE writes such a file to begin with"
        )
    elif foreign:
        columns = foreign
        way = (
            "Words, classes and numbers become attributes by --classes=FILE, a JSON file that "
            "--propose_classes=FILE writes to begin with; columns that are no labels are left out "
            "by --attributes, which names the others, --group_column or --split_column"
        )
    elif {"-1", "0"} <= found <= {"-1", "0", "1"}:
        way = (
            "Say which with --label_values=-1/0/1 where 0 is unknown, --label_values=0/-1/1 where "
            "-1 is"
        )
    elif not said_by:
        names = [name for name, (_, yes) in LABEL_VALUES.items() if yes in found]
        way = f"Say which with --label_values={names[0] if names else 'NO/YES'}"
    elif len(said_by) == 1:
        return said_by[0]
    else:
        way = (
            "Columns that are written in different ways become attributes by --classes=FILE, a "
            "JSON file that --propose_classes=FILE writes to begin with"
        )
    received = "; ".join(_describe(column, values[column]) for column in list(columns)[:_SHOWN])
    raise ConfigError(
        f"{path}: expected labels of one kind ({', '.join(LABEL_VALUES)}), told by how it writes "
        f"no. Received: {received or 'none'}. {way}"
    )


@dataclasses.dataclass(frozen=True)
class Classes:
    """Attributes that are classes of columns.

    Attributes:
        readings: attribute to its column and how that is read.
        file_name: what the parts of a picture's file name say, which are between underscores; empty
            where a table does.
        content: the file's own, as JSON can hold it.
    """

    readings: Mapping[str, tuple[str, Reading]]
    file_name: tuple[str, ...]
    content: Mapping[str, Any]


def read_classes(path: Path) -> Classes:
    """Reads a file of classes: JSON with `attributes` and perhaps `file_name`.

    `attributes` has for each attribute its `column` and either `yes` and `no`, lists of values
    (with `unknown` where there are such), or a number: yes is `from` it up, or `below` it.
    `file_name` says what the parts of pictures' file names between underscores are, in place of a
    table.

    Raises:
        DataError: the file is missing, or of another form.
    """
    expected = (
        'a JSON file such as {"attributes": {"Male": {"column": "gender", "yes": ["Male"], "no": '
        '["Female"]}, "Child": {"column": "age", "below": 13}}}, which --propose_classes=FILE '
        "writes to begin with"
    )
    content = read_json(path, expected)
    attributes, file_name = content.get("attributes"), content.get("file_name", [])
    try:
        if not attributes or not set(content) <= {"attributes", "file_name"}:
            raise ValueError(f"Received: {', '.join(content) or 'nothing'}")
        readings = {name: _reading(name, entry) for name, entry in attributes.items()}
        return Classes(readings, tuple(map(str, file_name)), content)
    except (AttributeError, TypeError, KeyError, ValueError) as error:
        raise DataError(f"{path}: expected {expected}. {error}") from error


def _reading(name: str, entry: Mapping[str, Any]) -> tuple[str, Reading]:
    keys = set(entry) - {"column"}
    if keys in ({"from"}, {"below"}):
        (key,) = keys
        return entry["column"], Cut(float(entry[key]), below=key == "below")
    if {"yes", "no"} <= keys <= {"yes", "no", "unknown"} and all(
        isinstance(entry[key], list) for key in keys
    ):
        parts = {key: tuple(standard_value(str(value)) for value in entry[key]) for key in keys}
        listed = [value for values in parts.values() for value in values]
        if len(set(listed)) == len(listed):
            return entry["column"], Values(**parts)
    raise ValueError(
        f"Received for {name}: {entry}, expected column, and yes and no (perhaps unknown), lists "
        "with no value in common, or from or below, a number"
    )


def propose_classes(values: Mapping[str, Collection[str]]) -> dict[str, Any]:
    """Returns a file's content for `read_classes`: an attribute for each class of each column.

    A column of labels is one attribute. A column of more than MOST_CLASSES numbers is cut at its
    median; one of as many words is left out.

    Args:
        values: column to the values that occur in it.
    """
    attributes: dict[str, dict] = {}
    for column, found in values.items():
        words = {standard_value(text): text.strip() for text in sorted(found)}
        words = {word: words[word] for word in sorted(words, key=_in_order) if word}
        pair = next((pair for pair in LABEL_VALUES.values() if set(words) <= set(pair)), None)
        numbers = [_number(word) for word in words]
        if pair:
            name = celeba_name(column) or column
            attributes[name] = {"column": column, "yes": [pair[1]], "no": [pair[0]]}
        elif len(words) > MOST_CLASSES and None not in numbers:
            median = statistics.median(numbers)
            attributes[_name(f"{column}_from_{median:g}")] = {"column": column, "from": median}
        elif len(words) <= MOST_CLASSES:
            for text in words.values():
                name = celeba_name(text) or _name(f"{column}_{text}")
                others = [other for other in words.values() if other != text]
                attributes[name] = {"column": column, "yes": [text], "no": others}
    return {"attributes": attributes}


_BLANK = ("na", "n/a", "<na>", "null")


def standard_value(text: str) -> str:
    """Returns a label without space and in lower case; 1.0 as 1, NaN, NA and null as blank."""
    text = text.strip().lower()
    if text in _BLANK:
        return ""
    try:
        number = float(text)
    except ValueError:
        return text
    if math.isnan(number):
        return ""
    return str(int(number)) if number.is_integer() else text


def shown(value: str) -> str:
    """Returns a value as an error may show it: not longer than a few words."""
    return value if len(value) <= _SHOWN_LENGTH else f"{value[: _SHOWN_LENGTH - 3]}..."


def _name(text: str) -> str:
    return re.sub(r"\W+", "_", text).strip("_")


def _number(value: str) -> float | None:
    try:
        number = float(value)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _in_order(value: str) -> tuple[float, str]:
    number = re.match(r"-?\d+(\.\d+)?", value)
    return (float(number[0]) if number else math.inf, value)


def _are_shares(counts: Mapping[str, int]) -> bool:
    numbers = [_number(word) for word in counts]
    if None in numbers or not numbers:
        return False
    return 0 <= min(numbers) and max(numbers) <= 1 and not all(n.is_integer() for n in numbers)


def _are_labels(counts: Mapping[str, int]) -> bool:
    """Returns whether half of the rows or more have a value of one of LABEL_VALUES."""
    known = {value for pair in LABEL_VALUES.values() for value in pair}
    return 2 * sum(counts.get(value, 0) for value in known) >= sum(counts.values())


def _describe(column: str, counts: Mapping[str, int]) -> str:
    words = sorted(counts, key=_in_order)[:_SHOWN]
    return f"{column} {', '.join(repr(shown(word)) for word in words) or 'blank'}"
