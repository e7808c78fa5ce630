import json
import shutil

import pytest

from tfac.experiments.scoring import RESULT_FILE, score_run


@pytest.mark.slow
def test_frozen_run_is_judged_though_it_has_no_step_and_so_no_rate(
    tiny_frozen, tiny_records, tmp_path
):
    run = shutil.copytree(tiny_frozen, tmp_path / "run")
    score_run(run, tiny_records, "test")
    result = json.loads((run / RESULT_FILE).read_text())
    assert result["step"] == 0 and result["images_per_second"] is None
    assert result["splits"]["test"]["exact"]["mean_accuracy"] > 80
