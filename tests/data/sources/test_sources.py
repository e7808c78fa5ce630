import pytest

from tests.data.celeba_files import write_celeba
from tfac.data.sources import open_source
from tfac.errors import ConfigError, DataError


def test_sources_are_opened_by_name(tmp_path):
    folder = write_celeba(tmp_path / "source")
    assert open_source("celeba", folder, tmp_path).name == "celeba"


def test_options_are_those_of_the_source(tmp_path):
    with pytest.raises(ConfigError, match="labels: expected a table, or classes.*neither"):
        open_source("folder", tmp_path, tmp_path)
    with pytest.raises(ConfigError, match="folder: expected options of FolderSource. .*'protocol'"):
        open_source("folder", tmp_path, tmp_path, protocol="mgg_net")
    with pytest.raises(ConfigError, match="celeba: expected options of CelebASource. .*'protocol'"):
        open_source("celeba", tmp_path, tmp_path, protocol="mgg_net")
    with pytest.raises(DataError, match="labels.csv"):
        open_source("folder", tmp_path, tmp_path, labels=tmp_path / "labels.csv")


def test_an_unknown_data_set_is_named(tmp_path):
    with pytest.raises(ConfigError, match="dataset: expected one of celeba, .*Received: imdb"):
        open_source("imdb", tmp_path, tmp_path)
