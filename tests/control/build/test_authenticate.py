"""From routes.yaml to a stage that serves, and over a reload."""

import json
import time
from pathlib import Path

import pytest

from gateway.config.load import load
from gateway.config.schema import Config
from gateway.control.build.authenticate import build_authenticate, credential_sources
from gateway.control.feeds.feed import FeedError
from gateway.control.feeds.jwks import JwksFeed
from gateway.kernel.cells import Metrics
from gateway.model.reason import Reason
from gateway.model.route import Route
from gateway.testing.ca import Authority
from gateway.testing.dpop import Holder
from gateway.testing.issuer import Issuer
from gateway.testing.wait import until
from tests.control.feeds.introspecting import introspection
from tests.control.feeds.provider import provider
from tests.due import due
from tests.responder import REVOKED, Said, responder
from tests.stages.authenticate.asking import ROUTE, reason, request

CLUSTER, PARTNERS = Authority("cluster.local"), Authority("partners")
ISSUER = Issuer("https://auth.example.com")
FILE = """
version: 1
listeners: {{edge: {{address: "127.0.0.1:8080"}}}}
{more}
issuers:
  corp: {{issuer: "{issuer}", audiences: [api-service]{keys}}}
audit: {{directory: audit}}
routes:
  - name: plain
    match: {{paths: [/plain/*]}}
    respond: {{status: 200}}
    allow: [{{from: {{request_principals: ["*"]}}}}]
  - name: strict
    match: {{paths: [/strict/*]}}
    respond: {{status: 200}}
    requires: {{certificate: true, audiences: [inventory]}}
    allow: [{{from: {{request_principals: ["*"]}}}}]
  - {{name: health, match: {{paths: [/health]}}, public: true, ignore_credentials: true, respond: {{status: 200}}}}
"""
TRUSTED = """
trust_domains: {cluster.local: {bundle: cluster.pem, crl: cluster.crl}}
client_authorities: {partners: {bundle: partners.pem, names: ["*.partner.example"]}}
"""


def config(folder: Path, *, issuer: str = ISSUER.url, keys: str = ", jwks: jwks.json", more: str = "") -> Config:
    (folder / "jwks.json").write_text(json.dumps(ISSUER.jwks()))
    (folder / "routes.yaml").write_text(FILE.format(issuer=issuer, keys=keys, more=more))
    return load(folder / "routes.yaml")


def trusting(folder: Path) -> str:
    CLUSTER.write(folder, "cluster")
    PARTNERS.write(folder, "partners")
    (folder / "cluster.crl").write_bytes(CLUSTER.crl())
    return TRUSTED


def numbered(index: int) -> Route:
    return Route(str(index), index, False, None, "")


async def test_the_files_settings_reach_the_stage(tmp_path: Path) -> None:
    held = config(tmp_path, more=trusting(tmp_path))
    stage = build_authenticate(held, credential_sources(held, None, clock=time.time), None, Metrics())
    now = time.time()
    web = CLUSTER.issue(uri="spiffe://cluster.local/a").ders
    partner = PARTNERS.issue(dns=["a.partner.example"]).ders
    both = request(f"Bearer {ISSUER.token(aud='inventory')}", web, now=now)
    assert (await due(stage(both, numbered(1)))).caller == f"{ISSUER.url}/alice"
    assert (await due(stage(request(chain=partner, now=now), numbered(0)))).caller == "dns:a.partner.example"
    assert (await due(stage(request("Bearer x", now=now), numbered(2)))).anonymous
    assert await reason(stage, request(f"Bearer {ISSUER.token()}", now=now)) is None
    assert await reason(stage, request(now=now)) is Reason.CREDENTIALS_MISSING


async def test_without_issuers_no_token_is_taken(tmp_path: Path) -> None:
    text = FILE.format(issuer=ISSUER.url, keys="", more=trusting(tmp_path))
    begin, _, rest = text.partition("issuers:")
    (tmp_path / "routes.yaml").write_text(begin + rest[rest.index("audit:") :].replace(", audiences: [inventory]", ""))
    held = load(tmp_path / "routes.yaml")
    stage = build_authenticate(held, credential_sources(held, None, clock=time.time), None, Metrics())
    assert await reason(stage, request(f"Bearer {ISSUER.token()}", now=time.time())) is Reason.TOKEN_ISSUER


async def test_equal_settings_keep_their_feeds_over_a_reload(tmp_path: Path) -> None:
    first = config(tmp_path, more=trusting(tmp_path))
    old = credential_sources(first, None, clock=time.time)
    again = credential_sources(load(tmp_path / "routes.yaml"), old, clock=time.time)
    assert again.trust is old.trust
    assert again.certificates is old.certificates
    assert again.keys["corp"] is old.keys["corp"]


async def test_a_reload_closes_what_changed_and_nothing_else(tmp_path: Path) -> None:
    async with provider() as held:
        first = config(tmp_path, issuer=held.url, keys="", more=trusting(tmp_path))
        old = credential_sources(first, None, clock=time.time)
        old.start()
        feed = old.keys["corp"]
        assert isinstance(feed, JwksFeed)
        await until(lambda: feed.current and feed._flight is None, what="keys")
        second = config(tmp_path, issuer=held.url, keys="")
        new = credential_sources(second, old, clock=time.time)
        new.start()
        await old.close(keep=new)
        assert new.keys["corp"] is feed
        assert new.trust is not old.trust
        asked = held.asked["/jwks"]
        stage = build_authenticate(second, new, None, Metrics())
        token = held.issuer.token(headers={"kid": "new"})
        assert await reason(stage, request(f"Bearer {token}", now=time.time())) is Reason.TOKEN_KEY_UNKNOWN
        assert held.asked["/jwks"] == asked + 1
        await new.close()


async def test_a_signal_reads_unchanged_settings_files_again(tmp_path: Path) -> None:
    held = config(tmp_path, more=trusting(tmp_path))
    sources = credential_sources(held, None, clock=time.time)
    stage = build_authenticate(held, sources, None, Metrics())
    web = CLUSTER.issue(uri="spiffe://cluster.local/a")
    ctx = request(chain=web.ders, now=time.time())
    assert await reason(stage, ctx) is None
    (tmp_path / "cluster.crl").write_bytes(CLUSTER.crl([web], number=2))
    other = Issuer(ISSUER.url)
    (tmp_path / "jwks.json").write_text(json.dumps(other.jwks()))
    sources.reload()
    assert await reason(stage, ctx) is Reason.CERTIFICATE_REVOKED
    assert await reason(stage, request(f"Bearer {other.token()}", now=time.time())) is None


def test_a_file_that_goes_between_check_and_build_is_one_line(tmp_path: Path) -> None:
    held = config(tmp_path, more=trusting(tmp_path))
    (tmp_path / "cluster.pem").unlink()
    with pytest.raises(FeedError, match=r"cluster\.pem: cannot be read"):
        credential_sources(held, None, clock=time.time)
    assert ROUTE.index == 0


async def test_the_age_of_fetched_keys_is_told_as_long_as_their_issuer_is_in_the_file(tmp_path: Path) -> None:
    ages = Metrics().jwks_age
    fetched = config(tmp_path, keys="")
    sources = credential_sources(fetched, None, clock=lambda: 1000.0)
    sources.observe(ages)
    assert ages.rows() == [(("corp",), 0.0)]
    from_a_file = config(tmp_path)
    credential_sources(from_a_file, sources, clock=lambda: 1000.0).observe(ages)
    assert ages.rows() == []


async def test_used_proofs_and_modes_of_an_issuer_outlive_a_reload(tmp_path: Path) -> None:
    now = time.time()
    holder = Holder()
    token = ISSUER.token(cnf={"jkt": holder.thumbprint})
    ctx = request(
        f"DPoP {token}", now=now, headers={"dpop": (holder.proof("GET", "https://api.example.com/api", token),)}
    )
    held = config(tmp_path)
    sources = credential_sources(held, None, clock=time.time)
    assert await reason(build_authenticate(held, sources, None, Metrics()), ctx) is None
    again = credential_sources(held, sources, clock=time.time)
    assert await reason(build_authenticate(held, again, None, Metrics()), ctx) is Reason.DPOP_INVALID


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("", None),
        (", dpop_age: 10s", Reason.DPOP_INVALID),
        (", dpop_nonce: on", Reason.DPOP_INVALID),
        (", binding: {dpop: off}", None),
        (", mode: shadow", Reason.CREDENTIALS_MISSING),
    ],
)
async def test_what_an_issuers_entry_says_of_proofs_reaches_the_stage(
    tmp_path: Path, written: str, expected: Reason | None
) -> None:
    now = time.time()
    holder = Holder()
    token = ISSUER.token(cnf={"jkt": holder.thumbprint})
    proof = holder.proof("GET", "https://api.example.com/api", token, iat=now - 30)
    held = config(tmp_path, keys=f", jwks: jwks.json{written}")
    stage = build_authenticate(held, credential_sources(held, None, clock=time.time), None, Metrics())
    assert await reason(stage, request(f"DPoP {token}", now=now, headers={"dpop": (proof,)})) is expected


async def test_opaque_tokens_are_asked_about_and_the_client_outlives_a_reload(tmp_path: Path) -> None:
    async with introspection() as endpoint:
        endpoint.answers["opaque"] = {"active": True, "sub": "alice", "aud": "api-service"}

        def asking(more: str) -> str:
            asked = f'url: "{endpoint.url}/i", client_id: g, client_secret: s{more}'
            return f", jwks: jwks.json, introspection: {{{asked}}}"

        first = config(tmp_path, issuer=endpoint.url, keys=asking(""))
        sources = credential_sources(first, None, clock=time.time)
        served = build_authenticate(first, sources, None, Metrics())
        ctx = request("Bearer opaque", now=time.time())
        assert await reason(served, ctx) is None
        assert endpoint.asked[0].basic == ("g", "s")
        jwt = Issuer(endpoint.url)
        jwt.keys = ISSUER.keys
        assert await reason(served, request(f"Bearer {jwt.token('bob')}", now=time.time())) is None
        assert len(endpoint.asked) == 1

        second = config(tmp_path, issuer=endpoint.url, keys=asking(", all: true, cache: 0s"))
        again = credential_sources(second, sources, clock=time.time)
        assert again.introspection["corp"] is sources.introspection["corp"]
        await sources.close(keep=again)
        served = build_authenticate(second, again, None, Metrics())
        assert await reason(served, ctx) is None
        assert await reason(served, request(f"Bearer {jwt.token('bob')}", now=time.time())) is Reason.TOKEN_REVOKED

        third = config(tmp_path, issuer=endpoint.url, keys=asking(", auth_method: client_secret_post"))
        changed = credential_sources(third, again, clock=time.time)
        assert changed.introspection["corp"] is not again.introspection["corp"]
        await again.close(keep=changed)
        served = build_authenticate(third, changed, None, Metrics())
        assert await reason(served, ctx) is None
        assert endpoint.asked[-1].form["client_secret"] == "s"
        await changed.close()


async def test_who_is_asked_about_reaches_the_stage_and_what_was_answered_outlives_a_reload(tmp_path: Path) -> None:
    async with responder(CLUSTER) as answers:
        plain = trusting(tmp_path)
        more = plain.replace("crl: cluster.crl", f'ocsp: {{responder: "{answers.url}", check: leaf}}')
        leaf, gone = (answers.issue(uri="spiffe://cluster.local/a") for _ in range(2))
        answers.by_serial[gone.serial] = Said(status=REVOKED)
        metrics = Metrics()
        first = credential_sources(config(tmp_path, more=more), None, clock=time.time, metrics=metrics)
        first.start()
        stage = build_authenticate(config(tmp_path, more=more), first, None, metrics)
        asked = [request(f"Bearer {ISSUER.token()}", each.ders, now=time.time()) for each in (leaf, gone)]
        assert [await reason(stage, ctx) for ctx in asked] == [None, Reason.CERTIFICATE_REVOKED]
        second = credential_sources(config(tmp_path, more=more), first, clock=time.time, metrics=metrics)
        assert second.statuses is first.statuses
        again = build_authenticate(config(tmp_path, more=more), second, None, metrics)
        assert [await reason(again, ctx) for ctx in asked] == [None, Reason.CERTIFICATE_REVOKED]
        assert len(answers.asked) == 2
        third = credential_sources(config(tmp_path, more=plain), second, clock=time.time, metrics=metrics)
        assert await reason(build_authenticate(config(tmp_path, more=plain), third, None, metrics), asked[1]) is None
        for sources in (first, second, third):
            await sources.close()
