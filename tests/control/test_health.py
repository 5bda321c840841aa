"""What became of files, said once in each place where an operator looks."""

import logging

import pytest

from gateway.control.health import FileHealth
from gateway.kernel.cells import Metrics


def test_a_trouble_stands_until_it_is_mended(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    metrics = Metrics()
    health = FileHealth(metrics)
    health.kept("listener", "edge", "edge.pem: No such file or directory")
    assert health.troubles == {("listener", "edge"): "edge.pem: No such file or directory"}
    health.took("listener", "edge")
    assert health.troubles == {}
    assert dict(metrics.certificate_reloads.rows()) == {
        ("listener", "edge", "failure"): 1.0,
        ("listener", "edge", "success"): 1.0,
    }
    assert [record.levelname for record in caplog.records] == ["ERROR", "INFO"]


def test_a_quiet_one_only_counts(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    health = FileHealth(Metrics())
    health.loud = False
    health.kept("bundle", "cluster.local", "why")
    health.took("bundle", "cluster.local")
    assert caplog.records == []


def test_what_the_config_has_no_longer_is_forgotten() -> None:
    metrics = Metrics()
    health = FileHealth(metrics)
    for name in ("edge", "gone"):
        health.kept("listener", name, "why")
        health.ends("listener", name, 5.0)
    health.forget({("listener", "edge")})
    assert set(health.troubles) == {("listener", "edge")}
    assert metrics.certificate_expiry.rows() == [(("listener", "edge"), 5.0)]
