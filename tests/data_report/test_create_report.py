import dataclasses
import json

import numpy as np
import pytest

from tests.data_report.statistics_samples import make_split
from tfac.data.records.info import read_info
from tfac.data_report.figures import draw_correlations, draw_frequencies, draw_mean_landmarks
from tfac.data_report.page import format_report, render_page
from tfac.data_report.problems import PROBLEMS
from tfac.data_report.report import create_report
from tfac.label_rules import LabelRule

NAMES = ("Smiling", "Male", "Young")
LIMITS = {"min_side": 32, "max_drift": 5.0}


@pytest.fixture
def info(tiny_records):
    return dataclasses.replace(read_info(tiny_records), attributes=NAMES)


def test_clean_data_has_no_problems(info):
    statistics = {"train": make_split(3000), "test": make_split(3000, seed=1, start=3000)}
    report = create_report(info, statistics, **LIMITS)
    assert set(report["problems"]) == set(PROBLEMS) and not any(report["problems"].values())
    assert "no problems found" in format_report(report)
    assert report["splits"]["train"]["pictures"] == 3000
    assert json.loads(json.dumps(report, allow_nan=False)) == report


def test_copies_conflicts_and_near_copies_are_told_apart(info):
    train, test = make_split(6), make_split(4, seed=1, start=6)
    labels, mask = train.labels.copy(), train.label_mask.copy()
    labels[:4] = [[1, 0, 0], [1, 0, 1], [0, 0, 0], [1, 0, 0]]
    mask[3, 0] = False
    checksums = [b"a", b"a", b"b", b"b", b"c", b"d"]
    train = dataclasses.replace(train, labels=labels, label_mask=mask, checksums=checksums)
    hashes = test.hashes.copy()
    hashes[1] = train.hashes[5] ^ np.array([1] + 15 * [0], np.uint16)
    test = dataclasses.replace(test, checksums=[b"c", b"e", b"f", b"g"], hashes=hashes)
    test.labels[0] = train.labels[4]
    test.labels[1] = train.labels[5] ^ [0, 1, 0]
    report = create_report(info, {"train": train, "test": test}, **LIMITS)
    assert report["duplicates"] == [
        {
            "pictures": ["train/0.jpg", "train/1.jpg"],
            "across_splits": False,
            "conflicts": ["Young"],
        },
        {"pictures": ["train/2.jpg", "train/3.jpg"], "across_splits": False, "conflicts": []},
        {"pictures": ["train/4.jpg", "test/6.jpg"], "across_splits": True, "conflicts": []},
    ]
    assert report["near_duplicates"] == [
        {
            "pictures": ["train/5.jpg", "test/7.jpg"],
            "across_splits": True,
            "bits": 1,
            "conflicts": ["Male"],
        }
    ]
    assert {kind: count for kind, count in report["problems"].items() if count} == {
        "duplicates": 3,
        "duplicates_across_splits": 1,
        "label_conflicts": 1,
        "near_duplicates": 1,
        "near_duplicates_across_splits": 1,
        "near_label_conflicts": 1,
        "small_splits": 2,
    }


def test_copies_are_no_near_copies_and_blank_pictures_are_neither(info):
    split = make_split(5, hashes=np.zeros((5, 16), np.uint16))
    split = dataclasses.replace(split, checksums=[b"a", b"a", b"b", b"c", b"d"])
    split.contrasts[2:] = 0
    report = create_report(info, {"train": split}, **LIMITS)
    assert report["blank"] == ["train/2.jpg", "train/3.jpg", "train/4.jpg"]
    assert report["near_duplicates"] == [] and report["problems"]["duplicates"] == 1


def test_tiny_pictures_are_found(info):
    split = make_split(3)
    split.sizes[1] = (200, 31)
    assert create_report(info, {"train": split}, **LIMITS)["tiny"] == ["train/1.jpg"]


def test_drift_is_a_difference_that_is_large_and_not_chance(info):
    def split(shown, count, seed):
        labels = np.zeros((count, 3), np.uint8)
        for a, number in enumerate(shown):
            labels[:number, a] = 1
        return make_split(count, seed=seed, labels=labels)

    # 20 points of 3,000; 2 points of 3,000, which is not chance but small; nothing
    statistics = {"train": split((1500, 60, 9), 3000, 0), "test": split((900, 0, 9), 3000, 1)}
    report = create_report(info, statistics, **LIMITS)
    assert report["drift"] == ["Smiling"] and report["problems"]["drift"] == 1
    drift = report["attributes"]["Smiling"]["drift"]
    assert drift["splits"] == ["train", "test"] and drift["points"] == pytest.approx(20)
    deviation = 100 * np.sqrt(0.4 * 0.6 * 2 / 3000)
    assert drift["deviations"] == pytest.approx(20 / deviation)
    # 20 points of 10 may be chance
    statistics = {"train": split((5, 0, 0), 10, 0), "test": split((3, 0, 0), 10, 1)}
    assert create_report(info, statistics, **LIMITS)["drift"] == []


def test_correlations_are_those_of_the_pictures_that_have_both(info):
    split = make_split(200)
    split.label_mask[:50, 1] = False
    split.labels[:50, 1] = 0
    split.labels[:, 2] = 1  # no correlation
    split = make_split(200, labels=split.labels, label_mask=split.label_mask)
    correlations = create_report(info, {"train": split}, **LIMITS)["correlations"]
    expected = np.corrcoef(split.labels[50:, 0], split.labels[50:, 1])[0, 1]
    assert correlations[0][1] == pytest.approx(expected, abs=1e-4)
    assert correlations[0][0] == 1 and correlations[2] == [None, None, None]


def test_unknown_labels_and_missing_landmarks_are_shares(info):
    labels, mask = make_split(4).labels, np.ones((4, 3), bool)
    mask[:2, 0] = False
    labels[:, 0] = [0, 0, 1, 0]
    split = make_split(4, with_landmarks=1, labels=labels, label_mask=mask)
    report = create_report(info, {"train": split}, **LIMITS)
    assert report["splits"]["train"]["unannotated"] == pytest.approx(100 * 2 / 12)
    assert report["splits"]["train"]["with_landmarks"] == 25
    assert report["attributes"]["Smiling"]["frequency"] == {"train": 50}
    assert report["attributes"]["Smiling"]["annotated"] == {"train": 50}


def test_a_split_without_annotations_or_landmarks_is_drawn_too(info):
    empty = make_split(3, with_landmarks=0, label_mask=np.zeros((3, 3), bool))
    report = create_report(info, {"train": empty}, **LIMITS)
    assert draw_mean_landmarks(report) is None
    for draw in (draw_frequencies, draw_correlations):
        draw(report).canvas.draw()
    json.dumps(report, allow_nan=False)


def test_page_names_what_was_found_and_hides_nothing_in_tags(info):
    split = make_split(3, keys=["<b>.jpg", "1.jpg", "2.jpg"], checksums=[b"a", b"a", b"b"])
    report = create_report(info, {"train": split}, **LIMITS)
    page = render_page(report, {"a.png": "A & B"})
    assert "train/&lt;b&gt;.jpg, train/1.jpg" in page and "<b>" not in page
    assert 'src="a.png"' in page and "A &amp; B" in page
    assert "1 duplicates: pictures that are byte for byte" in format_report(report)


def test_what_is_wrong_with_labels_is_told_by_name_and_size(info):
    labels = np.zeros((200, 3), np.uint8)
    labels[:120, 0] = 1  # Smiling in 60 % of train, 25 % of test; Young in all and in none
    labels[:30, 1] = 1
    labels[:, 2] = 1
    train = make_split(200, labels=labels)
    mask = np.ones((4, 3), bool)
    mask[:, 1] = False
    test = make_split(4, seed=1, labels=np.eye(4, 3, dtype=np.uint8), label_mask=mask)
    rules = [LabelRule("none_of", ("Male",), "they do not smile", "Smiling")]
    report = create_report(info, {"train": train, "test": test}, rules=rules, **LIMITS)
    assert report["one_class"] == [
        "Male: no label in test",
        "Young: shown by every picture of train",
    ]
    assert report["small_splits"] == ["test"]
    (rule,) = report["label_rules"]
    assert (rule["broken"], rule["about"], rule["share"]) == (
        30,
        121,
        pytest.approx(100 * 30 / 121),
    )
    assert report["problems"]["contradictions"] == 30
    said = format_report(report)
    assert "Smiling with Male: 30 of 121 (24.8 %), as they do not smile; such as train/0" in said
    assert "  test: 4 pictures" in said and "  Male: no label in test" in said
    assert "  Young: 100.0 % of 200 in train, 25.0 % of 4 in test" in said  # drift
