"""What stands in deploy/ against what the code does: metrics, labels and their values, ports, users, the config."""

import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway.cli.main import main
from gateway.kernel.cells import Metrics
from gateway.kernel.cells.metrics import PREFIX

ROOT = Path(__file__).parents[1]
DEPLOY = ROOT / "deploy"
METRIC = re.compile(r"\b(gateway_[a-z_]+)(?:\{([^}]*)\})?")
MATCHER = re.compile(r'([a-z_]+)\s*(?:=~|!~|!=|=)\s*"([^"]*)"')
GROUPING = re.compile(r"\b(?:by|on|without|ignoring)\s*\(([^)]*)\)")
OF_PROMETHEUS = {"instance", "job", "le"}


@cache
def exported() -> dict[str, set[str]]:
    """Label names of each series that a scrape may show."""
    series: dict[str, set[str]] = {}
    for family in Metrics().families():
        labels = set(family.label_names)
        name = PREFIX + family.name
        for suffix in ("_bucket", "_sum", "_count") if family.kind == "histogram" else ("",):
            series[name + suffix] = labels | ({"le"} if suffix == "_bucket" else set())
    return series


@cache
def source() -> str:
    return "\n".join(path.read_text(encoding="utf-8") for path in sorted((ROOT / "gateway").rglob("*.py")))


@cache
def rules() -> list[dict[str, Any]]:
    groups = yaml.safe_load((DEPLOY / "prometheus" / "alerts.yaml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


@cache
def dashboard() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((DEPLOY / "grafana" / "gateway.json").read_text())
    return loaded


def expressions() -> Iterator[tuple[str, str]]:
    for rule in rules():
        yield rule["alert"], rule["expr"]
    for panel in dashboard()["panels"]:
        for target in panel.get("targets", ()):
            yield f"{panel['title']} {target['refId']}", target["expr"]
    for variable in dashboard()["templating"]["list"]:
        if variable["type"] == "query":
            yield variable["name"], variable["definition"]
    for annotation in dashboard()["annotations"]["list"]:
        yield annotation["name"], annotation["expr"]


EXPRESSIONS = list(expressions())


@pytest.mark.parametrize(("name", "expression"), EXPRESSIONS, ids=[name for name, _ in EXPRESSIONS])
def test_an_expression_is_over_what_the_gateway_exports(name: str, expression: str) -> None:
    assert expression.count("(") == expression.count(")")
    found = METRIC.findall(expression)
    assert found
    shared: set[str] = set(OF_PROMETHEUS)
    for metric, matchers in found:
        assert metric in exported(), f"{metric} is exported nowhere"
        labels = exported()[metric]
        shared |= labels
        for label, value in MATCHER.findall(matchers):
            assert label in labels | OF_PROMETHEUS, f"{metric} has no label {label}"
            for one in value.split("|"):
                assert one.startswith("$") or f'"{one}"' in source(), f"{label} is never {one}"
    for names in GROUPING.findall(expression):
        assert {one.strip() for one in names.split(",")} <= shared


def test_everything_that_must_wake_somebody_has_an_alert() -> None:
    over = {metric for rule in rules() for metric, _ in METRIC.findall(rule["expr"])}
    assert over >= {
        "gateway_tls_handshakes_total",
        "gateway_authentications_total",
        "gateway_certificate_expiry_timestamp_seconds",
        "gateway_jwks_age_seconds",
        "gateway_rate_limit_store_up",
        "gateway_audit_lag_seconds",
        "gateway_shadow_decisions_total",
    }
    (certificates,) = [rule["expr"] for rule in rules() if rule["alert"] == "GatewayCertificateEndsSoon"]
    assert certificates.endswith("< 7 * 86400")


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: str(rule["alert"]))
def test_an_alert_says_what_it_means_with_labels_that_are_there(rule: dict[str, Any]) -> None:
    assert re.fullmatch(r"Gateway[A-Z][A-Za-z]+", rule["alert"])
    assert rule["labels"]["severity"] in ("info", "warning", "critical")
    texts = rule["annotations"]
    assert set(texts) == {"summary", "description"}
    labels = OF_PROMETHEUS.union(*(exported()[metric] for metric, _ in METRIC.findall(rule["expr"])))
    kept = GROUPING.search(rule["expr"])
    if kept is not None:
        labels = {one.strip() for one in kept[1].split(",")}
    for label in re.findall(r"\$labels\.([a-z_]+)", texts["summary"] + texts["description"]):
        assert label in labels
    assert len({one["alert"] for one in rules()}) == len(rules())


def test_every_metric_of_the_reference_is_on_the_dashboard_and_in_the_code() -> None:
    reference = (ROOT / "docs" / "reference" / "metrics.md").read_text()
    named = {PREFIX + name for name in re.findall(r"(?m)^\| `([a-z_]+)` \|", reference)}
    families = {PREFIX + family.name for family in Metrics().families()}
    assert named == families
    shown = {metric for _, expression in EXPRESSIONS for metric, _ in METRIC.findall(expression)}
    assert [name for name in families if not any(one.startswith(name) for one in shown)] == []


def test_the_dashboard_has_no_panel_over_another_and_no_source_of_its_own() -> None:
    panels = dashboard()["panels"]
    cells: set[tuple[int, int]] = set()
    for panel in panels:
        at = panel["gridPos"]
        own = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & own, panel["title"]
        assert at["x"] + at["w"] <= 24
        cells |= own
    assert len({panel["id"] for panel in panels}) == len(panels)
    sources = {target["datasource"]["uid"] for panel in panels for target in panel.get("targets", ())}
    assert sources == {"${datasource}"}


# ---- Kubernetes


@cache
def manifests() -> dict[str, dict[str, Any]]:
    documents = list(yaml.safe_load_all((DEPLOY / "kubernetes" / "gateway.yaml").read_text()))
    assert len({document["kind"] for document in documents}) == len(documents)
    return {document["kind"]: document for document in documents}


def pod() -> dict[str, Any]:
    held: dict[str, Any] = manifests()["Deployment"]["spec"]["template"]
    return held


def container() -> dict[str, Any]:
    (one,) = pod()["spec"]["containers"]
    held: dict[str, Any] = one
    return held


def test_all_that_is_needed_is_there_in_one_namespace() -> None:
    assert set(manifests()) == {
        "Namespace", "ServiceAccount", "ConfigMap", "Deployment", "Service", "PodDisruptionBudget", "NetworkPolicy",
    }  # fmt: skip
    assert {one["metadata"].get("namespace", "gateway") for one in manifests().values()} == {"gateway"}


def test_the_pod_may_do_nothing_but_serve() -> None:
    spec, own = pod()["spec"], container()["securityContext"]
    assert own == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert f"USER {spec['securityContext']['runAsUser']}:{spec['securityContext']['runAsGroup']}" in (
        (ROOT / "Dockerfile").read_text().splitlines()
    )
    assert spec["automountServiceAccountToken"] is False
    assert not {"hostNetwork", "hostPID", "hostIPC"} & set(spec)
    writable = [mount["mountPath"] for mount in container()["volumeMounts"] if not mount.get("readOnly")]
    assert writable == ["/var/lib/gateway"]
    assert {mount["name"] for mount in container()["volumeMounts"]} == {volume["name"] for volume in spec["volumes"]}


def test_probes_ask_what_the_admin_address_answers() -> None:
    probes = {name: container()[f"{name}Probe"]["httpGet"] for name in ("startup", "liveness", "readiness")}
    assert {name: probe["path"] for name, probe in probes.items()} == {
        "startup": "/livez",
        "liveness": "/livez",
        "readiness": "/readyz",
    }
    assert {probe["port"] for probe in probes.values()} == {"admin"}


def test_selectors_find_the_pods_and_ports_are_the_configs() -> None:
    labels = pod()["metadata"]["labels"]
    deployment, service = manifests()["Deployment"]["spec"], manifests()["Service"]["spec"]
    assert deployment["selector"]["matchLabels"] == labels == service["selector"]
    assert manifests()["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"] == labels
    assert manifests()["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"] == labels
    ports = {port["name"]: port["containerPort"] for port in container()["ports"]}
    config = yaml.safe_load(manifests()["ConfigMap"]["data"]["routes.yaml"])
    assert config["listeners"]["edge"]["address"] == f"0.0.0.0:{ports['https']}"
    assert config["admin"]["address"] == f"0.0.0.0:{ports['admin']}"
    assert pod()["metadata"]["annotations"]["prometheus.io/port"] == str(ports["admin"])
    assert [port["targetPort"] for port in service["ports"]] == ["https"]  # the admin port is no service


def test_one_replica_at_a_time_goes_and_each_has_time_to_drain() -> None:
    from gateway.control.supervisor import STOP_SECONDS

    deployment = manifests()["Deployment"]["spec"]
    assert deployment["replicas"] >= 2
    assert deployment["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
    assert manifests()["PodDisruptionBudget"]["spec"]["maxUnavailable"] == 1
    pause = container()["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert pod()["spec"]["terminationGracePeriodSeconds"] > pause + STOP_SECONDS


def test_the_network_lets_in_callers_and_monitoring_and_out_what_is_named() -> None:
    policy = manifests()["NetworkPolicy"]["spec"]
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    callers, monitoring = policy["ingress"]
    assert [port["port"] for port in callers["ports"]] == ["https"]
    assert [port["port"] for port in monitoring["ports"]] == ["admin"]
    assert monitoring["from"]
    assert all(rule["to"] and rule["ports"] for rule in policy["egress"])


def test_the_config_map_holds_a_valid_config(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["pki", "init", str(tmp_path / "certs")]) == 0
    text = manifests()["ConfigMap"]["data"]["routes.yaml"]
    (tmp_path / "routes.yaml").write_text(text.replace("/certs/", f"{tmp_path}/certs/"))
    capsys.readouterr()
    assert main(["check", "--strict", "-c", str(tmp_path / "routes.yaml")]) == 0, capsys.readouterr().out
