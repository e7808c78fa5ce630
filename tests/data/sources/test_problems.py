import pytest

from tfac.data.sources.problems import MOST_NAMED, Problems
from tfac.errors import DataError


def test_the_first_problem_stops():
    with pytest.raises(DataError, match="a.csv line 3.*--on_error=skip"):
        Problems().report("malformed row", "a.csv line 3")


def test_ten_are_named_and_all_are_counted_and_written(tmp_path, capsys):
    problems = Problems("skip")
    problems.write(tmp_path / "skipped.txt")
    assert not list(tmp_path.iterdir())
    for number in range(1000):
        problems.report("malformed row", f"a.csv line {number}")
    assert len(capsys.readouterr().err.splitlines()) == MOST_NAMED + 1
    assert problems.skipped == {"malformed row": 1000}
    problems.write(tmp_path / "skipped.txt")
    lines = (tmp_path / "skipped.txt").read_text().splitlines()
    assert lines == [f"a.csv line {number}" for number in range(1000)]
