"""The export against a real Envoy: it accepts the bootstrap, and decides as `explain` does."""

import json
import random
import ssl
import subprocess
import time
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

import pytest

from gateway.config import unbuilt
from gateway.config.document import Block, Document
from gateway.config.load import load
from gateway.config.schema import Config
from gateway.config.tree import Gone
from gateway.control import evidence
from gateway.control.made_up import make_connection, make_head, parse_url
from gateway.control.offline import Offline
from gateway.convert.writing import yaml_text
from gateway.model.reason import Effect
from gateway.testing.client import send
from gateway.testing.issuer import Issuer
from gateway.testing.pki import Folder
from gateway.testing.process import free_port
from tests.convert.envoy.running import binary, envoy, exported, write

ROOT = Path(__file__).parents[3]
EXAMPLES = [ROOT / "routes.yaml", *sorted((ROOT / "examples").glob("*.yaml"))]
ISSUER = "https://issuer.example"
WEB, LEGACY = "spiffe://cluster.local/ns/shop/sa/web", "spiffe://cluster.local/ns/legacy/sa/old"

FILE = """\
version: 1
listeners:
  edge: {address: "127.0.0.1:PORT", tls: {certificate: certs/edge.pem, key: certs/edge.key}}
trust_domains:
  cluster.local: {bundle: certs/cluster-ca.pem}
issuers:
  corp: {issuer: "https://issuer.example", audiences: [api-service], jwks: keys.json}
policies:
  - name: no-legacy
    action: deny
    rules:
      - {from: {namespaces: [legacy]}, to: {not_paths: [/health]}}
      - {to: {methods: [DELETE]}, from: {not_trust_domains: [other.example]}}
  - name: watched
    action: audit
    rules: [{}]
  - name: trial
    action: deny
    mode: shadow
    rules: [{}]
routes:
  - name: health
    match: {paths: [/health]}
    public: true
    respond: {status: 200, body: health}
  - name: guarded
    match: {paths: ["/guarded/*"]}
    public: true
    respond: {status: 200, body: guarded}
    deny: [{when: [{key: "request.headers[x-block]", values: ["*"]}]}]
    allow: [{to: {hosts: ["*.example.com"]}}, {from: {ip_blocks: [10.0.0.0/8]}}]
  - name: scoped
    match: {paths: ["/scoped/{*}/x"]}
    requires: {scopes: [read]}
    respond: {status: 200, body: scoped}
    allow: [{from: {request_principals: ["*"]}}]
  - name: mtls
    match: {paths: ["/mtls*"], hosts: [api.example.com, "*.internal.example"]}
    requires: {certificate: true}
    respond: {status: 200, body: mtls}
    allow:
      - {from: [{service_accounts: [shop/web]}, {principals: ["*/sa/other"]}]}
  - name: claims
    match: {paths: ["/claims/*"], methods: [GET, POST]}
    respond: {status: 200, body: claims}
    allow:
      - {when: [{key: "request.auth.claims[team][name]", values: ["pay*"]}], to: {methods: [GET]}}
      - {when: [{key: "request.auth.claims[groups]", not_values: [guests]}], to: {methods: [POST]}}
  - name: user
    match: {paths: ["/user/*"], headers: {x-canary: "1"}}
    respond: {status: 200, body: user}
    allow:
      - {from: {request_principals: ["https://issuer.example/alice", "*/bob"], not_principals: ["spiffe://*"]}}
      - {from: {issuers: [corp], principals: ["*"]}}
  - name: rest
    match: {paths: ["*"]}
    respond: {status: 200, body: rest}
    allow: [{mode: shadow}, {name: web, from: {principals: ["spiffe://cluster.local/ns/shop/*"]}}]
"""


def built(text: str) -> str:
    """An example without the keys that this build does not have."""
    root = Document(text, "f", lambda scalar, _: scalar).root
    assert isinstance(root, Block)
    unbuilt.refuse(root, Gone())
    return yaml_text(root)


@dataclass(frozen=True)
class Asked:
    """One request, as it is sent and as it is judged."""

    method: str
    target: str
    host: str
    client: str | None
    token: str | None
    headers: tuple[tuple[str, str], ...]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the file, its certificates, keys and clients."""
    made = tmp_path_factory.mktemp("envoy")
    folder = Folder(made / "certs")
    folder.init()
    folder.issue("web", uri=WEB)
    folder.issue("legacy", uri=LEGACY)
    return made


@pytest.fixture(scope="module")
def issuer(place: Path) -> Issuer:
    issuer = Issuer(ISSUER)
    (place / "keys.json").write_text(json.dumps(issuer.jwks()))
    return issuer


def requests(issuer: Issuer, count: int) -> list[Asked]:
    chance = random.Random(11)
    tokens = [
        None,
        issuer.token("alice", scope="read write", team={"name": "payments"}),
        issuer.token("bob", groups=["staff", "guests"], scope="other"),
        issuer.token("carol", groups=["staff"], team={"name": "x"}, scp=["read"]),
        issuer.token("alice", aud="someone-else"),
        issuer.token("alice", lifetime=-3600),
        issuer.token("alice")[:-6] + "AAAAAA",
    ]
    paths = [
        "/health",
        "/guarded/a",
        "/scoped/1/x",
        "/scoped/1/2/x",
        "/mtls",
        "/mtls/a",
        "/claims/a",
        "/user/a",
        "/zzz",
    ]
    paths += ["/guarded/%61?q=/health", "/claims/../health", "/claims"]
    return [
        Asked(
            chance.choice(["GET", "GET", "POST", "DELETE"]),
            chance.choice(paths),
            chance.choice(["api.example.com", "API.example.com", "a.internal.example", "elsewhere.example"]),
            chance.choice([None, "web", "legacy"]),
            chance.choice(tokens),
            tuple(each for each in (("x-canary", "1"), ("x-block", "no")) if chance.random() < 0.4),
        )
        for _ in range(count)
    ]


async def _judged(offline: Offline, config: Config, folder: Path, asked: Asked) -> str | None:
    """The route that would answer, None for a refusal."""
    now = time.time()
    token = evidence.no_token(config) if asked.token is None else evidence.real_token(config, asked.token, None)
    certificate = evidence.no_certificate(config)
    if asked.client is not None:
        certificate = evidence.real_certificate(config, folder / "certs" / f"{asked.client}.pem", now)
    listener = config.listeners["edge"]
    connection = make_connection(listener, asked.host, peer=ip_address("127.0.0.1"), chain=certificate.sent)
    fields = [*asked.headers, *([("authorization", f"Bearer {asked.token}")] if asked.token else [])]
    head = make_head(asked.method, parse_url(f"https://{asked.host}{asked.target}"), fields)
    verdict = await offline.judge(connection, head, now, token, certificate)
    return verdict.trace.route.name if verdict.effect is Effect.ALLOW and verdict.trace.route is not None else None


async def _answered(port: int, folder: Path, asked: Asked) -> str | None:
    context = ssl.create_default_context(cafile=str(folder / "certs" / "cluster-ca.pem"))
    context.check_hostname = False
    if asked.client is not None:
        context.load_cert_chain(folder / "certs" / f"{asked.client}.pem", folder / "certs" / f"{asked.client}.key")
    fields = [*asked.headers, *([("authorization", f"Bearer {asked.token}")] if asked.token else [])]
    answer = await send(port, asked.method, asked.target, tls=context, authority=f"{asked.host}:{port}", headers=fields)
    return answer.text if answer.status == 200 else None


async def test_envoy_and_explain_decide_alike(place: Path, issuer: Issuer) -> None:
    port = free_port()
    path = place / "routes.yaml"
    path.write_text(FILE.replace("PORT", str(port)), encoding="utf-8")
    config = load(path, env={})
    offline = Offline(config)
    found = exported(path)
    assert found.not_carried == ()
    answers: dict[str | None, int] = {}
    with envoy(write(found, place / "envoy.json"), port) as process:
        for asked in requests(issuer, 160):
            judged = await _judged(offline, config, place, asked)
            assert await _answered(port, place, asked) == judged, (asked, process.output[-900:])
            answers[judged] = answers.get(judged, 0) + 1
    assert len(answers) >= 7, answers  # refusals, and nearly every route


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_envoy_accepts_every_example(place: Path, issuer: Issuer, example: Path) -> None:
    assert issuer.url
    path = place / example.name
    path.write_text(built(example.read_text()), encoding="utf-8")
    bootstrap = write(exported(path), place / f"{example.stem}.json")
    done = subprocess.run([binary(), "--mode", "validate", "-c", str(bootstrap)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
