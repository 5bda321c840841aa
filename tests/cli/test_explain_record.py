"""A recorded request is told as any other, with what its record leaves open."""

import asyncio
from pathlib import Path

import pytest

from gateway.cli.explain_record import explain_record
from gateway.cli.output import CannotTell
from gateway.model.reason import Effect
from tests.control.audit_log import Ask, write_log
from tests.control.policy_config import config
from tests.control.test_replay import BEFORE, OPS


def test_the_request_is_made_from_its_record(tmp_path: Path) -> None:
    loaded = config(tmp_path, routes=BEFORE)
    canary = Ask("/api/y", "PUT", user="carol", headers=(("x-canary", "1"),), ip="10.1.2.3")
    log = asyncio.run(write_log(loaded, canary, Ask(client=OPS, method="DELETE")))
    report = asyncio.run(explain_record(loaded, "r0", [log]))
    assert (report.method, report.url) == ("PUT", "https://api.example.com/api/y")
    assert (report.verdict.effect, report.verdict.rule) == (Effect.ALLOW, "canary")
    assert str(report.verdict.trace.connection.peer_ip) == "10.1.2.3"
    assert report.verdict.trace.time == 1_800_000_000.0
    other = asyncio.run(explain_record(loaded, "r1", [log]))
    assert (other.verdict.rule, other.verdict.principal is not None) == ("ops", True)
    with pytest.raises(CannotTell, match="no decision of a request r9"):
        asyncio.run(explain_record(loaded, "r9", [log]))
