"""This gateway: `gateway serve` with a generated routes.yaml (JSON is YAML too)."""

import json
import sys
from collections.abc import Callable
from typing import Any

from loadtest.job import AUDIENCE, BACKEND_ID, ISSUER, LIMIT, TRUST_DOMAIN, Place, Scenario, Variant, path_of

REDIS = "Redis store"
ASGI = "ASGI driver"


class Gateway:
    """The gateway of this working copy."""

    name = "gateway"
    variants = (
        Variant(Scenario.FULL),
        Variant(Scenario.FULL, ASGI),
        Variant(Scenario.FULL, REDIS),
        Variant(Scenario.FORWARD, note="records every decision, here too"),
    )

    def missing(self) -> str | None:
        return None

    def version(self) -> str:
        from gateway import __version__

        return f"{__version__}, Python {sys.version.split()[0]}"

    def command(self, variant: Variant, place: Place) -> list[str]:
        file = place.directory / "routes.yaml"
        file.write_text(json.dumps(_config(variant, place), indent=1))
        driver = "asgi" if variant.name == ASGI else "lane"
        command = [sys.executable, "-m", "gateway", "serve", "-c", str(file), "--driver", driver]
        return [*command, "--workers", str(variant.setting.workers)] if variant.setting.workers > 1 else command


def _config(variant: Variant, place: Place) -> dict[str, Any]:
    certificates, setting = place.certificates, variant.setting
    full = variant.scenario is Scenario.FULL
    config: dict[str, Any] = {
        "version": 1,
        "state_dir": "state",
        "log": {"level": "warning"},
        "listeners": {
            "edge": {
                "address": f"127.0.0.1:{place.port}",
                "tls": {
                    "certificate": f"{certificates}/edge.pem",
                    "key": f"{certificates}/edge.key",
                    "client_certificate": "required" if setting.clients else "none",
                },
            }
        },
        "identity": {"certificate": f"{certificates}/gateway.pem", "key": f"{certificates}/gateway.key"},
        "upstreams": {
            "backend": {
                "endpoints": [f"https://127.0.0.1:{place.backend}"],
                "tls": {
                    "server_identity": BACKEND_ID,
                    "server_name": "localhost",
                    "ca": f"{certificates}/ca.pem",
                },
            }
        },
        "routes": [_route(number, full=full) for number in range(setting.routes)],
        "audit": {"directory": "audit"},
    }
    if setting.clients:
        config["trust_domains"] = {TRUST_DOMAIN: {"bundle": f"{certificates}/ca.pem"}}
    if full:
        config["issuers"] = {"bench": {"issuer": ISSUER, "audiences": [AUDIENCE], "jwks": str(place.jwks(variant))}}
        config["rate_limits"] = {"per-client": {"rate": f"{LIMIT}/second", "key": ["principal"]}}
    if variant.name in FEATURES:
        FEATURES[variant.name](config, place)
    return config


def _route(number: int, *, full: bool) -> dict[str, object]:
    route: dict[str, object] = {
        "name": f"s{number}",
        "match": {"paths": [f"{path_of(number)}*"]},
        "upstream": "backend",
    }
    if full:
        rule = {"from": {"request_principals": [f"{ISSUER}/*"]}, "to": {"methods": ["GET"]}}
        return {**route, "rate_limits": ["per-client"], "allow": [rule]}
    return {**route, "public": True}


def _redis(config: dict[str, Any], place: Place) -> None:
    config["store"] = f"redis+unix://{place.redis}"


def _no_limits(config: dict[str, Any], place: Place) -> None:
    del config["rate_limits"]
    for route in config["routes"]:
        del route["rate_limits"]


def _plain_out(config: dict[str, Any], place: Place) -> None:
    config["upstreams"]["backend"] = {"endpoints": [f"http://127.0.0.1:{place.plain}"]}


def _traced(sample: str) -> Callable[[dict[str, Any], Place], None]:
    def traced(config: dict[str, Any], place: Place) -> None:
        config["telemetry"] = {"otlp": f"http://127.0.0.1:{place.plain}", "sample": sample}

    return traced


def _audited(durability: str) -> Callable[[dict[str, Any], Place], None]:
    def audited(config: dict[str, Any], place: Place) -> None:
        config["audit"]["durability"] = durability

    return audited


def _asserted(config: dict[str, Any], place: Place) -> None:
    config["assertion"] = {}
    for route in config["routes"]:
        route["forward"] = {"assertion": True}


def _resilient(config: dict[str, Any], place: Place) -> None:
    config["upstreams"]["backend"] |= {
        "retries": {"attempts": 1, "on": ["connect_failure", "refused_stream", "503"], "per_try": "5s"},
        "outlier_detection": {"consecutive_errors": 5},
        "circuit_breaker": {"max_requests": 1024},
    }


FEATURES: dict[str, Callable[[dict[str, Any], Place], None]] = {
    REDIS: _redis,
    "no limits": _no_limits,
    "plain HTTP to the backend": _plain_out,
    "retries, breaker, outlier detection": _resilient,
    "traces, 10 % sampled": _traced("10%"),
    "traces, all sampled": _traced("100%"),
    "audit buffered": _audited("buffered"),
    "audit synced": _audited("synced"),
    "assertion to the backend": _asserted,
}
