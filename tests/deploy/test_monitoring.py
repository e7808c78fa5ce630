import json
import re
import shutil
import subprocess

import pytest
import yaml
from serving_configuration import DEPLOY, METRICS, read

KNOWN = METRICS | {"up": {"job"}}
ADDED_BY_PROMETHEUS = {"le", "instance", "job"}
METRIC = re.compile(r"(?<![\w:])(:[a-z_:]+[a-z_]|up)(?=[{\[\s)]|$)")


@pytest.fixture(scope="module")
def dashboard():
    return json.loads(read("grafana/dashboards/tfac_serving.json"))


def expressions() -> list[str]:
    rules = [
        rule["expr"]
        for group in yaml.safe_load(read("prometheus/rules.yml"))["groups"]
        for rule in group["rules"]
    ]
    panels = json.loads(read("grafana/dashboards/tfac_serving.json"))["panels"]
    return rules + [target["expr"] for panel in panels for target in panel["targets"]]


def base_name(metric: str) -> str:
    return re.sub(r"_(bucket|sum|count)$", "", metric) if metric not in KNOWN else metric


@pytest.mark.parametrize("expression", expressions())
def test_every_metric_that_is_asked_for_is_one_that_servers_give(expression):
    metrics = {base_name(name) for name in METRIC.findall(expression)}
    assert metrics and metrics <= set(KNOWN)
    labels = set(re.findall(r"(\w+)\s*[!=]~?\"", expression))
    for listed in re.findall(r"by \(([^)]*)\)", expression):
        labels |= {label.strip() for label in listed.split(",")}
    assert labels <= ADDED_BY_PROMETHEUS.union(*(KNOWN[metric] for metric in metrics))


def test_prometheus_reads_the_rules_beside_its_configuration():
    configuration = yaml.safe_load(read("prometheus/prometheus.yml"))
    for name in configuration["rule_files"]:
        assert (DEPLOY / "prometheus" / name).is_file()
    [scrape] = configuration["scrape_configs"]
    assert scrape["metrics_path"] == "/monitoring/prometheus/metrics"
    assert f'job="{scrape["job_name"]}"' in read("prometheus/rules.yml")


def test_promtool_takes_both_files():
    if (promtool := shutil.which("promtool")) is None:
        pytest.skip("needs promtool, of Debian's package prometheus")
    command = [promtool, "check", "config", DEPLOY / "prometheus" / "prometheus.yml"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_panels_fill_the_dashboard_without_overlap(dashboard):
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])
    cells = [
        (x, y)
        for panel in dashboard["panels"]
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]
    assert len(set(cells)) == len(cells)
    assert max(x for x, _ in cells) < 24  # Grafana's columns


def test_every_panel_asks_the_source_that_is_provisioned(dashboard):
    [source] = yaml.safe_load(read("grafana/provisioning/datasources/prometheus.yaml"))[
        "datasources"
    ]
    asked = [panel["datasource"] for panel in dashboard["panels"]]
    asked += [target["datasource"] for panel in dashboard["panels"] for target in panel["targets"]]
    asked += [variable["datasource"] for variable in dashboard["templating"]["list"]]
    for each in asked:
        assert each == {"type": source["type"], "uid": source["uid"]}
