"""Issuers as providers of Envoy's jwt_authn, and what each route wants of a token.

An issuer whose keys Envoy cannot find is left out: its tokens are refused.
Source: Envoy v3 API, extensions.filters.http.jwt_authn.v3.
"""

from urllib.parse import urlsplit

from gateway.config.schema import Config, Issuer, Route
from gateway.convert.envoy import clusters
from gateway.convert.envoy.protos import CLAIMS, Message, extension, file_source, seconds, typed
from gateway.convert.report import Report

FILTER = CLAIMS[0]
_JWT = "extensions.filters.http.jwt_authn.v3"


class Tokens:
    """Writes the filter, the routes' requirements, and the clusters of key sets."""

    def __init__(self, config: Config, report: Report) -> None:
        self._config = config
        self._providers: dict[str, Message] = {}
        self._requirements: dict[str, Message] = {}
        self.clusters: list[Message] = []
        for issuer in config.issuers.values():
            if issuer.mode == "shadow":
                continue  # nothing that it says counts
            keys = self._keys(issuer)
            if keys is None:
                why = "Envoy follows no discovery document: write jwks_uri, else its tokens are refused"
                report.lose(issuer.where, "", f"issuers.{issuer.name}", why)
            else:
                self._providers[issuer.name] = _provider(issuer, keys)

    def per_route(self, route: Route) -> dict[str, object]:
        """The `typed_per_filter_config` of a route."""
        if not self._providers:
            return {}
        if route.public and route.ignore_credentials:
            return {FILTER: typed(f"{_JWT}.PerRouteConfig", disabled=True)}
        audiences = route.requires.audiences if route.requires is not None else ()
        name = f"{route.name}" if audiences else "any issuer"
        one_of: list[Message] = [
            {"provider_and_audiences": {"provider_name": each, "audiences": list(audiences)}}
            if audiences
            else {"provider_name": each}
            for each in self._providers
        ]
        self._requirements[name] = {"requires_any": {"requirements": [*one_of, {"allow_missing": {}}]}}
        return {FILTER: typed(f"{_JWT}.PerRouteConfig", requirement_name=name)}

    def filters(self) -> list[Message]:
        """The filter, once every route was asked for."""
        if not self._providers:
            return []
        return [
            extension(
                FILTER,
                f"{_JWT}.JwtAuthentication",
                providers=self._providers,
                requirement_map=dict(self._requirements),
            )
        ]

    def _keys(self, issuer: Issuer) -> Message | None:
        if issuer.jwks.file is not None:
            return {"local_jwks": file_source(issuer.jwks.file)}
        if issuer.jwks_uri is None:
            return None
        parts = urlsplit(issuer.jwks_uri)
        cluster = f"jwks.{issuer.name}"
        port = parts.port or (443 if parts.scheme == "https" else 80)
        self.clusters.append(clusters.for_keys(cluster, parts.hostname or "", port, parts.scheme, issuer.ca))
        uri: Message = {"uri": issuer.jwks_uri, "cluster": cluster, "timeout": "5s"}
        return {
            "remote_jwks": {
                "http_uri": uri,
                "cache_duration": seconds(issuer.jwks.refresh),
                "async_fetch": {"fast_listener": True},
            }
        }


def _provider(issuer: Issuer, keys: Message) -> Message:
    split = list(issuer.space_delimited_claims)
    provider: Message = {
        "issuer": issuer.issuer,
        "forward": True,  # a route that does not keep Authorization removes it
        "payload_in_metadata": CLAIMS[1],
        "normalize_payload_in_metadata": {"space_delimited_claims": split},
        "clock_skew_seconds": round(issuer.clock_skew),
        "require_expiration": True,
        "from_headers": [{"name": "Authorization", "value_prefix": "Bearer "}],
        **keys,
    }
    return provider if "*" in issuer.audiences else {**provider, "audiences": list(issuer.audiences)}
