"""Cells as text that Prometheus reads."""

import json
import subprocess
import sys

from gateway.kernel.cells import Metrics
from gateway.kernel.cells.exposition import expose


def test_openmetrics_is_spoken_where_it_is_asked_for() -> None:
    content_type, body = expose(Metrics(), "application/openmetrics-text; version=1.0.0")
    assert content_type.startswith("application/openmetrics-text")
    assert body.endswith(b"# EOF\n")


def test_a_histogram_is_cumulative_and_ends_at_infinity() -> None:
    metrics = Metrics()
    for value in (0.0005, 0.02, 99.0):
        metrics.request_duration.labels("r").observe(value)
    text = expose(metrics, "")[1].decode()
    assert 'gateway_request_duration_seconds_bucket{le="0.001",route="r"} 1.0' in text
    assert 'gateway_request_duration_seconds_bucket{le="0.025",route="r"} 2.0' in text
    assert 'gateway_request_duration_seconds_bucket{le="30.0",route="r"} 2.0' in text
    assert 'gateway_request_duration_seconds_bucket{le="+Inf",route="r"} 3.0' in text
    assert 'gateway_request_duration_seconds_count{route="r"} 3.0' in text


def test_a_hostile_label_value_stays_one_value() -> None:
    metrics = Metrics()
    metrics.config_info.labels('a"}\n\\evil 1').set(1)
    assert 'gateway_config_info{digest="a\\"}\\n\\\\evil 1"} 1.0\n' in expose(metrics, "")[1].decode()


def test_prometheus_client_is_not_imported_before_the_first_scrape() -> None:
    program = "import sys, gateway.kernel.cells.exposition; sys.exit('prometheus_client' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0


def test_exemplars_name_the_trace_in_open_metrics_and_are_left_out_of_prometheus_text() -> None:
    metrics, other = Metrics(), Metrics()
    for one, trace, at in ((metrics, "aa", 5.0), (other, "bb", 7.0)):
        cell = one.request_duration.labels("api")
        cell.observe(0.02)
        cell.exemplify(0.02, trace * 16, at)
    metrics.absorb_exemplars(json.loads(json.dumps(other.exemplars())))
    told = expose(metrics, "application/openmetrics-text")[1].decode()
    (line,) = [line for line in told.splitlines() if " # {" in line]
    assert line.startswith('gateway_request_duration_seconds_bucket{le="0.025",route="api"} 1.0 # ')
    assert line.endswith(f'{{trace_id="{"bb" * 16}"}} 0.02 7.0')  # the later one of two workers
    assert "trace_id" not in expose(metrics, "")[1].decode()
