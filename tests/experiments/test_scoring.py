import json

import pytest

from tfac.experiments.scoring import RESULT_FILE, score_run
from tfac.training.config import TrainConfig
from tfac.training.run import run_training


@pytest.mark.slow
def test_frozen_run_is_judged_though_it_has_no_step_and_so_no_rate(tiny_records, tmp_path):
    config = TrainConfig(
        model="baseline",
        backbone="dlib_resnet29",
        backbone_weights="dlib",
        freeze=True,
        image_size=(64, 64),
        batch_size=8,
    )
    run_training(config, tiny_records, tmp_path, show_progress=False)
    score_run(tmp_path, tiny_records, "test")
    result = json.loads((tmp_path / RESULT_FILE).read_text())
    assert result["step"] == 0 and result["images_per_second"] is None
    assert result["splits"]["test"]["exact"]["mean_accuracy"] > 80
