"""Hostile DPoP proofs (security.md J35), each beside one that differs only in what is attacked and is accepted."""

import json
import time
from typing import Any

import pytest
from joserfc.jwk import OctKey, RSAKey

from gateway.kernel.x509.identity import prove_client
from gateway.model.principal import Principal
from gateway.model.reason import Reason
from gateway.model.refused import Refused
from gateway.model.request import RequestContext, RequestHead
from gateway.stages.authenticate.bindings.dpop import AHEAD, Proofs
from gateway.stages.authenticate.bindings.nonces import PERIOD, Nonces
from gateway.stages.authenticate.bindings.replays import MemoryReplays
from gateway.testing.ca import Authority
from gateway.testing.clock import Clock
from gateway.testing.dpop import Holder
from gateway.testing.issuer import Issuer, base64url
from tests.stages.authenticate.asking import NOW, ask, reason, request, stage, trust, trusted

CLOCK = Clock(NOW)
ISSUER = Issuer("https://auth.example.com", clock=CLOCK)
HOLDER = Holder(clock=CLOCK)
THIEF = Holder(clock=CLOCK)
RSA, ED = Holder("RS256", clock=CLOCK), Holder("Ed25519", clock=CLOCK)
TOKEN = ISSUER.token(cnf={"jkt": HOLDER.thumbprint})
OTHER_TOKEN = ISSUER.token("bob", cnf={"jkt": HOLDER.thumbprint})
UNBOUND = ISSUER.token()
URL = "https://api.example.com/api"
INVALID, MISSING, MISMATCH = Reason.DPOP_INVALID, Reason.BINDING_MISSING, Reason.BINDING_MISMATCH


def sent(
    token: str = TOKEN,
    *proofs: str,
    scheme: str = "DPoP",
    target: bytes = b"/api",
    method: str = "GET",
    authority: str = "api.example.com",
    now: float = NOW,
    chain: tuple[bytes, ...] = (),
) -> RequestContext:
    made = request(f"{scheme} {token}", chain, now=now, headers={"dpop": proofs} if proofs else None)
    head = RequestHead(method, target, "1.1", [], None, False)
    for name, value in {"head": head, "method": method, "authority": authority}.items():
        object.__setattr__(made, name, value)
    return made


def proof(url: str = URL, *, method: str = "GET", token: str = TOKEN, holder: Holder = HOLDER, **changes: Any) -> str:
    return holder.proof(method, url, token, **changes)


def with_private_half() -> str:
    return proof(headers={"jwk": HOLDER.key.jwk.as_dict(private=True)})


def symmetric(alg: str) -> str:
    key = OctKey.import_key(b"x" * 32)
    return proof(headers={"alg": alg, "jwk": key.as_dict()}, sign=lambda message: b"x" * 32)


def weak_rsa() -> str:
    key = RSAKey.generate_key(2048)
    return proof(headers={"alg": "RS256", "jwk": {**key.as_dict(private=False), "e": "AQ"}}, sign=lambda _: b"x" * 256)


PROOFS: dict[str, tuple[Reason | None, str]] = {
    "J35-accepts-a-proof": (None, proof()),
    "J35-no-typ": (INVALID, proof(headers={"typ": None})),
    "J35-typ-jwt": (INVALID, proof(headers={"typ": "JWT"})),
    "J35-typ-at+jwt": (INVALID, proof(headers={"typ": "at+jwt"})),
    "J35-accepts-typ-in-other-case": (None, proof(headers={"typ": "DPoP+JWT"})),
    "J35-alg-none": (INVALID, proof(headers={"alg": "none"}, sign=lambda _: b"")),
    "J35-alg-nOnE": (INVALID, proof(headers={"alg": "nOnE"}, sign=lambda _: b"")),
    "J35-alg-hs256-symmetric-jwk": (INVALID, symmetric("HS256")),
    "J35-alg-es256-symmetric-jwk": (INVALID, symmetric("ES256")),
    "J35-alg-of-another-family": (INVALID, proof(headers={"alg": "RS256"})),
    "J35-alg-outside-the-list": (INVALID, proof(holder=RSA, headers={"alg": "PS512"})),
    "J35-no-alg": (INVALID, proof(headers={"alg": None})),
    "J35-no-jwk": (INVALID, proof(headers={"jwk": None})),
    "J35-jwk-is-a-list": (INVALID, proof(headers={"jwk": [HOLDER.public]})),
    "J35-jwk-is-text": (INVALID, proof(headers={"jwk": json.dumps(HOLDER.public)})),
    "J35-jwk-with-its-private-half": (INVALID, with_private_half()),
    "J35-jwk-off-the-curve": (INVALID, proof(headers={"jwk": {**HOLDER.public, "x": HOLDER.public["y"]}})),
    "J35-jwk-weak-rsa": (INVALID, weak_rsa()),
    "J35-jwk-for-encryption": (INVALID, proof(headers={"jwk": {**HOLDER.public, "use": "enc"}})),
    "J35-kid-for-a-jwk": (INVALID, proof(headers={"jwk": None, "kid": ISSUER.keys[0].kid})),
    "J35-no-signature": (INVALID, proof(sign=lambda _: b"")),
    "J35-signed-by-another-key": (INVALID, proof(sign=THIEF.key.sign)),
    "J35-crit": (INVALID, proof(headers={"crit": ["x"], "x": 1})),
    "J35-b64-false": (INVALID, proof(headers={"b64": False})),
    "J35-two-segments": (INVALID, proof().rpartition(".")[0]),
    "J35-padded": (INVALID, proof() + "=="),
    "J35-space-after-it": (INVALID, proof() + " "),
    "J35-two-in-one-field": (INVALID, f"{proof()}, {proof()}"),
    "J35-empty": (INVALID, ""),
    "J35-over-8-kB": (INVALID, proof(pad="x" * 8192)),
    "J35-accepts-unknown-members": (None, proof(headers={"xyz": 1}, xyz=1)),
    "J35-the-token-itself": (INVALID, TOKEN),
    "J35-thiefs-own-key": (MISMATCH, proof(holder=THIEF)),
    "J35-no-htm": (INVALID, proof(htm=None)),
    "J35-htm-of-another-method": (INVALID, proof(method="POST")),
    "J35-htm-in-lower-case": (INVALID, proof(method="get")),
    "J35-htm-is-a-list": (INVALID, proof(htm=["GET"])),
    "J35-no-htu": (INVALID, proof(htu=None)),
    "J35-htu-is-a-list": (INVALID, proof(htu=[URL])),
    "J35-accepts-scheme-and-host-in-upper-case": (None, proof("HTTPS://API.example.com/api")),
    "J35-accepts-the-default-port": (None, proof("https://api.example.com:443/api")),
    "J35-accepts-an-encoded-letter": (None, proof("https://api.example.com/%61pi")),
    "J35-accepts-dot-segments": (None, proof("https://api.example.com/x/../api")),
    "J35-htu-http": (INVALID, proof("http://api.example.com/api")),
    "J35-htu-other-scheme": (INVALID, proof("wss://api.example.com/api")),
    "J35-htu-without-scheme": (INVALID, proof("//api.example.com/api")),
    "J35-htu-other-host": (INVALID, proof("https://evil.example/api")),
    "J35-htu-longer-host": (INVALID, proof("https://api.example.com.evil.example/api")),
    "J35-htu-userinfo": (INVALID, proof("https://api.example.com@evil.example/api")),
    "J35-htu-userinfo-before-our-host": (INVALID, proof("https://evil@api.example.com/api")),
    "J35-htu-other-port": (INVALID, proof("https://api.example.com:8443/api")),
    "J35-htu-other-path": (INVALID, proof("https://api.example.com/api/2")),
    "J35-htu-path-in-other-case": (INVALID, proof("https://api.example.com/API")),
    "J35-htu-path-with-slash": (INVALID, proof("https://api.example.com/api/")),
    "J35-htu-only-the-host": (INVALID, proof("https://api.example.com")),
    "J35-htu-above-the-root": (INVALID, proof("https://api.example.com/../api")),
    "J35-htu-query": (INVALID, proof(f"{URL}?a=1")),
    "J35-htu-fragment": (INVALID, proof(f"{URL}#a")),
    "J35-htu-not-ascii": (INVALID, proof("https://api.example.com/apí")),
    "J35-no-iat": (INVALID, proof(iat=None)),
    "J35-iat-is-text": (INVALID, proof(iat=str(int(NOW)))),
    "J35-iat-is-true": (INVALID, proof(iat=True)),
    "J35-accepts-an-old-iat": (None, proof(iat=NOW - 60)),
    "J35-iat-too-old": (INVALID, proof(iat=NOW - 61)),
    "J35-accepts-iat-a-little-ahead": (None, proof(iat=NOW + AHEAD)),
    "J35-iat-in-the-future": (INVALID, proof(iat=NOW + AHEAD + 1)),
    "J35-exp-does-not-stretch-iat": (INVALID, proof(iat=NOW - 61, exp=NOW + 3600)),
    "J35-no-jti": (INVALID, proof(jti=None)),
    "J35-empty-jti": (INVALID, proof(jti="")),
    "J35-jti-is-a-number": (INVALID, proof(jti=1)),
    "J35-no-ath": (INVALID, proof(ath=None)),
    "J35-ath-of-another-token": (INVALID, proof(token=OTHER_TOKEN)),
    "J35-ath-is-hex": (INVALID, proof(ath="0" * 64)),
    "J35-ath-padded": (INVALID, proof(ath=base64url(b"x" * 32) + "=")),
}


@pytest.mark.parametrize(
    ("expected", "text"), [pytest.param(*case, id=identifier) for identifier, case in PROOFS.items()]
)
async def test_proof(expected: Reason | None, text: str) -> None:
    answer = await ask(stage([trusted(ISSUER)]), sent(TOKEN, text))
    found = answer.reason if isinstance(answer, Refused) else None
    assert found is expected, answer
    if isinstance(answer, Refused):
        for piece in text.split("."):
            assert len(piece) < 4 or piece not in f"{answer!r} {answer.detail}"


def by(holder: Holder, **header: str) -> RequestContext:
    token = ISSUER.token(cnf={"jkt": holder.thumbprint})
    return sent(token, proof(token=token, holder=holder, headers=header))


@pytest.mark.parametrize(
    ("ctx", "mode", "expected"),
    [
        pytest.param(sent(TOKEN, proof()), "required", None, id="J35-accepts-bound-where-required"),
        pytest.param(sent(TOKEN), "optional", MISSING, id="J35-no-proof"),
        pytest.param(sent(TOKEN, proof(), proof()), "optional", INVALID, id="J35-two-proofs"),
        pytest.param(sent(TOKEN, proof(), scheme="Bearer"), "optional", MISSING, id="J35-downgraded-to-bearer"),
        pytest.param(sent(TOKEN, scheme="Bearer"), "optional", MISSING, id="J35-bearer-without-proof"),
        pytest.param(sent(UNBOUND, scheme="Bearer"), "optional", None, id="J35-accepts-unbound-where-optional"),
        pytest.param(sent(UNBOUND, scheme="Bearer"), "required", MISSING, id="J35-unbound-where-required"),
        pytest.param(sent(UNBOUND, proof(token=UNBOUND)), "optional", MISSING, id="J35-unbound-under-dpop"),
        pytest.param(sent(UNBOUND, proof(token=UNBOUND)), "required", MISSING, id="J35-unbound-under-dpop-required"),
        pytest.param(sent(TOKEN, proof(), scheme="dPoP"), "optional", None, id="J35-accepts-the-scheme-in-any-case"),
        pytest.param(sent(TOKEN, scheme="Bearer"), "off", None, id="J35-off-looks-at-nothing"),
        pytest.param(sent(TOKEN), "off", None, id="J35-off-under-dpop"),
        pytest.param(sent(UNBOUND), "off", MISSING, id="J35-off-unbound-under-dpop"),
        pytest.param(sent(TOKEN, proof(method="DELETE"), method="DELETE"), "optional", None, id="J35-accepts-delete"),
        pytest.param(
            sent(TOKEN, proof(), target=b"/api?secret=1"), "optional", None, id="J35-accepts-a-query-beside-htu"
        ),
        pytest.param(
            sent(TOKEN, proof(), target=b"https://api.example.com/api?a=/b"), "optional", None, id="J35-absolute-form"
        ),
        pytest.param(
            sent(TOKEN, proof("https://api.example.com"), target=b"https://api.example.com?a=/b"),
            "optional",
            None,
            id="J35-absolute-form-without-path",
        ),
        pytest.param(
            sent(TOKEN, proof("https://api.example.com:8443/api"), authority="API.example.com:8443"),
            "optional",
            None,
            id="J35-accepts-the-port-of-the-host",
        ),
        pytest.param(
            sent(TOKEN, proof(), authority="api.example.com:8443"), "optional", INVALID, id="J35-port-left-out"
        ),
        pytest.param(sent(TOKEN, proof(), target=b"/a%70i"), "optional", None, id="J35-accepts-an-encoded-target"),
        pytest.param(sent(TOKEN, proof(), target=b"/api/2"), "optional", INVALID, id="J35-another-target"),
        pytest.param(by(RSA), "optional", None, id="J35-accepts-RS256"),
        pytest.param(by(ED), "optional", None, id="J35-accepts-Ed25519"),
        pytest.param(by(ED, alg="EdDSA"), "optional", None, id="J35-accepts-EdDSA"),
    ],
)
async def test_binding(ctx: RequestContext, mode: str, expected: Reason | None) -> None:
    entry = trusted(ISSUER, bindings={"x5t#S256": "optional", "jkt": mode})
    assert await reason(stage([entry]), ctx) is expected


async def test_J35_a_proof_counts_once() -> None:
    judged = stage([trusted(ISSUER)])
    once = proof()
    assert await reason(judged, sent(TOKEN, once)) is None
    assert await reason(judged, sent(TOKEN, once)) is INVALID
    assert await reason(judged, sent(TOKEN, once, now=NOW + 59)) is INVALID
    assert await reason(judged, sent(TOKEN, proof())) is None


async def test_J35_a_proof_is_remembered_until_it_could_not_pass_any_more() -> None:
    judged = stage([trusted(ISSUER)])
    ahead = proof(iat=NOW + AHEAD)
    assert await reason(judged, sent(TOKEN, ahead)) is None
    assert await reason(judged, sent(TOKEN, ahead, now=NOW + AHEAD + 60)) is INVALID


async def test_J35_one_jti_of_two_keys_is_two_proofs() -> None:
    judged = stage([trusted(ISSUER)])
    theirs = ISSUER.token("eve", cnf={"jkt": THIEF.thumbprint})
    assert await reason(judged, sent(theirs, proof(token=theirs, holder=THIEF, jti="same"))) is None
    assert await reason(judged, sent(TOKEN, proof(jti="same"))) is None
    assert await reason(judged, sent(TOKEN, proof(jti="same", iat=NOW - 1))) is INVALID


async def test_J35_a_thief_cannot_spend_anothers_proof_or_fill_the_memory() -> None:
    replays = MemoryReplays()
    judged = stage([trusted(ISSUER)], proofs=Proofs(replays))
    for text in (proof(holder=THIEF), proof(sign=THIEF.key.sign), proof(htm="PUT")):
        assert await reason(judged, sent(TOKEN, text)) is not None
    assert len(replays) == 0


async def test_J35_a_certificate_and_a_key_must_both_be_proved() -> None:
    authority = Authority("cluster.local")
    web = authority.issue(uri="spiffe://cluster.local/a")
    now = time.time()
    issuer, holder = Issuer("https://real.example"), Holder()
    domain = trust(authority)
    thumbprint = prove_client(web.ders, domain, now).workload.thumbprint
    both = issuer.token(cnf={"jkt": holder.thumbprint, "x5t#S256": thumbprint})
    judged = stage([trusted(issuer)], domain)
    assert await reason(judged, sent(both, holder.proof("GET", URL, both), now=now)) is MISSING
    assert await reason(judged, sent(both, now=now, chain=web.ders)) is MISSING
    assert await reason(judged, sent(both, holder.proof("GET", URL, both), now=now, chain=web.ders)) is None


NONCES = Nonces(b"k" * 32)


@pytest.mark.parametrize(
    ("nonce", "accepted"),
    [
        pytest.param(NONCES.current(NOW), True, id="J35-accepts-the-present-nonce"),
        pytest.param(NONCES.current(NOW - PERIOD), True, id="J35-accepts-the-nonce-before"),
        pytest.param(None, False, id="J35-no-nonce"),
        pytest.param("", False, id="J35-empty-nonce"),
        pytest.param(1, False, id="J35-nonce-is-a-number"),
        pytest.param("é", False, id="J35-nonce-not-ascii"),
        pytest.param(NONCES.current(NOW - 2 * PERIOD), False, id="J35-an-old-nonce"),
        pytest.param(NONCES.current(NOW + PERIOD), False, id="J35-a-nonce-to-come"),
        pytest.param(Nonces(b"x" * 32).current(NOW), False, id="J35-a-nonce-under-another-key"),
    ],
)
async def test_nonce(nonce: Any, accepted: bool) -> None:
    judged = stage([trusted(ISSUER, dpop_nonce=True)], proofs=Proofs(MemoryReplays(), NONCES))
    answer = await ask(judged, sent(TOKEN, proof(nonce=nonce)))
    if accepted:
        assert isinstance(answer, Principal)
        return
    assert isinstance(answer, Refused)
    assert answer.reason is INVALID
    assert answer.challenge is not None
    assert answer.challenge.nonce == NONCES.current(NOW)
    assert not answer.failed_credential  # the client did as it should, and is told what is wanted


async def test_J35_a_nonce_is_given_only_to_who_holds_the_key() -> None:
    judged = stage([trusted(ISSUER, dpop_nonce=True)], proofs=Proofs(MemoryReplays(), NONCES))
    answer = await ask(judged, sent(TOKEN, proof(holder=THIEF)))
    assert isinstance(answer, Refused)
    assert answer.challenge is None
    assert answer.failed_credential


async def test_J35_an_issuer_that_wants_no_nonce_ignores_it() -> None:
    judged = stage([trusted(ISSUER)], proofs=Proofs(MemoryReplays(), NONCES))
    assert await reason(judged, sent(TOKEN, proof(nonce="anything"))) is None
