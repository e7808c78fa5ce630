import dataclasses
import json
import shutil

import keras
import numpy as np
import pytest

from tfac.attributes import ATTRIBUTES, default_groups
from tfac.data.records.info import read_info
from tfac.errors import ConfigError, DataError
from tfac.landmarks import DLIB_72
from tfac.training.config import TrainConfig
from tfac.training.run import run_training
from tfac.training.workdir import (
    check_initial_workdir,
    claim_workdir,
    create_network,
    load_trained_network,
    read_record,
)

CONFIG = TrainConfig(image_size=(16, 20), batch_size=12, epochs=1, updates_per_epoch=1)


def test_loaded_model_is_the_trained_one(tiny_records, finished_run, tiny_network):
    config, workdir, state = finished_run
    trained = load_trained_network(workdir)
    images = np.random.default_rng(0).integers(0, 255, (2, 16, 20, 3)).astype(np.uint8)
    for name, expected in state.model(images).items():
        np.testing.assert_array_equal(trained.model(images)[name], expected)
    np.testing.assert_array_equal(trained.thresholds, state.thresholds.numpy())
    assert trained.thresholds.any()
    assert trained.attributes == ATTRIBUTES
    assert trained.landmark_scheme.name == "dlib_72"
    assert trained.image_size == (16, 20)
    assert trained.step == 2
    assert TrainConfig.from_dict(trained.training) == config
    assert trained.attribute_loss.name == "binary_crossentropy"
    assert trained.data["fingerprint"] == read_info(tiny_records).fingerprint
    assert set(trained.versions) >= {"tfac", "tensorflow", "keras"}


def test_weights_are_the_same_in_another_precision(finished_run, tiny_network):
    config, workdir, _ = finished_run
    trained = load_trained_network(workdir)
    mixed = load_trained_network(workdir, "mixed_bfloat16")
    assert mixed.model.dtype_policy.name == "mixed_bfloat16"
    assert TrainConfig.from_dict(mixed.training) == config
    for one, two in zip(trained.model.variables, mixed.model.variables, strict=True):
        np.testing.assert_array_equal(one, two)
    with pytest.raises(ConfigError, match="precision: expected one of"):
        load_trained_network(workdir, "float8")


def test_without_a_landmark_branch_there_is_no_scheme(tiny_records, tmp_path, tiny_network):
    config = dataclasses.replace(CONFIG, landmarks=False)
    run_training(config, tiny_records, tmp_path, show_progress=False)
    assert load_trained_network(tmp_path).landmark_scheme is None


def test_run_that_saved_nothing_leaves_the_workdir_free(tiny_records, tmp_path):
    for epochs in (1, 2):
        claim_workdir(tmp_path, dataclasses.replace(CONFIG, epochs=epochs), read_info(tiny_records))
    assert read_record(tmp_path)["config"]["epochs"] == 2


def test_folder_that_is_no_workdir_is_refused(tmp_path):
    with pytest.raises(DataError, match="config.json"):
        load_trained_network(tmp_path)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(DataError, match="config.json: expected the folder of a run"):
        load_trained_network(tmp_path)
    (tmp_path / "config.json").write_text('{"config": {"nonsense": 1}}')
    with pytest.raises(DataError, match="nonsense"):
        load_trained_network(tmp_path)


def test_run_with_other_settings_is_refused_and_one_of_an_older_version_is_not(
    tiny_records, finished_run, tmp_path
):
    config, workdir, _ = finished_run
    shutil.copytree(workdir, tmp_path, dirs_exist_ok=True)
    info = read_info(tiny_records)
    with pytest.raises(ConfigError, match="Different: config.epochs: 1 there, 2 now"):
        claim_workdir(tmp_path, dataclasses.replace(config, epochs=2), info)
    record = json.loads((tmp_path / "config.json").read_text())
    del record["config"]["guidance"], record["data"]["attribute_groups"]
    (tmp_path / "config.json").write_text(json.dumps(record))
    claim_workdir(tmp_path, config, info)
    with pytest.raises(ConfigError, match="Different: config.model.*config.guidance: 1.0 there"):
        claim_workdir(tmp_path, dataclasses.replace(config, model="lga_net", guidance=2.0), info)


def test_test_time_flip_counts_in_validation_and_in_use(tiny_records, tmp_path, tiny_network):
    found = {}
    for flip in (False, True):
        config = dataclasses.replace(CONFIG, test_time_flip=flip)
        run_training(config, tiny_records, tmp_path / str(flip), show_progress=False)
        found[flip] = load_trained_network(tmp_path / str(flip))
    for once, both in zip(found[False].model.variables, found[True].model.variables, strict=True):
        np.testing.assert_array_equal(once, both)  # the training is the same
    assert np.any(found[False].thresholds != found[True].thresholds)
    images = np.random.default_rng(0).integers(0, 255, (2, 16, 20, 3)).astype(np.uint8)
    scores = found[True].predict(images)["scores"]
    once = [found[False].predict(each)["scores"] for each in (images, images[:, :, ::-1])]
    np.testing.assert_allclose(scores, (once[0] + once[1]) / 2, rtol=1e-5)


def test_damaged_checkpoint_is_named(tiny_records, finished_run, tmp_path, tiny_network):
    config, workdir, _ = finished_run
    shutil.copytree(workdir, tmp_path, dirs_exist_ok=True)
    for path in (tmp_path / "checkpoints").glob("*.data-*"):
        path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(DataError, match="cannot restore the checkpoint .*checkpoints/ckpt-"):
        load_trained_network(tmp_path)
    with pytest.raises(DataError, match="cannot restore the checkpoint"):
        run_training(config, tiny_records, tmp_path, show_progress=False)


@pytest.mark.parametrize(
    ("options", "outputs"),
    [
        ({"model": "dmm_cnn"}, {"scores", "landmarks"}),
        ({"model": "dmm_cnn", "landmarks": False, "output_stride": 16}, {"scores"}),
        ({"model": "lga_net", "attention_levels": "P5"}, {"scores", "landmarks"}),
        (
            {"model": "lga_net", "attention_levels": "none", "guidance": 0.0, "landmarks": False},
            {"scores"},
        ),
        ({"model": "baseline"}, {"scores"}),
    ],
)
def test_network_is_what_the_config_says(options, outputs):
    options = options | {"backbone": "resnet18", "precision": "mixed_bfloat16"}
    attributes = ("Male", "Young")
    groups = default_groups(attributes)
    model = create_network(
        TrainConfig(**options), attributes, DLIB_72, groups, backbone_weights=None
    )
    result = model(np.zeros((1, 32, 32, 3), np.uint8))
    assert set(result) == outputs
    assert result["scores"].shape == (1, 2)
    assert model.backbone.dtype_policy.name == "mixed_bfloat16"


@pytest.mark.parametrize("model", ["mcnn_aux", "ps_mcnn"])
def test_attributes_that_a_paper_does_not_group_are_a_group_of_their_own(model):
    attributes = ("Male", "Scarf", "Cap")
    groups = default_groups(attributes)
    network = create_network(TrainConfig(model=model), attributes, DLIB_72, groups, None)
    assert network.groups["other"] == ("Scarf", "Cap")
    assert network.groups.keys() > {"other"}


def save_tiny_backbone(path, sides=(None, None)):
    images = keras.Input((*sides, 3))
    maps = keras.layers.Conv2D(4, 3, strides=8, padding="same")(images)
    keras.Model(images, keras.layers.BatchNormalization()(maps)).save(path)


def test_run_with_ones_own_backbone_needs_its_file_no_more(tiny_records, tmp_path):
    file, workdir = tmp_path / "tiny.keras", tmp_path / "run"
    save_tiny_backbone(file)
    config = dataclasses.replace(CONFIG, model="baseline", backbone=str(file))
    state = run_training(config, tiny_records, workdir, show_progress=False)
    file.unlink()
    trained = load_trained_network(workdir)
    assert TrainConfig.from_dict(trained.training) == config
    images = np.random.default_rng(0).integers(0, 255, (2, 16, 20, 3)).astype(np.uint8)
    scores = state.model(images)["scores"]  # whose batch norms run on the fused kernel
    np.testing.assert_allclose(trained.model(images)["scores"], scores, rtol=1e-4, atol=1e-5)
    longer = dataclasses.replace(config, epochs=2)
    with pytest.raises(ConfigError, match="Different: config.epochs"):
        run_training(longer, tiny_records, workdir, show_progress=False)
    assert int(run_training(config, tiny_records, workdir, show_progress=False).step) == 2

    copy = dataclasses.replace(config, backbone=str(workdir / "backbone.keras"))
    tuned = dataclasses.replace(copy, initial_workdir=str(workdir))
    check_initial_workdir(tuned, read_info(tiny_records))
    with pytest.raises(ConfigError, match="tiny.keras, which is none of them"):
        run_training(config, tiny_records, tmp_path / "other", show_progress=False)
    assert not (tmp_path / "other").exists()


def test_preset_folder_is_copied_whole_and_anew_until_there_is_a_checkpoint(tiny_records, tmp_path):
    preset, workdir = tmp_path / "preset", tmp_path / "run"
    config = dataclasses.replace(CONFIG, backbone=str(preset))
    for text in ("{}", "[]"):
        preset.mkdir(exist_ok=True)
        (preset / "config.json").write_text(text)
        claim_workdir(workdir, config, read_info(tiny_records))
        assert (workdir / "backbone_preset" / "config.json").read_text() == text


def test_backbone_of_a_fixed_size_takes_pictures_of_that_size_alone(tmp_path):
    save_tiny_backbone(tmp_path / "tiny.keras", (32, 24))
    options = {"model": "baseline", "backbone": str(tmp_path / "tiny.keras")}
    arguments = ATTRIBUTES, DLIB_72, default_groups(ATTRIBUTES), None
    model = create_network(TrainConfig(image_size=(32, 24), **options), *arguments)
    assert model(np.zeros((1, 32, 24, 3), np.uint8))["scores"].shape == (1, 40)
    with pytest.raises(ConfigError, match="takes pictures of 32x24 pixels alone.*gives it 24x32"):
        create_network(TrainConfig(image_size=(24, 32), **options), *arguments)
