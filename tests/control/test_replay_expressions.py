"""Replay over CEL and postures: decided where the records show what was read, undecidable where they do not."""

from pathlib import Path

import pytest

from tests.control.audit_log import Ask
from tests.control.policy_config import config
from tests.control.test_replay import again

DEVICES = """
posture:
  managed: {source: {file: devices.yaml}, device: claims.device_id, require: [device.encrypted]}
"""
ROUTES = """
- name: api
  match: {paths: ["/api/*"]}
  upstream: api
  requires: {posture: managed}
  allow: [{name: high, when: ['claims.level >= 3 && request.headers["x-tenant"] == claims.tenant']}]
"""
ALICE = Ask(
    user="alice",
    claims={"level": 3, "tenant": "acme", "device_id": "laptop-1"},
    headers=(("x-tenant", "acme"),),
)


def folders(tmp_path: Path, facts: str = "{encrypted: true, os: 1, observed_at: 1800000000}") -> tuple[Path, Path]:
    after = tmp_path / "after"
    after.mkdir()
    for folder in (tmp_path, after):
        (folder / "devices.yaml").write_text(f"laptop-1: {facts}\n")
    return tmp_path, after


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("name: high", "name: higher", {}),
        ("level >= 3", "level >= 4", {"r0": "allow->deny no_rule_allows"}),
        ("claims.level", "claims.rank", {"r0": "allow->?"}),
        ('"x-tenant"', '"x-other"', {"r0": "allow->?"}),
        ("claims.level >= 3", 'request.method == "GET"', {}),
        ("claims.level >= 3", 'request.query == "a"', {"r0": "allow->?"}),
        ("claims.level >= 3", "device.encrypted", {}),
        ("claims.level >= 3", "device.os == 1", {"r0": "allow->?"}),
    ],
)
async def test_an_expression_is_judged_again_by_what_was_recorded(
    tmp_path: Path, old: str, new: str, told: dict[str, str]
) -> None:
    first, second = folders(tmp_path)
    before = config(first, routes=ROUTES, more=DEVICES)
    after = config(second, routes=ROUTES.replace(old, new), more=DEVICES)
    found = await again(before, after, ALICE)
    assert {key: "allow->?" if value.startswith("?") else value for key, value in found.items()} == told


async def test_a_posture_is_judged_again_by_the_recorded_facts(tmp_path: Path) -> None:
    first, second = folders(tmp_path)
    before = config(first, routes=ROUTES, more=DEVICES)
    stricter = config(second, routes=ROUTES, more=DEVICES.replace("device.encrypted", "'!device.encrypted'"))
    assert await again(before, stricter, ALICE) == {"r0": "allow->deny posture_failed"}
    unknown = config(second, routes=ROUTES, more=DEVICES.replace("device.encrypted", "device.firewall"))
    assert await again(before, unknown, ALICE) == {"r0": "? the fact firewall about the device is not recorded"}
    shadow = config(second, routes=ROUTES, more=DEVICES.replace("require", "mode: shadow, require"))
    assert await again(before, shadow, ALICE) == {}
