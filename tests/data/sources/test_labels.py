import collections
import json
from pathlib import Path

import pytest

from tfac.data.sources.labels import (
    UNKNOWN,
    Cut,
    detect_label_values,
    parse_label_values,
    propose_classes,
    read_classes,
)
from tfac.errors import ConfigError, DataError


def detect(**columns):
    counts = {name: collections.Counter(values.split()) for name, values in columns.items()}
    return detect_label_values(Path("labels.csv"), counts)


@pytest.mark.parametrize(
    ("values", "name"),
    [
        ("0 1 1", "0/1"),
        ("-1 1", "-1/1"),
        ("false true", "false/true"),
        ("no yes", "no/yes"),
        ("f t t", "f/t"),
        ("n y", "n/y"),
        ("0 0 0 0 1 oops other 7", "0/1"),  # single rows that are wrong are met when they are read
    ],
)
def test_how_labels_are_written_follows_from_how_they_say_no(values, name):
    assert detect(Smiling=values, Male=values.split()[0]) == name


@pytest.mark.parametrize(
    ("columns", "way"),
    [
        ({"Smiling": "1 1"}, "--label_values=0/1"),
        ({"Smiling": "1 2"}, "--label_values=1/2 where 2 is yes, --label_values=2/1 where 1 is"),
        ({"Smiling": "ja nein"}, "--label_values=ja/nein where nein is yes"),
        ({"Smiling": "-1 0 1"}, "--label_values=-1/0/1 where 0 is unknown"),
        ({"Smiling": "0.02 0.97"}, "--label_cut=0.5"),
        ({"Smiling": "0 0.33 1", "Male": "0 1"}, "Smiling '0', '0.33', '1'.*--label_cut"),
        ({"gender": "male female", "Smiling": "0 1"}, "gender 'female', 'male'.*--propose_classes"),
        ({"age": "3 20 41", "Smiling": "0 1"}, "Received: age '3', '20', '41'.*--classes=FILE"),
        ({"Smiling": "0 1", "Male": "false true"}, "--classes=FILE"),
    ],
)
def test_what_cannot_be_told_has_a_way_out(columns, way):
    with pytest.raises(ConfigError, match=f"labels.csv: expected labels of one kind.*{way}"):
        detect(**columns)


def test_long_values_are_not_shown_whole():
    with pytest.raises(ConfigError) as error:
        detect(pixels=f"{'1' * 5000} {'2' * 5000} {'3' * 5000}")
    assert len(str(error.value)) < 700


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ("0/1", {"0": 0, " 1.0": 1, "": UNKNOWN, "nan": UNKNOWN}),
        ("-1/0/1", {"-1": 0, "0": UNKNOWN, "1": 1, "": UNKNOWN}),
        ("2/1", {"2": 0, "1": 1}),
        ("nein/Ja", {"Nein": 0, "ja": 1}),
    ],
)
def test_label_values_may_be_any(text, labels):
    values = parse_label_values(text)
    assert {value: values.label(value, "Smiling") for value in labels} == labels
    with pytest.raises(ValueError, match="or blank for Smiling. Received: 'x'"):
        values.label("x", "Smiling")


def test_a_third_value_names_the_option_that_takes_it():
    with pytest.raises(ValueError, match=r"\(--label_values=-1/0/1 takes it as unknown\)"):
        parse_label_values("-1/1").label("0", "Smiling")


@pytest.mark.parametrize("text", ["yes/no", "1/0", "true/false", "1", "0/0", "0/", "a/b/c/d"])
def test_label_values_in_another_form_are_refused(text):
    with pytest.raises(ConfigError, match="label_values: expected one of 0/1"):
        parse_label_values(text)


def test_a_share_is_cut():
    cut = Cut(0.4, 0, 1)
    assert [cut.label(text, "Bald") for text in ("0", "0.39", "0.4", "1.0", "", "nan")] == [
        0,
        0,
        1,
        1,
        UNKNOWN,
        UNKNOWN,
    ]
    for text in ("1.01", "-1", "yes", "inf"):
        with pytest.raises(ValueError, match="expected a number from 0 to 1 or blank for Bald"):
            cut.label(text, "Bald")


CLASSES = {
    "Male": {"column": "gender", "yes": ["Male"], "no": ["Female"], "unknown": ["unclear"]},
    "Child": {"column": "age", "below": 13},
    "Old": {"column": "age", "from": 60},
}


def test_classes_are_read(tmp_path):
    path = tmp_path / "classes.json"
    path.write_text(json.dumps({"attributes": CLASSES, "file_name": ["age", "gender"]}))
    classes = read_classes(path)
    assert classes.file_name == ("age", "gender")

    def labels(name, *texts):
        column, reading = classes.readings[name]
        assert column == CLASSES[name]["column"]
        return [reading.label(text, name) for text in texts]

    assert labels("Male", "Male", "female", "N/A", "") == [1, 0, UNKNOWN, UNKNOWN]
    assert labels("Child", "12", "13", "") == [1, 0, UNKNOWN]
    assert labels("Old", "59.5", "60") == [0, 1]
    with pytest.raises(ValueError, match="expected female, male, unclear or blank for Male"):
        labels("Male", "other")


@pytest.mark.parametrize(
    "content",
    [
        {},
        {"attributes": []},
        {"attributes": {"Male": {"column": "gender", "yes": ["Male"]}}},
        {"attributes": {"Male": {"column": "gender", "yes": ["a"], "no": ["A"]}}},
        {"attributes": {"Male": {"yes": ["a"], "no": ["b"]}}},
        {"attributes": {"Male": {"column": "gender", "yes": "a", "no": "b"}}},
        {"attributes": {"Old": {"column": "age", "from": "sixty"}}},
        {"attributes": CLASSES, "more": 1},
    ],
)
def test_classes_in_another_form_are_refused(tmp_path, content):
    path = tmp_path / "classes.json"
    path.write_text(json.dumps(content))
    with pytest.raises(DataError, match="classes.json: expected a JSON file such as"):
        read_classes(path)


def test_proposed_classes_are_an_attribute_a_class_and_can_be_read(tmp_path):
    values = {
        "gender": {"Male", "Female"},
        "age": {"3-9", "more than 70", "0-2", ""},
        "service_test": {"True", "False"},
        "years": {str(year) for year in range(100)},
        "person": {f"p{number}" for number in range(100)},
    }
    content = propose_classes(values)
    assert list(content["attributes"]) == [
        "gender_Female",
        "Male",
        "age_0_2",
        "age_3_9",
        "age_more_than_70",
        "service_test",
        "years_from_49_5",
    ]
    path = tmp_path / "classes.json"
    path.write_text(json.dumps(content))
    readings = read_classes(path).readings
    assert readings["age_3_9"][1].label("3-9", "") == 1
    assert readings["age_3_9"][1].label("0-2", "") == 0
