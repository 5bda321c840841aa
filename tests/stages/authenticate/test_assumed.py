"""Evidence taken as verified: only the proof is made up."""

import hashlib
import time
from typing import Any

import pytest

from gateway.model.reason import Reason
from gateway.stages.authenticate.assumed import AssumedCertificate, AssumedToken
from gateway.testing.ca import Authority
from gateway.testing.issuer import Issuer, base64url
from tests.stages.authenticate.asking import reason, request, stage, trusted

WEB = Authority("cluster.local").issue(uri="spiffe://cluster.local/ns/default/sa/web")
ISSUER = Issuer()
NOW = time.time()


def claims(**changes: Any) -> dict[str, Any]:
    held = {"iss": ISSUER.url, "sub": "alice", "aud": "api-service", "exp": NOW + 300}
    return {name: value for name, value in {**held, **changes}.items() if value is not None}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        pytest.param({}, None, id="right"),
        pytest.param({"exp": NOW - 3600}, Reason.TOKEN_EXPIRED, id="expired"),
        pytest.param({"nbf": NOW + 3600}, Reason.TOKEN_NOT_YET_VALID, id="not-yet"),
        pytest.param({"aud": "x"}, Reason.TOKEN_AUDIENCE, id="audience"),
        pytest.param({"iss": "x"}, Reason.TOKEN_ISSUER, id="issuer"),
        pytest.param({"sub": None}, Reason.TOKEN_MALFORMED, id="no-sub"),
        pytest.param({"at_hash": "x"}, Reason.TOKEN_TYPE, id="id-token"),
        pytest.param({"cnf": {"jkt": "x"}}, Reason.BINDING_MISSING, id="bound"),
    ],
)
async def test_assumed_claims_are_judged_like_signed_ones(changes: dict[str, Any], expected: Reason | None) -> None:
    judged = stage(tokens=AssumedToken(trusted(ISSUER), claims(**changes)))
    assert await reason(judged, request("Bearer assumed", now=NOW)) is expected


@pytest.mark.parametrize(
    ("identity", "expected"),
    [
        pytest.param("spiffe://cluster.local/ns/default/sa/web", None, id="ours"),
        pytest.param("spiffe://other.example/a", Reason.CERTIFICATE_UNTRUSTED, id="no-bundle"),
        pytest.param("spiffe://cluster.local", Reason.SPIFFE_ID_INVALID, id="no-path"),
        pytest.param("cluster.local/web", Reason.SPIFFE_ID_INVALID, id="no-id"),
    ],
)
async def test_assumed_ids_are_judged_like_proved_ones(identity: str, expected: Reason | None) -> None:
    judged = stage(judge=AssumedCertificate(identity, {"cluster.local"}))
    assert await reason(judged, request(chain=(b"assumed",), now=NOW)) is expected


async def test_J34_an_assumed_certificate_is_none_that_a_token_is_bound_to() -> None:
    bound = claims(cnf={"x5t#S256": base64url(hashlib.sha256(WEB.der).digest())})
    judged = stage(
        tokens=AssumedToken(trusted(ISSUER), bound),
        judge=AssumedCertificate("spiffe://cluster.local/a", {"cluster.local"}),
    )
    assert await reason(judged, request("Bearer assumed", (b"assumed",), now=NOW)) is Reason.BINDING_MISMATCH
