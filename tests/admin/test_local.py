"""One process answers for itself with what control gave it."""

from gateway.admin import AdminCall, Check
from tests.admin.scene import Gateway


async def test_what_control_gave_is_asked_for_each_time() -> None:
    gateway = Gateway()
    source = gateway.source()
    assert [check.name for check in await source.readiness()] == ["config", "audit"]
    gateway.checks = [Check("audit", ok=False)]
    assert await source.readiness() == [Check("audit", ok=False)]
    assert await source.metrics() is gateway.metrics
    assert await source.status() == {"workers": [{"version": "0.1.0", "config": {"digest": "c0ffee"}}]}


async def test_what_is_done_is_done_once() -> None:
    gateway = Gateway()
    source = gateway.source()
    assert (await source.reload()).ok
    await source.drain()
    await source.record(AdminCall("drain", 200, "unix"))
    assert (gateway.reloads, gateway.drains, gateway.calls) == (1, 1, [AdminCall("drain", 200, "unix")])
