"""How long an answer may be remembered."""

from pathlib import Path

import pytest

from gateway.config.grants import with_grants
from gateway.control.moments import moments
from tests.control.policy_config import config
from tests.facts import NOW
from tests.granting import Signer, write_grants

ALLOW = "allow: [{from: {request_principals: ['*']}}]"


@pytest.mark.parametrize(
    ("asked", "always"),
    [
        pytest.param(ALLOW, True, id="nothing-of-time"),
        pytest.param("allow: [{when: ['request.path == \"/a\"']}]", True, id="another-expression"),
        pytest.param("allow: [{when: ['request.time.getHours() < 20']}]", False, id="request.time"),
        pytest.param(ALLOW + ", requires: {acr: [phr]}", True, id="acr"),
        pytest.param(ALLOW + ", requires: {max_auth_age: 15m}", False, id="max_auth_age"),
        pytest.param(ALLOW + ", requires: {posture: p}", False, id="posture"),
        pytest.param(ALLOW + ", classification: c", False, id="of-its-class"),
    ],
)
def test_what_goes_by_time(tmp_path: Path, asked: str, always: bool) -> None:
    more = "posture: {p: {source: {claim: device}}}\nclasses: {c: {requires: {max_auth_age: 1h}}}\n"
    loaded = config(tmp_path, routes=f"- {{name: a, match: {{paths: [/a]}}, upstream: api, {asked}}}", more=more)
    moment = moments(loaded)
    assert (moment(0.0) == moment(NOW) == 0) is always
    assert (moment(NOW) is None) is not always


def test_grants_turn_at_their_ends(tmp_path: Path) -> None:
    alice = Signer(tmp_path, "alice")
    write_grants(tmp_path, alice.grant(NOW, NOW + 600), alice.grant(NOW + 300, NOW + 900, name="g2"))
    more = "grants: {signers: {alice: alice.pub}}\n"
    loaded = with_grants(
        config(tmp_path, routes=f"- {{name: a, match: {{paths: [/a]}}, upstream: api, {ALLOW}}}", more=more)
    )
    moment = moments(loaded)
    seconds = (-61, -60, 0, 239, 240, 599, 600, 899, 900)
    assert [moment(NOW + each) for each in seconds] == [0, 1, 1, 1, 2, 2, 3, 3, 4]
