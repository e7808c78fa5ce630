import shutil
import subprocess

import pytest
import yaml
from serving_configuration import DEPLOY, model_config, monitoring_config, read

KINDS = {
    "PersistentVolumeClaim": "v1",
    "Deployment": "apps/v1",
    "Service": "v1",
    "HorizontalPodAutoscaler": "autoscaling/v2",
    "PodDisruptionBudget": "policy/v1",
}


def kustomization() -> dict:
    return yaml.safe_load(read("kustomization.yaml"))


def manifests() -> dict[str, dict]:
    documents = [yaml.safe_load(read(name)) for name in kustomization()["resources"]]
    return {document["kind"]: document for document in documents}


@pytest.fixture(scope="module")
def resources():
    return manifests()


@pytest.fixture(scope="module")
def pod(resources):
    return resources["Deployment"]["spec"]["template"]["spec"]


@pytest.fixture(scope="module")
def container(pod):
    [container] = pod["containers"]
    return container


def test_every_manifest_is_listed(resources):
    files = {f"kubernetes/{path.name}" for path in (DEPLOY / "kubernetes").iterdir()}
    assert files == set(kustomization()["resources"])
    assert {kind: each["apiVersion"] for kind, each in resources.items()} == KINDS


@pytest.mark.parametrize("version", ["1.29", "1.34"])
@pytest.mark.parametrize("kind", KINDS)
def test_manifests_have_the_fields_of_kubernetes_own_schema(kind, version):
    kubernetes_validate = pytest.importorskip(
        "kubernetes_validate", reason="needs Kubernetes's schemas: pip install kubernetes-validate"
    )
    kubernetes_validate.validate(manifests()[kind], version, strict=True)


def test_kustomize_puts_it_all_together():
    if (kubectl := shutil.which("kubectl")) is None:
        pytest.skip("needs kubectl, which has kustomize")
    done = subprocess.run([kubectl, "kustomize", DEPLOY], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    written = {each["kind"]: each for each in yaml.safe_load_all(done.stdout)}
    assert set(written) == {*KINDS, "ConfigMap"}
    assert written["ConfigMap"]["metadata"]["name"] == "tfac-serving"  # no hash
    assert written["ConfigMap"]["data"]["models.config"] == read("serving/models.config")
    [container] = written["Deployment"]["spec"]["template"]["spec"]["containers"]
    assert container["image"] == "tfac-serving:2.19.1"


def test_the_configuration_is_compose_s(resources, pod, container):
    [generator] = kustomization()["configMapGenerator"]
    assert {f"serving/{path.name}" for path in (DEPLOY / "serving").iterdir()} == set(
        generator["files"]
    )
    volumes = {each["name"]: each for each in pod["volumes"]}
    mounts = {each["name"]: each for each in container["volumeMounts"]}
    assert set(mounts) == set(volumes)
    assert volumes["configuration"]["configMap"]["name"] == generator["name"]
    assert mounts["configuration"]["mountPath"] == "/etc/tfac"
    assert "subPath" not in mounts["configuration"]  # such a mount never changes
    claim = volumes["models"]["persistentVolumeClaim"]["claimName"]
    assert claim == resources["PersistentVolumeClaim"]["metadata"]["name"]
    assert mounts["models"]["mountPath"] == "/models" and mounts["models"]["readOnly"]


def test_everything_selects_the_servers(resources):
    template = resources["Deployment"]["spec"]["template"]
    labels = template["metadata"]["labels"]
    assert resources["Deployment"]["spec"]["selector"]["matchLabels"] == labels
    assert resources["Service"]["spec"]["selector"] == labels
    assert resources["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"] == labels
    [spread] = template["spec"]["topologySpreadConstraints"]
    assert spread["labelSelector"]["matchLabels"] == labels
    target = resources["HorizontalPodAutoscaler"]["spec"]["scaleTargetRef"]
    deployment = resources["Deployment"]
    assert target == {
        "apiVersion": deployment["apiVersion"],
        "kind": "Deployment",
        "name": deployment["metadata"]["name"],
    }
    assert "replicas" not in deployment["spec"]  # would undo what the autoscaler did


def test_metrics_are_asked_for_where_the_servers_give_them(resources, container):
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    for port in resources["Service"]["spec"]["ports"]:
        assert port["port"] == ports[port["targetPort"]]
    [scrape] = yaml.safe_load(read("prometheus/prometheus.yml"))["scrape_configs"]
    annotations = resources["Deployment"]["spec"]["template"]["metadata"]["annotations"]
    given = monitoring_config(read("serving/monitoring.config")).prometheus_config
    assert given.enable
    assert scrape["metrics_path"] == annotations["prometheus.io/path"] == given.path
    assert annotations["prometheus.io/port"] == str(ports["rest"])


def test_probes_ask_for_the_model_that_is_served(container):
    name = model_config(read("serving/models.config")).name
    paths = [container[f"{kind}Probe"]["httpGet"]["path"] for kind in ("startup", "readiness")]
    assert all(path.startswith(f"/v1/models/{name}") for path in paths)
    assert f"model=${{1:-{name}}}" in read("healthcheck.sh")


def test_servers_run_without_rights_as_the_image_s_user(pod, container):
    user = pod["securityContext"]["runAsUser"]
    assert pod["securityContext"]["runAsNonRoot"] and f"USER {user}:" in read("Dockerfile")
    rights = container["securityContext"]
    assert rights["allowPrivilegeEscalation"] is False and rights["readOnlyRootFilesystem"]


def test_there_is_always_a_server(resources):
    fewest = resources["HorizontalPodAutoscaler"]["spec"]["minReplicas"]
    assert fewest > resources["PodDisruptionBudget"]["spec"]["minAvailable"] >= 1
