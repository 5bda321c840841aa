"""An audit log as a gateway writes it, of requests that nobody sent."""

import json
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from gateway.config.schema import Config
from gateway.control import evidence
from gateway.control.build.record import build_record, input_names, open_audit_log, read_audit_keys
from gateway.control.made_up import choose_listener, make_connection, make_head, parse_url
from gateway.control.offline import Offline, Verdict
from gateway.kernel.cells import Metrics
from gateway.model.json import JSON
from gateway.stages.record import record_config
from tests.facts import NOW
from tests.stages.record.scene import decided


@dataclass(frozen=True)
class Ask:
    """One request."""

    path: str = "/api/x"
    method: str = "GET"
    user: str | None = None
    client: str | None = None
    claims: dict[str, JSON] = field(default_factory=dict)
    headers: tuple[tuple[str, str], ...] = ()
    ip: str = "192.0.2.7"
    listener: str | None = None


async def write_log(config: Config, *asked: Ask, told: bool = True) -> Path:
    """Decide each request as serving would and record it; returns the directory. `told`: the config is recorded too."""
    offline, metrics = Offline(config), Metrics()
    keys = read_audit_keys(config.audit)
    log = open_audit_log(config.audit, keys, 0, metrics, clock=lambda: NOW)
    log.start()
    if told:
        record_config(log, digest=config.digest, ok=True, inputs=input_names(config))
    record = build_record(config, keys, log, metrics)
    for number, ask in enumerate(asked):
        verdict = await decide_offline(offline, ask)
        trace = verdict.trace
        trace.request_id = f"r{number}"
        await decided(record, trace)
    await log.close()
    return config.audit.directory


async def decide_offline(offline: Offline, ask: Ask) -> Verdict:
    """Judge one request."""
    config = offline.config
    url = parse_url(f"https://api.example.com{ask.path}")
    listener = choose_listener(config, url, ask.listener)
    proof = evidence.no_certificate(config) if ask.client is None else evidence.assumed_certificate(config, ask.client)
    connection = make_connection(listener, url.authority, peer=ip_address(ask.ip), chain=proof.sent)
    head = make_head(ask.method, url, ask.headers)
    token = evidence.no_token(config)
    if ask.user is not None:
        claims: dict[str, JSON] = {"sub": ask.user, **ask.claims}
        token = evidence.assumed_token(config, offline.route_of(connection, head, NOW), claims, None, NOW)
        head = make_head(ask.method, url, (*ask.headers, ("authorization", f"Bearer {token.sent}")))
    return await offline.judge(connection, head, NOW, token, proof)


def records(directory: Path) -> list[dict[str, Any]]:
    """The decisions, as they stand in the files."""
    lines = [line for file in sorted(directory.glob("*.jsonl")) for line in file.read_text().splitlines()]
    return [found for line in lines if (found := json.loads(line))["type"] == "decision"]
