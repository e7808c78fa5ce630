import json
import math

import numpy as np
import pytest

from tests.html_page import Page
from tfac.attributes import ATTRIBUTES
from tfac.errors import DataError
from tfac.evaluation.report import summarise, write_report
from tfac.evaluation.split_scores import SplitScores
from tfac.export.formats import FORMATS
from tfac.export.model_card import write_model_card
from tfac.export.model_card_figures import commoner_answer, gap_rows, largest_gap_rows, percent
from tfac.export.model_card_page import plain
from tfac.label_rules import LabelRule

NAMES = ("Male", "Smiling", "Bald", "Young")
HOSTILE = '<script>alert(1)</script>"|`*x*`[a](javascript:b)\n\n# Heading &amp;'


def make_metadata(names=NAMES, data_name="celeba"):
    return {
        "attributes": list(names),
        "attribute_groups": {"objective": list(names[:3]), "subjective": list(names[3:])},
        "part_groups": {"whole_face": [names[0], names[3]], "mouth": [names[1]]},
        "attribute_loss": "binary_crossentropy",
        "thresholds": [0.0, 0.25, -0.5, 0.0],
        "threshold_probabilities": [0.5, 0.562, 0.378, 0.5],
        "consistent": False,
        "image_size": {"height": 218, "width": 178},
        "landmark_scheme": "dlib_72",
        "step": 1234,
        "data": {"name": data_name, "fingerprint": "ab12", "splits": {"train": 9000, "test": 60}},
        "versions": {"trained_with": None, "exported_with": {"tfac": "0.1.0"}},
        "training": {
            "model": "dmm_cnn",
            "backbone": "resnet50",
            "backbone_weights": None,
            "batch_size": 32,
            "class_balance": "none",
            "weighting": "uniform",
            "thresholds": "fixed",
            "seed": 0,
            "train_split": "train",
            "validation_split": "validation",
        },
    }


def make_evaluation(names=NAMES, thresholds="trained", split="test", data_set="celeba"):
    rng = np.random.default_rng(7)
    labels = (rng.random((60, 4)) < [0.5, 0.4, 0.1, 0.7]).astype(np.float32)
    labels[labels[:, 0] == 0, 2] = 0  # nobody is Bald but those who are Male
    scores = (labels * 2 - 1 + rng.normal(0, 1.2, labels.shape)).astype(np.float32)
    split_scores = SplitScores(labels, np.ones_like(labels), scores, landmark_errors=None)
    cuts = np.float32([0.0, 0.25, -0.5, 0.0])
    slicings = [(names[0],), (names[0], names[3])]
    rules = [LabelRule("none_of", (names[1],), "", names[2])]
    report = summarise(names, cuts, split_scores, slicings, rules)
    about = {"model": "/home/somebody/run", "data_set": data_set, "split": split}
    return {**about, "thresholds": thresholds, **report}


@pytest.fixture
def write(tmp_path):
    def write(metadata, evaluation):
        write_model_card(tmp_path, metadata, evaluation)
        return [(tmp_path / f"model_card.{kind}").read_text("utf-8") for kind in ("md", "html")]

    return write


def test_card_has_the_sections_of_mitchell_et_al(write):
    markdown, page = write(make_metadata(), make_evaluation())
    for section in (
        *("Model details", "Intended use", "Refused uses", "Factors", "Metrics", "Results"),
        *("Evaluation data", "Training data", "Ethical considerations"),
        "Caveats and recommendations",
    ):
        assert f"\n## {section}\n" in markdown and f"<h2>{section}</h2>" in page


def test_card_says_what_each_format_needs(tmp_path):
    for formats in ((), FORMATS):
        write_model_card(tmp_path, make_metadata(), None, formats)
        card = (tmp_path / "model_card.md").read_text("utf-8")
        assert "tfac-serve" in card
        for name in FORMATS:
            assert (f"ask_{name}.py" in card) == (name in formats)
        assert ("network.json" in card) == bool(formats)


def test_card_refuses_what_the_readme_refuses(write):
    for text in write(make_metadata(), None):
        for use in ("hiring, credit", "gender, age, ethnicity", "rank looks", "watch anyone"):
            assert use in text
        assert "300-W" in text and "commercial use" in text
        assert "not anybody's gender" in text


def test_page_needs_no_other_file(write):
    _, page = write(make_metadata(), make_evaluation())
    parsed = Page(page)
    assert parsed.links and all(link.startswith("#") for link in parsed.links)
    assert not parsed.sources
    assert {link[1:] for link in parsed.links} == parsed.anchors
    assert not {"script", "link", "img", "iframe"} & set(parsed.tags)


def test_table_has_the_report_s_figures(write):
    evaluation = make_evaluation()
    _, page = write(make_metadata(), evaluation)
    rows = {row[0]: row[1:] for row in Page(page).rows if row[1:2] and len(row) == 10}
    smiling = evaluation["attributes"]["Smiling"]
    positives, share = smiling["positives"], max(smiling["positives"], 60 - smiling["positives"])
    assert rows["Smiling"][:5] == [
        str(positives),
        "60",
        f"{100 * share / 60:.2f}",
        f"{smiling['accuracy']:.2f}",
        f"{smiling['balanced_accuracy']:.2f}",
    ]
    assert rows["mean"][3] == f"{evaluation['mean_accuracy']:.2f}"


def test_slices_have_their_number_of_pictures(write):
    evaluation = make_evaluation()
    markdown, _ = write(make_metadata(), evaluation)
    for name, part in evaluation["slices"].items():
        start = f"| {plain(name)} | {part['pictures']} | {part['mean_accuracy']:.2f} |"
        assert start in markdown


def test_gap_is_over_attributes_that_are_defined_in_every_slice():
    evaluation = make_evaluation()
    [row] = [row for row in gap_rows(evaluation) if row[:2] == ("Male", "balanced accuracy")]
    parts = [evaluation["slices"][name]["attributes"] for name in ("Male=1", "Male=0")]
    common = ("Smiling", "Young")  # Male has one class in each, Bald in one
    means = [sum(part[name]["balanced_accuracy"] for name in common) / 2 for part in parts]
    assert row[2] == "2"
    assert row[5] == f"{abs(means[0] - means[1]):.2f}"


def test_largest_gaps_come_first_with_their_counts():
    rows = [row for row in largest_gap_rows(make_evaluation()) if row[0] == "Male"]
    gaps = [float(row[4]) for row in rows]
    assert gaps == sorted(gaps, reverse=True) and len(gaps) == 2
    assert " / " in rows[0][2]


def test_slice_without_pictures_makes_no_gap():
    evaluation = make_evaluation()
    evaluation["slices"]["Male=0"]["pictures"] = 0
    assert ("Male", "accuracy", "0", "–", "–", "–") in gap_rows(evaluation)


@pytest.mark.parametrize(("value", "text"), [(None, "–"), (math.nan, "–"), (12.345, "12.35")])
def test_what_is_undefined_is_a_dash(value, text):
    assert percent(value) == text


@pytest.mark.parametrize(
    ("positives", "count", "share"), [(10, 100, 90), (60, 100, 60), (0, 0, None)]
)
def test_commoner_answer(positives, count, share):
    assert commoner_answer({"positives": positives, "count": count}) == share


def test_card_is_the_same_from_the_file_that_tfac_evaluate_writes(write, tmp_path):
    evaluation = make_evaluation()
    from_memory = write(make_metadata(), evaluation)
    write_report(evaluation, tmp_path / "metrics.json")
    assert (
        write(make_metadata(), json.loads((tmp_path / "metrics.json").read_text())) == from_memory
    )


def test_card_without_evaluation_says_so_and_how_to_measure(write):
    for text in write(make_metadata(), None):
        assert "Nothing was measured." in text
        assert "tfac-evaluate --workdir=WORKDIR" in text
        assert "--slices=Male,Young,Male*Young" in text and "<svg" not in text


def test_card_without_slices_says_that_gaps_are_unknown(write):
    evaluation = make_evaluation() | {"slices": {}}
    markdown, _ = write(make_metadata(), evaluation)
    assert "**No slices were measured**" in markdown and "slices by" not in markdown


def test_no_path_of_this_machine_is_told(write):
    for text in write(make_metadata(), make_evaluation()):
        assert "/home/somebody" not in text


@pytest.mark.parametrize(
    ("changed", "warning"),
    [
        ({"split": "train"}, "pictures it was trained on"),
        ({"split": "validation"}, "were chosen on this split"),
        ({"data_set": "lfwa"}, "trained on another data set"),
        ({"thresholds": "exact"}, "not those that are exported"),
    ],
)
def test_figures_that_flatter_are_named(write, changed, warning):
    markdown, _ = write(make_metadata(), make_evaluation(**changed))
    assert warning in markdown
    assert warning not in write(make_metadata(), make_evaluation())[0]


@pytest.mark.parametrize(
    ("data_name", "said", "unsaid"),
    [
        ("celeba", "non-commercial research", "drawings alone"),
        ("synthetic_faces", "drawings alone", "non-commercial research"),
        ("my_pictures", "Its terms extend to this model", "non-commercial research"),
    ],
)
def test_terms_are_those_of_the_training_data(write, data_name, said, unsaid):
    markdown, _ = write(make_metadata(data_name=data_name), None)
    assert said in markdown and unsaid not in markdown


@pytest.mark.parametrize(("weights", "said"), [("dlib", "7,485 people"), ("imagenet", "ImageNet")])
def test_what_the_backbone_was_trained_on_is_told(write, weights, said):
    metadata = make_metadata()
    metadata["training"] |= {"backbone": "dlib_resnet29", "backbone_weights": weights}
    markdown, page = write(metadata, None)
    assert f"dlib_resnet29, starting from {weights}" in markdown
    assert said in markdown and said in page
    assert said not in write(make_metadata(), None)[0]


def test_backbone_of_ones_own_is_called_by_its_files_name(write):
    metadata = make_metadata()
    metadata["training"] |= {"backbone": "/home/somebody/faces.keras"}
    markdown, _ = write(metadata, None)
    assert "faces.keras, starting from its own weights" in markdown
    assert "/home/somebody" not in markdown


def test_unrecorded_data_are_called_so(write):
    markdown, _ = write(make_metadata() | {"data": None}, None)
    assert "| Fingerprint | not recorded |" in markdown


def test_names_from_users_are_text_and_no_markup(write):
    names = (HOSTILE, "Smiling", "_Bald_", "Young")
    metadata = make_metadata(names, data_name=HOSTILE)
    evaluation = make_evaluation(names, data_set=HOSTILE)
    markdown, page = write(metadata, evaluation)
    plain_page = Page(write(make_metadata(), make_evaluation())[1])
    hostile_page = Page(page)
    assert set(hostile_page.tags) <= set(plain_page.tags)
    assert not any("javascript" in link for link in hostile_page.links)
    widths = {len(row) for row in hostile_page.rows}
    assert widths == {len(row) for row in plain_page.rows}
    assert "<script>" not in markdown and "\n# Heading" not in markdown
    shown = " ".join(HOSTILE.split())
    assert any(row[0] == shown for row in hostile_page.rows)
    assert any(row[0] == "_Bald_" for row in hostile_page.rows)


def test_names_stay_readable_in_markdown():
    assert all(plain(name) == name for name in ATTRIBUTES)


@pytest.mark.parametrize("text", ["a\nb", "a\x00b", "a\u202eb", "a\u2028b"])
def test_plain_text_is_one_line_without_control_characters(text):
    assert len(plain(text)) == 3 and plain(text).isprintable()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda report: [], "expected the report that tfac-evaluate writes"),
        (lambda report: {}, "expected the report that tfac-evaluate writes"),
        (lambda report: report | {"mean_f1": "high"}, "report that tfac-evaluate writes"),
        (lambda report: report | {"slices": {"Male=1": {}}}, "report that tfac-evaluate writes"),
        (lambda report: report | {"attributes": {}}, "expected the attributes of the model"),
    ],
)
def test_other_files_than_reports_are_refused(write, change, message):
    with pytest.raises(DataError, match=message):
        write(make_metadata(), change(make_evaluation()))


def test_report_of_another_model_is_refused(write):
    other = make_metadata() | {"thresholds": [0.1, 0.2, 0.3, 0.4]}
    with pytest.raises(DataError, match="at its thresholds 0.1, 0.2"):
        write(other, make_evaluation())


def test_nothing_is_written_for_a_report_that_is_refused(tmp_path):
    with pytest.raises(DataError):
        write_model_card(tmp_path, make_metadata(), {})
    assert not list(tmp_path.iterdir())


def test_ethics_speak_of_the_attributes_that_the_model_has(tmp_path):
    names = ("Scarf", "Cap", "Ring", "Grin")
    write_model_card(tmp_path, make_metadata(names, data_name="mine"), None)
    card = (tmp_path / "model_card.md").read_text()
    ethics = card.partition("## Ethical considerations")[2].partition("## ")[0]
    assert "about the faces are: Grin." in ethics
    assert not [name for name in ATTRIBUTES if name in ethics]
    write_model_card(tmp_path, make_metadata(), None)
    card = (tmp_path / "model_card.md").read_text()
    assert "about the faces are: Young." in card and '"Male" is a binary label' in card


def test_contradictions_of_answers_and_labels_stand_in_the_results(write):
    evaluation = make_evaluation()
    markdown, _ = write(make_metadata(), evaluation)
    (found,) = evaluation["label_rules"].values()
    assert found["contradictions"] > 0
    numbers = " | ".join(percent(found[name]) for name in found)
    assert f"| Bald with Smiling | {numbers} |" in markdown
    assert f"| any of these | {numbers} |" in markdown
    assert "may occur: each attribute is answered by itself" in markdown


def test_evaluation_of_answers_that_are_not_exported_is_refused(write):
    with pytest.raises(
        DataError, match="consistent=True. Received: consistent=False.*--consistent"
    ):
        write({**make_metadata(), "consistent": True}, make_evaluation())
