"""What is exported is what contract section 7 promises, and what was added to it."""

import json

import pytest

from gateway.kernel.cells import Metrics
from gateway.kernel.cells.exposition import expose
from gateway.kernel.cells.family import LabelValues

CONTRACT = """requests_total{route,method,status}, request_duration_seconds{route}, requests_in_flight,
decisions_total{route,effect,reason}, shadow_decisions_total{route,kind,effect},
authentications_total{method,result,reason}, rate_limit_decisions_total{limit,result}, rate_limit_store_up,
tls_handshakes_total{listener,result,reason}, downstream_connections{listener},
certificate_expiry_timestamp_seconds{role,name}, jwks_age_seconds{issuer}, jwks_refresh_total{issuer,result},
upstream_requests_total{upstream,endpoint,result}, upstream_connections{upstream,state},
upstream_ejected{upstream,endpoint}, config_reloads_total{result}, config_last_reload_success_timestamp_seconds,
config_info{digest}, build_info{version,python}, audit_records_total, audit_lag_seconds,
streams_terminated_total{reason}"""
# The contract may grow: docs/reference/metrics.md
ADDED = {
    "gateway_audit_sink_records_total": {"sink", "result"},
    "gateway_audit_sink_up": {"sink"},
    "gateway_certificate_reloads_total": {"role", "name", "result"},
    "gateway_expression_errors_total": {"rule"},
    "gateway_ocsp_requests_total": {"authority", "result"},
    "gateway_token_exchanges_total": {"upstream", "result"},
    "gateway_security_events_total": {"issuer", "kind", "result"},
    "gateway_streams_open": {"kind"},
    "gateway_telemetry_requests_total": {"result"},
    "gateway_telemetry_up": {"signal"},
    "gateway_tls_resumptions_total": {"listener"},
    "gateway_upstream_healthy": {"upstream", "endpoint"},
    "gateway_upstream_retries_total": {"upstream", "kind"},
}


def contract() -> dict[str, set[str]]:
    """Every metric's labels, read from the contract's own words."""
    metrics: dict[str, set[str]] = {}
    for part in CONTRACT.replace("\n", " ").replace("}, ", "};").split(";"):
        for name in part.split(", ") if "{" not in part else [*part[: part.index("{")].split(", ")]:
            metrics[f"gateway_{name.strip()}"] = set()
        if "{" in part:
            last = f"gateway_{part[: part.index('{')].split(', ')[-1].strip()}"
            metrics[last] = set(part[part.index("{") + 1 : part.index("}")].split(","))
    return metrics


def exported(metrics: Metrics) -> dict[str, set[str]]:
    """Every exported metric's labels, read from the text as Prometheus reads it."""
    from prometheus_client.parser import text_string_to_metric_families

    text = expose(metrics, "")[1].decode()
    found: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(text):
        name = f"{family.name}_total" if family.type == "counter" else family.name
        found[name] = {label for sample in family.samples for label in sample.labels} - {"le"}
    return found


def with_a_cell_each() -> Metrics:
    metrics = Metrics()
    for family in metrics.families():
        if family.label_names:
            family.labels(*[f"a-{label}" for label in family.label_names])
    return metrics


def test_names_and_labels_are_those_of_the_contract() -> None:
    assert len(contract()) == 23
    assert exported(with_a_cell_each()) == contract() | ADDED


def test_a_metric_without_a_value_yet_is_already_named() -> None:
    assert exported(Metrics()).keys() == contract().keys() | ADDED.keys()


def test_workers_become_one_over_json() -> None:
    merged, seen = Metrics(), set[tuple[str, LabelValues]]()
    for reloads, store in ((2, 1), (2, 0)):
        worker = Metrics()
        worker.requests.labels("r", "GET", "200").inc(5)
        worker.request_duration.labels("r").observe(0.3)
        worker.config_reloads.labels("success").inc(reloads)
        worker.rate_limit_store_up.set(store)
        worker.requests_in_flight.set(3)
        merged.absorb(json.loads(json.dumps(worker.dump())), seen)
    assert merged.requests.labels("r", "GET", "200").value == 10
    assert sum(merged.request_duration.labels("r").counts) == 2
    assert merged.config_reloads.labels("success").value == 2  # one reload, whoever did it
    assert merged.rate_limit_store_up.value == 0  # up only where it is up for all
    assert merged.requests_in_flight.value == 6
    with pytest.raises(KeyError):
        merged.absorb({"another_total": []}, seen)
