import pytest

from pipelines.engine.artifacts import Model, Origin
from pipelines.engine.origin import ORIGIN_FILE, read_origin, write_origin


@pytest.mark.parametrize("absolute", [True, False])
def test_database_in_a_file_is_found_from_wherever_both_are(tmp_path, monkeypatch, absolute):
    monkeypatch.chdir(tmp_path)
    root = tmp_path / "all" / "root" if absolute else "all/root"
    origin = Origin(f"sqlite:///{root}/metadata.sqlite", 7, "f")
    place = tmp_path / "all" / "saved_models" / "faces" / "3"
    aside = tmp_path / "aside"
    write_origin(aside, Model(tmp_path, origin=origin), place)
    assert str(tmp_path) not in (aside / ORIGIN_FILE).read_text()
    place.parent.mkdir(parents=True)
    aside.rename(place)
    (tmp_path / "all").rename(tmp_path / "moved")
    found = read_origin(tmp_path / "moved" / "saved_models" / "faces" / "3")
    assert found == Origin(f"sqlite:///{tmp_path}/moved/root/metadata.sqlite", 7, "f")


def test_servers_url_is_kept(tmp_path):
    origin = Origin("postgresql://user:***@host/db", 7, "f")
    write_origin(tmp_path, Model(tmp_path, origin=origin), tmp_path)
    assert read_origin(tmp_path) == origin


def test_model_without_records_has_no_note(tmp_path):
    write_origin(tmp_path, Model(tmp_path), tmp_path)
    assert not (tmp_path / ORIGIN_FILE).exists()
