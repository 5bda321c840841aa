"""DPoP and an issuer in shadow over a real gateway with two workers and a store that they share."""

import json
import ssl
from collections import Counter
from collections.abc import Generator

import httpx2
import pytest

from gateway.testing.dpop import Holder
from gateway.testing.issuer import Issuer
from gateway.testing.wait import wait_for
from tests.flows.gateway_process import Served, prepared, serving
from tests.plain import NO_TLS
from tests.redis_server import redis_server

ISSUER, TRIAL = Issuer("https://auth.example.com"), Issuer("https://trial.example")
REST = """\
workers: 2
store: "{store}"
issuers:
  corp: {{issuer: "https://auth.example.com", audiences: [api-service], jwks: corp.json, dpop_nonce: on}}
  trial: {{issuer: "https://trial.example", audiences: [api-service], jwks: trial.json, mode: shadow}}
routes:
  - name: mine
    match: {{paths: ["/mine/*"]}}
    respond: {{status: 200, body: ok}}
    allow: [{{from: {{request_principals: ["*"]}}}}]
  - {{name: open, match: {{paths: ["/open"]}}, public: true, respond: {{status: 200, body: ok}}}}
audit: {{directory: audit}}
"""


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Generator[Served]:
    folder = tmp_path_factory.mktemp("proofs")
    prepared(folder)
    (folder / "corp.json").write_text(json.dumps(ISSUER.jwks()))
    (folder / "trial.json").write_text(json.dumps(TRIAL.jwks()))
    with redis_server(folder / "redis") as store, serving(folder, REST.format(store=store.unix_url)) as gateway:
        yield gateway


def ask(served: Served, path: str, authorization: str, proof: str | None = None) -> httpx2.Response:
    """On a connection of its own, so that either worker may get it."""
    context = ssl.create_default_context(cafile=served.folder / "certs" / "cluster-ca.pem")
    headers = {"authorization": authorization, **({"dpop": proof} if proof is not None else {})}
    return httpx2.get(f"{served.url}{path}", headers=headers, verify=context, trust_env=False)


def test_J35_nonces_are_good_and_proofs_are_used_up_on_every_worker(served: Served) -> None:
    holder = Holder()
    token, url = ISSUER.token(cnf={"jkt": holder.thumbprint}), f"{served.url}/mine/1"
    asked = ask(served, "/mine/1", f"DPoP {token}", holder.proof("GET", url, token))
    assert (asked.status_code, asked.json()["reason"]) == (401, "dpop_invalid")
    assert 'error="use_dpop_nonce"' in asked.headers["www-authenticate"]
    nonce = asked.headers["dpop-nonce"]
    for _ in range(6):
        assert ask(served, "/mine/1", f"DPoP {token}", holder.proof("GET", url, token, nonce=nonce)).status_code == 200
    once = holder.proof("GET", url, token, nonce=nonce)
    answers = Counter(ask(served, "/mine/1", f"DPoP {token}", once).status_code for _ in range(8))
    assert answers == {200: 1, 401: 7}
    key = served.folder / "var" / "state" / "dpop-nonce.key"
    assert key.stat().st_mode & 0o777 == 0o600


def test_a_token_under_an_issuer_in_shadow_is_recorded_and_grants_nothing(served: Served) -> None:
    good, late = f"Bearer {TRIAL.token()}", f"Bearer {TRIAL.token(exp=1)}"
    answers = [ask(served, path, token).status_code for token in (good, late) for path in ("/mine/1", "/open")]
    assert answers == [401, 200, 401, 200]

    def told() -> list[tuple[str, str, str]]:
        lines = [line for file in (served.folder / "audit").glob("*.jsonl") for line in file.read_text().splitlines()]
        records = [record for record in map(json.loads, lines) if record["type"] == "decision" and record["shadow"]]
        return sorted((r["route"], r["effect"], shadow["effect"]) for r in records for shadow in r["shadow"])

    wait_for(lambda: len(told()) >= 4, what="the records")
    assert told() == [
        ("mine", "challenge", "allow"),
        ("mine", "challenge", "challenge"),
        ("open", "allow", "allow"),
        ("open", "allow", "challenge"),
    ]
    metrics = httpx2.get(f"http://127.0.0.1:{served.admin}/metrics", verify=NO_TLS, trust_env=False).text
    for line in (
        'gateway_shadow_decisions_total{effect="allow",kind="issuer",route="mine"} 1',
        'gateway_shadow_decisions_total{effect="challenge",kind="issuer",route="open"} 1',
        'gateway_authentications_total{method="jwt",reason="",result="shadow_ok"} 2',
        'gateway_authentications_total{method="jwt",reason="token_expired",result="shadow_refused"} 2',
    ):
        assert line in metrics
