import pytest

from tfac.attributes import ATTRIBUTES
from tfac.experiments.tables import CELEBA, LFWA, TABLES
from tfac.experiments.variants import EXPERIMENTS

BY_NAME = {table.name: table for table in TABLES}
NAMES = {experiment.name for experiment in EXPERIMENTS}


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_rows_are_experiments_and_marks_and_columns_are_headings(table):
    for row in table.rows:
        assert row.experiment is None or row.experiment in NAMES, row
        assert set(row.marks) <= set(table.mark_names)
        assert not table.columns or row.column in table.columns
        for figures in row.by_attribute.values():
            assert set(figures) < set(ATTRIBUTES)
    assert table.reference in {row.experiment for row in table.rows}


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_a_cell_is_there_once(table):
    cells = [(row.label, row.column) for row in table.rows]
    assert len(cells) == len(set(cells))
    if table.columns:
        assert len(cells) == len(table.columns) * len({label for label, _ in cells})


def test_figures_that_the_text_gives_as_differences():
    """Section 4.2 of DMM-CNN: 91.70 - 0.30, 86.56 - 1.81; 91.08 - 0.95, 84.11 - 3.98, and so on."""
    rows = {row.label: row for row in BY_NAME["dmm_table1"].rows}
    assert rows["DMM-SPP"].published == {CELEBA: 91.40, LFWA: 84.75}
    assert rows["Baseline"].published == {CELEBA: 90.13, LFWA: 80.13}
    assert rows["DMM-DW-FIX"].published == {CELEBA: 91.04, LFWA: 85.65}
    for label in ("DMM-SPP", "Baseline", "DMM-DW-FIX", "DMM-EQ-AT"):
        assert "derived" in rows[label].note


def test_every_experiment_is_in_a_table():
    listed = {row.experiment for table in TABLES for row in table.rows}
    assert listed >= NAMES
