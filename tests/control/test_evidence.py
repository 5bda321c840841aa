"""Evidence that is made up, or real and offline."""

import json
import time
from pathlib import Path

import pytest

from gateway.config.schema import Bundle, Config, TrustDomain
from gateway.control import evidence
from gateway.control.evidence import CannotJudge, TokenEvidence
from gateway.model.principal import User
from gateway.model.reason import Reason
from gateway.model.refused import Refused
from gateway.stages.authenticate.credentials import sent_token
from gateway.testing.ca import Authority
from gateway.testing.issuer import Issuer, tampered
from tests.control.policy_config import ISSUER, config

ROUTES = """
- name: r
  match: {paths: [/r]}
  upstream: api
  requires: {audiences: [inventory]}
  allow: [{from: {request_principals: ["*"]}}]
- {name: s, match: {paths: [/s]}, upstream: api, allow: [{from: {request_principals: ["*"]}}]}
"""
TWO = f"""
corp: {{issuer: "{ISSUER}", audiences: [api-service]}}
partner: {{issuer: "https://partner.example", audiences: ["*"]}}
"""
NOW = time.time()


async def proved(token: TokenEvidence) -> User:
    assert token.verifier is not None
    return (await token.verifier.verify(sent_token(token.sent or ""), NOW)).user


async def test_what_a_made_up_token_leaves_out_is_filled_in(tmp_path: Path) -> None:
    loaded = config(tmp_path, routes=ROUTES)
    user = await proved(evidence.assumed_token(loaded, loaded.routes[1], {"sub": "alice"}, None, NOW))
    assert (user.issuer, user.issuer_name, user.subject) == (ISSUER, "corp", "alice")
    assert user.claims["aud"] == "api-service"
    assert user.claims["exp"] == int(NOW) + 300
    there = evidence.assumed_token(loaded, loaded.routes[0], {"sub": "alice"}, None, NOW)
    assert (await proved(there)).claims["aud"] == "inventory"  # the first audience that the route accepts
    given = evidence.assumed_token(loaded, loaded.routes[1], {"sub": "alice", "aud": "x", "exp": NOW - 1000}, None, NOW)
    assert given.presented is not None
    assert given.presented.claims["aud"] == "x"


async def test_a_made_up_token_belongs_to_an_issuer_of_the_file(tmp_path: Path) -> None:
    loaded = config(tmp_path, routes=ROUTES, issuers=TWO)

    async def issuer_of(claims: dict[str, str], named: str | None = None) -> str:
        return (await proved(evidence.assumed_token(loaded, None, {"sub": "a", **claims}, named, NOW))).issuer_name

    assert await issuer_of({"iss": "https://partner.example"}) == "partner"
    assert await issuer_of({}, "corp") == "corp"
    for claims, named in (({}, None), ({"iss": "https://other.example"}, None), ({}, "nobody")):
        with pytest.raises(CannotJudge, match="issuer"):
            await issuer_of(claims, named)
    with pytest.raises(Refused) as refused:
        await issuer_of({"iss": ISSUER}, "partner")
    assert refused.value.reason is Reason.TOKEN_ISSUER


async def test_a_real_token_is_really_verified(tmp_path: Path) -> None:
    issuer = Issuer(ISSUER)
    keys = tmp_path / "jwks.json"
    keys.write_text(json.dumps(issuer.jwks()), encoding="utf-8")
    loaded = config(tmp_path, routes=ROUTES)
    token = issuer.token("alice")
    assert (await proved(evidence.real_token(loaded, token, keys))).subject == "alice"
    with pytest.raises(Refused) as refused:
        await proved(evidence.real_token(loaded, tampered(token, sub="root"), keys))
    assert refused.value.reason is Reason.TOKEN_SIGNATURE
    with pytest.raises(CannotJudge, match="--jwks FILE"):
        evidence.real_token(loaded, token, None)
    with pytest.raises(CannotJudge, match="cannot read"):
        evidence.real_token(loaded, token, tmp_path / "absent.json")
    keys.write_text("{}", encoding="utf-8")
    with pytest.raises(CannotJudge, match="keys"):
        evidence.real_token(loaded, token, keys)
    with pytest.raises(Refused) as refused:
        await proved(evidence.real_token(loaded, Issuer("https://other.example").token(), None))
    assert refused.value.reason is Reason.TOKEN_ISSUER


def test_a_made_up_client_stands_in_a_configured_trust_domain(tmp_path: Path) -> None:
    loaded = config(tmp_path, routes=ROUTES)
    known = evidence.assumed_certificate(loaded, "spiffe://cluster.local/ns/a/sa/b")
    assert known.judge.judge(known.sent, NOW).id == "spiffe://cluster.local/ns/a/sa/b"
    assert not known.closed
    for spiffe_id, reason, closed in (
        ("spiffe://evil.example/x", Reason.CERTIFICATE_UNTRUSTED, True),
        ("spiffe://cluster.local/../x", Reason.SPIFFE_ID_INVALID, False),
    ):
        unknown = evidence.assumed_certificate(loaded, spiffe_id)
        with pytest.raises(Refused) as refused:
            unknown.judge.judge(unknown.sent, NOW)
        assert (refused.value.reason, unknown.closed) == (reason, closed)


@pytest.fixture
def several(tmp_path: Path) -> tuple[Config, Authority, Authority]:
    cluster, partner = Authority("cluster.local"), Authority("partner.example")
    cluster.write(tmp_path, "cluster-ca")
    partner.write(tmp_path, "partner-ca")
    cluster.issue(dns=["api.example.com"]).write(tmp_path, "edge")
    more = "client_authorities:\n  partner: {bundle: partner-ca.pem, names: ['*.partner.example']}\n"
    return config(tmp_path, routes=ROUTES, more=more), cluster, partner


def test_a_made_up_name_that_nobody_may_vouch_for_is_refused_behind_the_handshake(
    tmp_path: Path, several: tuple[Config, Authority, Authority]
) -> None:
    for loaded, closed in ((several[0], False), (config(tmp_path, routes=ROUTES), True)):
        given = evidence.assumed_certificate(loaded, "dns:svc.other.example")
        with pytest.raises(Refused) as refused:
            given.judge.judge(given.sent, NOW)
        assert (refused.value.reason, given.closed) == (Reason.CERTIFICATE_UNTRUSTED, closed)


def test_a_real_certificate_is_really_judged(tmp_path: Path, several: tuple[Config, Authority, Authority]) -> None:
    loaded, cluster, partner = several
    now = time.time()
    cases = (
        (cluster.issue(uri="spiffe://cluster.local/ns/a/sa/b"), None, False),
        (partner.issue(uri="spiffe://cluster.local/ns/a/sa/b"), Reason.CERTIFICATE_UNTRUSTED, False),
        (Authority("cluster.local").issue(uri="spiffe://cluster.local/x"), Reason.CERTIFICATE_UNTRUSTED, True),
    )
    for issued, reason, closed in cases:
        given = evidence.real_certificate(loaded, issued.write(tmp_path, "client").certificate, now)
        assert given.closed is closed
        if reason is None:
            assert given.judge.judge(given.sent, now).id == "spiffe://cluster.local/ns/a/sa/b"
            continue
        with pytest.raises(Refused) as refused:
            given.judge.judge(given.sent, now)
        assert refused.value.reason is reason


def test_a_certificate_whose_bundle_lies_in_no_file_cannot_be_judged_here(tmp_path: Path) -> None:
    cluster = Authority("cluster.local")
    loaded = config(tmp_path, routes=ROUTES)
    bundle = Bundle(url="https://127.0.0.1:1/b", profile="https_web")
    far = loaded.replace(trust_domains={"far.example": TrustDomain(name="far.example", bundle=bundle)})
    file = cluster.issue(uri="spiffe://far.example/a").write(tmp_path, "client").certificate
    with pytest.raises(CannotJudge, match=r"the bundle of far\.example lies in no file"):
        evidence.real_certificate(far, file, time.time())
    assert evidence.assumed_certificate(far, "spiffe://far.example/a").presented is not None


def test_an_expired_certificate_ends_in_the_handshake(
    tmp_path: Path, several: tuple[Config, Authority, Authority]
) -> None:
    loaded, cluster, _ = several
    later = time.time() + 5 * 86400
    file = cluster.issue(uri="spiffe://cluster.local/ns/a/sa/b").write(tmp_path, "client").certificate
    given = evidence.real_certificate(loaded, file, later)
    assert given.closed
    with pytest.raises(Refused) as refused:
        given.judge.judge(given.sent, later)
    assert refused.value.reason is Reason.CERTIFICATE_EXPIRED


def test_a_file_without_a_certificate_says_so(tmp_path: Path) -> None:
    loaded = config(tmp_path, routes=ROUTES)
    with pytest.raises(CannotJudge, match="cannot read"):
        evidence.real_certificate(loaded, tmp_path / "absent.pem", NOW)
    with pytest.raises(CannotJudge, match="PEM"):
        evidence.real_certificate(loaded, tmp_path / "edge.key", NOW)


def test_without_issuers_nobody_verifies(tmp_path: Path) -> None:
    routes = "- {name: r, match: {paths: [/r]}, public: true, respond: {}}"
    loaded = config(tmp_path, routes=routes)
    bare = loaded.replace(issuers={})
    assert evidence.no_token(bare).verifier is None
    with pytest.raises(CannotJudge, match="no issuers"):
        evidence.assumed_token(bare, None, {"sub": "a"}, None, NOW)


async def test_only_its_issuer_can_read_an_opaque_token(tmp_path: Path) -> None:
    asking = f'corp: {{issuer: "{ISSUER}", audiences: [a], introspection: {{client_id: g, client_secret: s}}}}'
    loaded = config(tmp_path, routes=ROUTES, issuers=asking)
    with pytest.raises(CannotJudge, match="opaque token"):
        evidence.real_token(loaded, "opaque", None)
    with pytest.raises(Refused) as refused:
        await proved(evidence.real_token(config(tmp_path, routes=ROUTES), "opaque", None))
    assert refused.value.reason is Reason.TOKEN_MALFORMED


async def test_where_any_audience_will_do_a_made_up_token_has_one(tmp_path: Path) -> None:
    loaded = config(tmp_path, routes=ROUTES, issuers=TWO)
    token = evidence.assumed_token(loaded, None, {"sub": "a"}, "partner", NOW)
    assert token.verifier is not None
    assert (await token.verifier.verify(sent_token(""), NOW)).audiences
