"""This gateway: `gateway serve` with a generated routes.yaml (JSON is YAML too)."""

import json
import sys

from loadtest.job import AUDIENCE, BACKEND_ID, ISSUER, LIMIT, ROUTES, Place, Scenario, Variant, path_of

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
        file.write_text(json.dumps(self._config(variant, place), indent=1))
        driver = "asgi" if variant.name == ASGI else "lane"
        return [sys.executable, "-m", "gateway", "serve", "-c", str(file), "--driver", driver]

    def _config(self, variant: Variant, place: Place) -> dict[str, object]:
        certificates = place.certificates
        full = variant.scenario is Scenario.FULL
        config: dict[str, object] = {
            "version": 1,
            "state_dir": "state",
            "log": {"level": "warning"},
            "listeners": {
                "edge": {
                    "address": f"127.0.0.1:{place.port}",
                    "tls": {
                        "certificate": f"{certificates}/edge.pem",
                        "key": f"{certificates}/edge.key",
                        "client_certificate": "none",
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
            "routes": [self._route(number, full=full) for number in range(ROUTES)],
            "audit": {"directory": "audit"},
        }
        if full:
            config["issuers"] = {
                "bench": {"issuer": ISSUER, "audiences": [AUDIENCE], "jwks": f"{certificates}/jwks.json"}
            }
            config["rate_limits"] = {"per-client": {"rate": f"{LIMIT}/second", "key": ["principal"]}}
        if variant.name == REDIS:
            config["store"] = f"redis+unix://{place.redis}"
        return config

    def _route(self, number: int, *, full: bool) -> dict[str, object]:
        route: dict[str, object] = {
            "name": f"s{number}",
            "match": {"paths": [f"{path_of(number)}*"]},
            "upstream": "backend",
        }
        if full:
            rule = {"from": {"request_principals": [f"{ISSUER}/*"]}, "to": {"methods": ["GET"]}}
            return {**route, "rate_limits": ["per-client"], "allow": [rule]}
        return {**route, "public": True}
