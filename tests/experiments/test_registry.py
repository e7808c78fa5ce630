import dataclasses
from types import SimpleNamespace

import pytest

from tfac.errors import ConfigError
from tfac.experiments.protocols import PROTOCOLS
from tfac.experiments.registry import (
    canonical_name,
    get_config,
    get_experiment,
    get_protocol,
    has_experiment,
    protocol_config,
    require_data,
    select,
)
from tfac.experiments.tables import TABLES
from tfac.experiments.variants import EXPERIMENTS
from tfac.networks import NETWORKS
from tfac.training.config import TrainConfig


def differences(config, other):
    """Options of two configs that differ, as (one, other)."""
    names = [field.name for field in dataclasses.fields(config)]
    return {
        name: (getattr(config, name), getattr(other, name))
        for name in names
        if getattr(config, name) != getattr(other, name)
    }


def test_names_are_unique():
    for things in (EXPERIMENTS, PROTOCOLS, TABLES, [*EXPERIMENTS, *TABLES]):
        names = [thing.name for thing in things]
        assert len(names) == len(set(names))


@pytest.mark.parametrize("protocol", PROTOCOLS, ids=lambda protocol: protocol.name)
def test_every_experiment_has_a_valid_config_under_each_protocol(protocol):
    for each in EXPERIMENTS:
        if has_experiment(protocol, each):
            assert isinstance(protocol_config(each.name, protocol.name), TrainConfig)


def test_every_experiment_is_in_the_small_protocol_and_those_of_papers_in_the_paper_s():
    for each in EXPERIMENTS:
        assert has_experiment(get_protocol("small"), each) != (each.family == "two_crop_frozen")
        ours = each.family.startswith("two_crop")
        assert has_experiment(get_protocol("paper_celeba"), each) != ours


def test_every_model_has_an_experiment_of_its_name():
    assert all(get_experiment(model).is_system for model in NETWORKS)


def test_from_scratch_is_the_config_s_defaults():
    assert get_config("dmm_cnn", "from_scratch") == TrainConfig()
    assert get_config("baseline", "from_scratch") == TrainConfig(model="baseline")


def test_demo_is_a_small_dmm_cnn():
    assert get_config("dmm_cnn", "demo") == TrainConfig(
        backbone="resnet18",
        image_size=(64, 64),
        output_stride=16,
        epochs=3,
        updates_per_epoch=2,
        cache="memory",
    )


def test_dmm_cnn_is_as_printed():
    """Sections 3.3 and 4.1 of the paper."""
    assert get_config("dmm_cnn", "paper_celeba") == TrainConfig(
        backbone="resnet50",
        backbone_weights="imagenet",
        branch_normalization=False,
        branch_shortcut=False,
        attribute_loss="squared_error",
        beta=0.5,
        weighting="dynamic_raw",
        thresholds="adaptive",
        gamma=0.01,
        epochs=15,
        batch_size=64,
        optimizer="sgd",
        learning_rate=0.001,
        momentum=0.0,
        weight_decay=0.0,
        schedule="plateau",
        warmup_epochs=0.0,
        flip=False,
    )


@pytest.mark.parametrize(
    ("experiment", "protocol", "epochs", "drop_epoch"),
    [
        ("mgg_net", "paper_celeba", 14, 9),
        ("mgg_net_balanced", "paper_celeba", 15, 12),
        ("mgg_net", "paper_lfwa", 15, 10),
    ],
)
def test_mgg_net_is_as_printed(experiment, protocol, epochs, drop_epoch):
    """The paragraph "Implementation" of the paper."""
    config = get_config(experiment, protocol)
    assert (config.epochs, config.drop_epoch, config.schedule) == (epochs, drop_epoch, "step")
    assert (config.batch_size, config.learning_rate, config.image_size) == (144, 0.01, (224, 224))
    assert (config.backbone, config.backbone_weights, config.flip) == ("resnet18", "imagenet", True)


# What differs from the full method, as table 1 of DMM-CNN ticks it.
@pytest.mark.parametrize(
    ("experiment", "options"),
    [
        ("dmm_fac", {"landmarks": False}),
        ("dmm_eq_fix", {"weighting": "uniform", "thresholds": "fixed"}),
        ("dmm_eq_at", {"weighting": "uniform"}),
        ("dmm_dw_fix", {"thresholds": "fixed"}),
        ("dmm_spp", {"attribute_grouping": False}),
    ],
)
def test_variants_of_table_1_differ_in_what_they_toggle(experiment, options):
    found = differences(get_config(experiment, "small"), get_config("dmm_cnn", "small"))
    assert {name: pair[0] for name, pair in found.items()} == options


@pytest.mark.parametrize(
    ("experiment", "options"),
    [
        ("lga_no_flip", {"test_time_flip": False}),
        ("lga_no_guidance", {"guidance": 0.0}),
        ("lga_no_landmarks", {"landmarks": False}),
        ("lga_attributes_alone", {"guidance": 0.0, "landmarks": False}),
        ("lga_no_attention", {"guidance": 0.0, "attention_levels": "none"}),
        ("lga_block4", {"attention_levels": "P4"}),
        ("lga_block5", {"attention_levels": "P5"}),
        ("lga_dynamic", {"weighting": "dynamic_mean_one"}),
    ],
)
def test_variants_of_lga_net_differ_in_what_they_are_named_after(experiment, options):
    found = differences(get_config(experiment, "small"), get_config("lga_net", "small"))
    assert {name: pair[0] for name, pair in found.items()} == options


def test_lga_net_is_trained_as_the_papers_networks_are():
    for other in ("baseline", "mgg_net"):
        found = differences(get_config("lga_net", "small"), get_config(other, "small"))
        assert set(found) <= {"model", "test_time_flip"}


def test_same_options_are_one_experiment():
    assert canonical_name("dmm_uw", "small") == "dmm_eq_at"
    assert canonical_name("mgg_baseline", "small") == "baseline"
    assert canonical_name("mgg_baseline", "paper_celeba") == "mgg_baseline"


def test_fine_tuning_needs_the_run_to_start_from():
    with pytest.raises(ConfigError, match="initial_workdir.*dmm_cnn.*paper_celeba"):
        get_config("dmm_cnn", "paper_lfwa")
    config = get_config("dmm_cnn", "paper_lfwa", {"initial_workdir": "runs/celeba"})
    assert (config.initial_workdir, config.validation_split) == ("runs/celeba", "train")
    assert config.backbone_weights is None


@pytest.mark.parametrize(
    ("experiment", "name", "settings", "received"),
    [
        ("dmm_cnn", "lfwa", {"protocol": "mgg_net"}, "=dmm_cnn.*prepared with mgg_net"),
        ("mgg_net", "lfwa", {"protocol": "dmm_cnn"}, "=mgg_net.*prepared with dmm_cnn"),
        ("mgg_net", "celeba", {}, "Received: data$"),
    ],
)
def test_lfwa_with_the_other_papers_split_is_refused(experiment, name, settings, received):
    info = SimpleNamespace(name=name, path="data", source_settings=settings)
    with pytest.raises(ConfigError, match=received):
        require_data(experiment, "paper_lfwa", info)
    require_data(experiment, "paper_celeba", info)
    own = SimpleNamespace(name="lfwa", path="data", source_settings={"protocol": experiment})
    require_data(experiment, "paper_lfwa", own)


def test_given_options_come_first_and_are_checked():
    assert get_config("dmm_cnn", "small", {"epochs": 2}).epochs == 2
    with pytest.raises(ConfigError, match="epochs"):
        get_config("dmm_cnn", "small", {"epochs": 0})


def test_selection_takes_tables_and_all_and_leaves_out_what_a_protocol_lacks():
    assert select(["mgg_table2"], "small") == ["mgg_baseline_balanced", "mgg_net_balanced"]
    assert select(["dmm_cnn", "dmm_table2"], "small")[:3] == ["dmm_cnn", "dmm_uw", "dmm_dwa"]
    with_start = [each.name for each in EXPERIMENTS if each.family != "two_crop_frozen"]
    assert select(["all"], "small") == with_start
    assert "dmm_dw_fix" not in select(["all"], "from_scratch")


@pytest.mark.parametrize(
    ("names", "protocol", "message"),
    [
        (["dmm_cn"], "small", "unknown experiment or table: dmm_cn.*dmm_cnn"),
        (["dmm_dw_fix"], "from_scratch", "does not have experiment=dmm_dw_fix; paper_celeba"),
        (["mgg_table2"], "paper_lfwa", "has no experiment of mgg_table2"),
        (["dmm_cnn"], "smal", "unknown protocol: smal.*small"),
    ],
)
def test_what_cannot_be_selected_is_named(names, protocol, message):
    with pytest.raises(ConfigError, match=message):
        select(names, protocol)
