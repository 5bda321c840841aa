"""What is judged offline and what serves agree, on every generated policy and request.

Serving is the real snapshot with real tokens and certificates; offline has claims and ids taken as verified.
"""

import json
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import cache
from itertools import product
from pathlib import Path

import pytest

from gateway.config.grants import with_grants
from gateway.config.schema import Config
from gateway.control import evidence
from gateway.control.made_up import choose_listener, make_connection, make_head, parse_url
from gateway.control.offline import Offline
from gateway.control.reach import who
from gateway.control.records import audit_files
from gateway.control.replay import judge_all
from gateway.control.runtime import Runtime
from gateway.model.json import JSON
from gateway.model.reason import Effect
from gateway.model.refused import Refused
from gateway.model.trace import Trace
from gateway.pipeline import decide
from gateway.snapshot import Snapshot
from gateway.testing.ca import Issued
from gateway.testing.issuer import Issuer
from tests.control.audit_log import Ask, decide_offline, write_log
from tests.control.policy_config import _certificates, config
from tests.facts import NOW
from tests.granting import Signer, write_grants

CLIENTS = (None, "spiffe://cluster.local/ns/default/sa/web", "spiffe://cluster.local/ns/ops/sa/root")
USERS: tuple[dict[str, JSON] | None, ...] = (
    None,
    {"sub": "alice", "aud": "api", "scope": "read write", "tenant": "acme", "acr": "high", "auth_time": 1_790_000_000},
    {"sub": "bob", "aud": "api-service", "scp": ["read", "write"], "roles": ["admin", "x"], "acr": "phr"},
    {"sub": "carol", "aud": "another"},
    {"sub": "dave", "aud": "api", "exp": 1},
    {"sub": "erin", "aud": ["api-service", "api"], "tenant": ["gone", "acme"]},
)
HEADERS: tuple[tuple[tuple[str, str], ...], ...] = ((), (("x-a", "1"),), (("x-a", "1"), ("x-a", "2")))
PATHS = ("/api/x", "/api/admin/%41", "/open", "/nowhere", "/api/%2e%2e%2f")
METHODS = ("GET", "PUT", "DELETE")

FROM = (
    "", "from: {request_principals: ['*']}", "from: {namespaces: [ops]}", "from: {not_namespaces: [ops]}",
    "from: {request_principals: ['*/alice', '*/erin'], trust_domains: [cluster.local]}",
    "from: [{issuers: [corp]}, {service_accounts: [ops/root]}]", "from: {ip_blocks: [192.0.2.0/28]}",
    "from: {not_principals: ['*/sa/web']}",
)  # fmt: skip
TO = ("", "to: {methods: [GET]}", "to: {paths: ['/api/admin/*']}", "to: [{not_methods: [DELETE]}, {paths: ['*x']}]")
WHEN = (
    "", "when: [{key: 'request.auth.claims[tenant]', values: [acme]}]",
    "when: [{key: 'request.auth.claims[roles]', not_values: [admin]}]",
    "when: [{key: 'request.headers[x-a]', values: ['1']}]", "when: [{key: 'request.headers[x-a]', not_values: ['2']}]",
    "when: ['claims.tenant == \"acme\"', 'request.path.startsWith(\"/api\")']",
    "when: ['has(claims.roles) && \"admin\" in claims.roles || workload.namespace == \"ops\"']",
    "when: ['request.headers[\"x-a\"] == \"1\" || \"read\" in token.scopes']",
    "when: [{key: request.auth.audiences, values: [api]}, {key: connection.sni, values: ['*.com']}]",
)  # fmt: skip
REQUIRES = (
    "", "requires: {scopes: [read]}, ", "requires: {audiences: [api]}, ", "requires: {certificate: true}, ",
    "requires: {acr: [phr, high], max_auth_age: 100000h}, ", "classification: restricted, ",
    "classification: restricted, requires: {acr: [high], scopes: [read]}, ",
)  # fmt: skip
MORE = """
classes: {restricted: {requires: {acr: [phr, high], scopes: [write]}}}
grants: {signers: {alice: alice.pub}, max_duration: 100000h}
"""
GRANTED = (
    {"from": {"request_principals": ["*/dave", "*/alice"]}},
    {"from": [{"namespaces": ["ops"]}, {"issuers": ["corp"]}], "to": {"methods": ["DELETE"]}},
    {"from": {"request_principals": ["*"]}, "when": ["request.headers['x-a'] == '1'"]},
)


@cache
def issuer() -> Issuer:
    return Issuer("https://auth.example.com/realms/internal")


@cache
def certificate(client: str) -> Issued:
    return _certificates()[0].issue(uri=client)


def policy(folder: Path, seed: int) -> Config:
    """A config of random rules."""
    pick = random.Random(seed)

    def rules(count: int) -> str:
        parts = [[pick.choice(each) for each in (FROM, TO, WHEN)] for _ in range(count)]
        return ", ".join(f"{{{', '.join(filter(None, rule))}}}" for rule in parts)

    (folder / "keys.json").write_text(json.dumps(issuer().jwks()))
    routes = (
        f"- {{name: api, match: {{paths: ['/api/*']}}, upstream: api, {pick.choice(REQUIRES)}"
        f"deny: [{rules(1)}], allow: [{rules(3)}]}}\n"
        f"- {{name: open, match: {{paths: [/open]}}, public: true, respond: {{}}, deny: [{rules(1)}]}}\n"
    )
    policies = f"- {{name: p, action: {pick.choice(['deny', 'audit'])}, rules: [{rules(1)}]}}\n"
    corp = f'corp: {{issuer: "{issuer().url}", audiences: [api-service, api], jwks: keys.json}}'
    alice = Signer(folder, "alice")
    begins, ends = pick.choice([(NOW - 1e7, NOW + 1e7), (NOW - 3e7, NOW - 2e7)])
    write_grants(folder, alice.grant(begins, ends, rule=pick.choice(GRANTED)))
    return with_grants(config(folder, routes=routes, policies=policies, issuers=corp, more=MORE))


def requests(seed: int) -> list[tuple[str, str, dict[str, JSON] | None, str | None, tuple[tuple[str, str], ...]]]:
    """Some of all that can be made of the parts."""
    return random.Random(seed).sample(list(product(METHODS, PATHS, USERS, CLIENTS, HEADERS)), 300)


@asynccontextmanager
async def serving(loaded: Config) -> AsyncIterator[Snapshot]:
    runtime = Runtime()
    await runtime.adopt(runtime.prepare(loaded))
    try:
        yield runtime.parts.snapshot
    finally:
        await runtime.close()


@pytest.mark.parametrize("seed", range(8))
async def test_offline_and_serving_agree(tmp_path: Path, seed: int) -> None:
    loaded, now = policy(tmp_path, seed), time.time()
    offline = Offline(loaded)
    seen = set()
    async with serving(loaded) as snapshot:
        for method, path, claims, client, headers in requests(seed):
            url = parse_url(f"https://api.example.com{path}")
            listener = choose_listener(loaded, url, None)
            proof = evidence.no_certificate(loaded)
            chain: tuple[bytes, ...] = ()
            if client is not None:
                proof, chain = evidence.assumed_certificate(loaded, client), certificate(client).ders
            connection = make_connection(listener, url.authority, chain=proof.sent)
            bare = make_head(method, url, headers)
            token = evidence.no_token(loaded)
            real: tuple[tuple[str, str], ...] = ()
            if claims is not None:
                route = offline.route_of(connection, bare, now)
                token = evidence.assumed_token(loaded, route, claims, None, now)
                signed = issuer().token(
                    raw_payload=json.dumps({"iss": issuer().url, "exp": now + 60, **claims}).encode()
                )
                real = (("authorization", f"Bearer {signed}"),)
            sent = (("authorization", f"Bearer {token.sent}"),) if token.sent is not None else ()
            verdict = await offline.judge(connection, make_head(method, url, (*headers, *sent)), now, token, proof)
            served = make_connection(listener, url.authority, chain=chain)
            trace = Trace(served, make_head(method, url, (*headers, *real)), request_id="r", time=now, began=0.0)
            answer = await serve(snapshot, trace)
            told = (None if verdict.reason is None else verdict.reason.code, verdict.rule, verdict.audited)
            assert told == answer, (method, path, claims, client, headers)
            seen.add(told)
    assert len(seen) > 5  # or the policy is too dull to prove anything


async def serve(snapshot: Snapshot, trace: Trace) -> tuple[str | None, str | None, tuple[str, ...]]:
    """Reason, rule and audited rules, as the serving snapshot has them."""
    try:
        permit = await decide(snapshot.accept(trace), snapshot, trace)
    except Refused as refused:
        return refused.reason.code, refused.rule, refused.audited
    return None, permit.rule, permit.audited


@pytest.mark.parametrize("seed", range(3))
async def test_a_replay_never_contradicts_a_request_that_is_judged_anew(tmp_path: Path, seed: int) -> None:
    """Judged under another policy, a record is undecidable or has the answer that the request itself would have."""
    (tmp_path / "after").mkdir()
    before, after = policy(tmp_path, seed), policy(tmp_path / "after", seed + 100)
    asked = []
    for method, path, claims, client, headers in requests(seed):
        ask = Ask(path, method, client=client, headers=headers)
        asked.append(ask if claims is None else replace(ask, user=str(claims["sub"]), claims=claims))
    log = await write_log(before, *asked)
    offline, decided = Offline(after), 0
    async for judged in judge_all(after, audit_files([log])):
        if judged.answer is not None:
            decided += 1
            ask = asked[int(judged.decision.request_id[1:])]
            assert judged.answer.effect == (await decide_offline(offline, ask)).effect.value, ask
    assert decided > len(asked) / 4


@pytest.mark.parametrize("seed", range(8))
async def test_who_names_every_way_in(tmp_path: Path, seed: int) -> None:
    """Whoever is let in comes by a way that `who` names; whoever it calls anyone is let in without a credential."""
    loaded = policy(tmp_path, seed)
    offline = Offline(loaded)
    for method, path, claims, client, headers in requests(seed):
        if "%2f" in path:
            continue  # refused before any rule
        url = parse_url(f"https://api.example.com{path}")
        found = who(offline, method, url, choose_listener(loaded, url, None), NOW)
        ask = Ask(path, method, client=client, headers=headers)
        ask = ask if claims is None else replace(ask, user=str(claims["sub"]), claims=claims)
        verdict = await decide_offline(offline, ask)
        ways = [way for way in found.ways if way.rule == verdict.rule]
        if verdict.effect is Effect.ALLOW:
            assert ways, ask
            names = {claims["sub"] if claims else None, client}
            assert any(way.principal.endswith(("*", *map(str, names))) for way in ways), (ask, ways)
        if found.anyone and claims is None and client is None:
            assert verdict.effect is Effect.ALLOW, ask
