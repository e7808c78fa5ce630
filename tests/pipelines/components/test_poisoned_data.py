"""From pictures in a folder to what is found: new data whose labels of one attribute are wrong."""

import csv

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("apache_beam", reason="Apache Beam (tfac[beam]) is not installed")

from pipelines.components.example_gen import example_gen
from pipelines.components.example_validator import example_validator
from pipelines.components.schema_gen import schema_gen
from pipelines.components.statistics_gen import statistics_gen
from pipelines.engine.artifacts import ExampleAnomalies, Examples, ExampleStatistics, Schema
from tests.pipelines.components.summary_samples import NAMES, draw_labels

pytestmark = pytest.mark.slow  # Beam


def write_pictures(folder, labels, names=NAMES):
    folder.mkdir()
    rng = np.random.default_rng(len(labels))
    with (folder / "labels.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(("picture", *names))
        for i, row in enumerate(labels):
            picture = rng.integers(0, 256, (16, 16, 3), np.uint8)
            Image.fromarray(picture).save(folder / f"{i}.png")
            table.writerow((f"{i}.png", *row))
    return folder


@pytest.fixture
def validate(tmp_path):
    """Runs the four components on a folder and returns their outputs."""

    def run(folder, previous=None):
        out = tmp_path / f"{folder.name}-outputs"
        examples, statistics = Examples(out / "examples"), ExampleStatistics(out / "statistics")
        schema, anomalies = Schema(out / "schema"), ExampleAnomalies(out / "anomalies")
        options = {"labels": str(folder / "labels.csv"), "label_values": "0/1"}
        options["split_shares"] = [0.7, 0.3, 0.0]
        example_gen(
            examples, dataset="folder", source_dir=str(folder), options=options, landmarks="none"
        )
        statistics_gen(examples, statistics)
        schema_gen(statistics, schema, previous and previous[1])
        example_validator(statistics, schema, anomalies, previous and previous[0])
        return statistics, schema, anomalies

    return run


def test_flipped_labels_in_new_data_block(tmp_path, validate):
    name = "Smiling"  # shown in half of the pictures: it is the correlations that tell
    old, new = draw_labels(500, 0), draw_labels(500, 1)
    first = validate(write_pictures(tmp_path / "first", old))
    assert first[2].properties == {"blocking": False, "found": [], "compared_with": None}
    good = validate(write_pictures(tmp_path / "good", np.concatenate([old, new])), first)
    assert not good[2].properties["blocking"]
    new[:, NAMES.index(name)] = 1 - new[:, NAMES.index(name)]
    bad = validate(write_pictures(tmp_path / "bad", np.concatenate([old, new])), good)
    assert bad[2].properties["blocking"]
    assert bad[2].properties["found"][0].startswith(f"attribute {name}: expected ")
