from pathlib import Path

from tfac.experiments.plan import plan_runs


def test_runs_are_seed_by_seed_and_shared_by_same_options(tmp_path):
    runs = plan_runs(["dmm_uw", "mgg_net", "dmm_eq_at"], "small", 2, tmp_path, {"epochs": 2})
    assert [str(run) for run in runs] == [
        "dmm_eq_at seed 0",
        "mgg_net seed 0",
        "dmm_eq_at seed 1",
        "mgg_net seed 1",
    ]
    assert runs[-1].workdir == tmp_path / "small" / "mgg_net" / "seed_1"
    config = runs[-1].config()
    assert (config.model, config.seed, config.epochs) == ("mgg_net", 1, 2)


def test_fine_tuning_starts_from_the_same_experiment_and_seed():
    _, run = plan_runs(["dmm_uw"], "paper_lfwa", 2, Path("runs"), {})
    assert run.config().initial_workdir == "runs/paper_celeba/dmm_eq_at/seed_1"
    [run] = plan_runs(["mgg_net"], "paper_lfwa", 1, Path("runs"), {})
    assert run.config().initial_workdir is None
