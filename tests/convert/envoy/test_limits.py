"""Rate limits of the export, counted by a real Envoy."""

import ssl
from pathlib import Path

from gateway.testing.client import send
from gateway.testing.process import free_port
from tests.convert.envoy.running import envoy, exported, write

FILE = """\
version: 1
listeners:
  edge: {address: "127.0.0.1:PORT", tls: {certificate: certs/edge.pem, key: certs/edge.key}}
rate_limits:
  by-address: {rate: 3/hour, key: [client_ip], algorithm: token_bucket}
  by-name: {rate: 1/hour, key: ["header:x-name", route], algorithm: token_bucket}
  all: {rate: 2/hour, key: [], algorithm: token_bucket}
  by-workload: {rate: 1/hour, key: [workload]}
routes:
  - {name: a, match: {paths: [/address]}, public: true, respond: {status: 200}, rate_limits: [by-address]}
  - {name: n, match: {paths: [/name]}, public: true, respond: {status: 200}, rate_limits: [by-name]}
  - {name: o, match: {paths: [/all]}, public: true, respond: {status: 200}, rate_limits: [all, by-workload]}
  - {name: r, match: {paths: [/rest]}, public: true, respond: {status: 200}}
"""


async def test_envoy_counts_by_the_key_and_on_the_routes_that_name_a_limit(folder: Path) -> None:
    port = free_port()
    path = folder / "limits.yaml"
    path.write_text(FILE.replace("PORT", str(port)), encoding="utf-8")
    context = ssl.create_default_context(cafile=str(folder / "certs" / "cluster-ca.pem"))
    context.check_hostname = False

    async def statuses(target: str, *names: str) -> list[int]:
        answers = [
            await send(port, "GET", target, tls=context, headers=[("x-name", name)] if name else []) for name in names
        ]
        return [answer.status for answer in answers]

    found = exported(path)
    assert [lost.path for lost in found.not_carried] == ["rate_limits.by-workload"]
    with envoy(write(found, folder / "limits.json"), port):
        assert await statuses("/address", *[""] * 4) == [200, 200, 200, 429]
        assert await statuses("/name", "x", "y", "x", "y") == [200, 200, 429, 429]
        assert await statuses("/name", "", "") == [200, 429]
        assert await statuses("/all", *[""] * 3) == [200, 200, 429]
        assert await statuses("/rest", *[""] * 4) == [200] * 4
