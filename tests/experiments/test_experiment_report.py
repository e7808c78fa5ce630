import csv
import json

import numpy as np
from PIL import Image

from tests.experiments.run_files import write_failure, write_result
from tests.html_page import Page
from tfac.experiments.report import format_outcomes, write_experiment_report
from tfac.experiments.scoring import AFFINITY_FILE, MASKS_FILE
from tfac.training.summaries import Summaries


def read_page(folder):
    return Page(write_experiment_report(folder, "small", "test").read_text())


def test_tables_have_the_paper_s_figures_beside_ours(tmp_path):
    for seed in (0, 1):
        write_result(tmp_path, "baseline", seed, 80.0 + seed)
        write_result(tmp_path, "dmm_cnn", seed, 81.0 + 3 * seed)
    write_failure(tmp_path, "dmm_fac", 0, "the loss is <NaN>")
    page = read_page(tmp_path)
    headings, row = page.rows[0], page.row("DMM-CNN")
    cells = dict(zip(headings, row, strict=True))
    assert cells["paper, CelebA"] == "91.70" and cells["paper, LFWA"] == "86.56"
    assert cells["accuracy"] == "82.50 ± 2.12+2.00 ± 1.41"
    assert (cells["seeds"], cells["weights"], cells["multiply-adds"]) == ("2", "11.20 M", "249 M")
    assert (
        cells["FLD"] == "✓" and dict(zip(headings, page.row("Baseline"), strict=True))["AG"] == ""
    )
    assert "seed 0 failed: the loss is <NaN>" in page.row("DMM-FAC")[-1]
    assert "same options as baseline" in page.text  # MGG-Net's Baseline, in its own tables
    assert page.text.count("protocol small") > 5 and "drawn<faces>" in page.text
    assert "Other options" not in page.text


def test_grid_tables_come_in_the_paper_s_form(tmp_path):
    write_result(tmp_path, "mgg_net", 0, 80.0)
    page = read_page(tmp_path)
    assert page.row("Block 3+4")[1:] == [
        "paper, LFWA: 86.17ours: –",
        "paper, LFWA: 86.77ours: –",
        "paper, LFWA: 87.20ours: 80.00",
    ]


def test_accuracy_by_attribute_stands_beside_the_paper_s(tmp_path):
    write_result(tmp_path, "dmm_cnn", 0, 80.0)
    page = read_page(tmp_path)
    assert page.text.count("DMM-CNN, accuracy by attribute") == 1
    attribute, of_celeba, of_lfwa, ours = page.row("Eyeglasses")
    assert (of_celeba, of_lfwa) == ("99.69", "92.83") and float(ours) > 0


def test_departures_from_the_protocol_are_said(tmp_path):
    write_result(tmp_path, "moon", 0, 80.0, epochs=2)
    page = read_page(tmp_path)
    assert "Other options than the protocol's: epochs=2: moon" in page.text


def test_pictures_lie_beside_the_page(tmp_path):
    for name, weights in (("dmm_cnn", 0.5), ("dmm_eq_at", 1.0)):
        folder = write_result(tmp_path, name, 0, 80.0)
        summaries = Summaries(folder / "tensorboard")
        for step in (0, 10):
            summaries.write_scalars(step, {"validation/mean_loss": 1 / (step + 1)})
            arrays = {"attribute_weights": [weights], "threshold_probabilities": [0.1 * step]}
            summaries.write_by_attribute(step, ["Young"], arrays)
        summaries.flush()
    folder = write_result(tmp_path, "mgg_net", 0, 80.0)
    for name in (MASKS_FILE, AFFINITY_FILE):
        Image.fromarray(np.zeros((4, 4), np.uint8)).save(folder / name)
    path = write_experiment_report(tmp_path, "small", "test")
    pictures = set(Page(path.read_text()).sources)
    assert pictures >= {
        "dmm_table1_attributes.png",
        "validation_losses.png",
        "attribute_weights.png",
        "thresholds.png",
        "mgg_net_attention_masks.png",
        "mgg_net_affinity.png",
    }
    assert pictures == {picture.name for picture in path.parent.glob("*.png")}


def test_numbers_are_there_as_files(tmp_path):
    write_result(tmp_path, "baseline", 0, 80.0)
    write_failure(tmp_path, "dmm_fac", 1, "no memory")
    folder = write_experiment_report(tmp_path, "small", "test").parent
    with open(folder / "runs.csv", newline="") as file:
        rows = [(row["experiment"], row["seed"], row["state"]) for row in csv.DictReader(file)]
    assert rows == [("baseline", "0", "done"), ("dmm_fac", "1", "failed: no memory")]
    means = json.loads((folder / "results.json").read_text())
    assert means["mgg_baseline"]["ran_as"] == "baseline"
    assert means["baseline"]["accuracy"] == {"mean": 80.0, "standard_deviation": None, "seeds": 1}


def test_report_of_nothing_is_a_page(tmp_path):
    assert "No run has ended yet" in read_page(tmp_path).text


def test_only_what_was_asked_for_is_shown(tmp_path):
    for name in ("dmm_cnn", "mgg_net"):
        write_result(tmp_path, name, 0, 80.0)
    path = write_experiment_report(tmp_path, "small", "test", ["dmm_table1"])
    page = Page(path.read_text())
    assert "DMM-CNN, table 1" in page.text
    assert "DMM-CNN, table 2" not in page.text and "MGG-Net, table" not in page.text
    assert "mgg_net" not in page.text
    said = format_outcomes(tmp_path, "small", "test", ["dmm_table1"]).splitlines()
    assert said[0].split() == ["percent", "accuracy", "balanced", "seeds"]
    assert ["dmm_cnn", "80.00", "80.00", "1"] in [line.split() for line in said]
    assert not [line for line in said if line.startswith("mgg_net")]
