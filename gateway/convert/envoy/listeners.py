"""Listeners: sockets, TLS with client certificates, and the HTTP connection manager with its filters in our order.

A client certificate is verified by the bundle of its own trust domain.
Source: Envoy v3 API, config.listener.v3, http_connection_manager.v3, tls_spiffe_validator_config.
"""

from pathlib import Path

from gateway.config.schema import Config, Listener, ListenerTls, RevocationLists
from gateway.convert.envoy.limits import Limits
from gateway.convert.envoy.protos import Message, address, extension, file_source, seconds, typed
from gateway.convert.envoy.routes import Routes, cors_filter, router, to_https
from gateway.convert.envoy.rules import filters as rule_filters
from gateway.convert.envoy.tokens import Tokens
from gateway.convert.report import Report

_TLS = "extensions.transport_sockets.tls.v3"
_HCM = "extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
_VERSIONS = {"1.2": "TLSv1_2", "1.3": "TLSv1_3"}
_LOG = {
    "time": "%START_TIME(%Y-%m-%dT%H:%M:%S.%6fZ)%", "request_id": "%REQ(X-REQUEST-ID)%", "route": "%ROUTE_NAME%",
    "method": "%REQ(:METHOD)%", "host": "%REQ(:AUTHORITY)%", "path": "%PATH(NQ)%", "status": "%RESPONSE_CODE%",
    "details": "%RESPONSE_CODE_DETAILS%", "workload": "%DOWNSTREAM_PEER_URI_SAN%",
    "client_ip": "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%", "upstream": "%UPSTREAM_CLUSTER%",
    "duration_ms": "%DURATION%", "bytes_in": "%BYTES_RECEIVED%", "bytes_out": "%BYTES_SENT%",
}  # fmt: skip


class Listeners:
    """Writes the listeners of a file."""

    def __init__(self, config: Config, routes: Routes, tokens: Tokens, limits: Limits, report: Report) -> None:
        self._config = config
        self._routes = routes
        self._tokens = tokens
        self._limits = limits
        self._report = report

    def listener(self, listener: Listener) -> Message:
        """One of them."""
        manager = self._manager(listener)
        network: list[Message] = [
            extension(
                "envoy.filters.network.connection_limit",
                "extensions.filters.network.connection_limit.v3.ConnectionLimit",
                stat_prefix=listener.name,
                max_connections=listener.limits.connections,
            ),
            {"name": "envoy.filters.network.http_connection_manager", "typed_config": manager},
        ]
        chain: Message = {"filters": network}
        message: Message = {
            "name": listener.name,
            "address": address(_host(listener.address.host), listener.address.port),
            "filter_chains": [chain],
        }
        if listener.tls is not None:
            chain["transport_socket"] = self._tls(listener, listener.tls)
            chain["transport_socket_connect_timeout"] = seconds(listener.limits.header_timeout)
            message["listener_filters"] = [
                extension(
                    "envoy.filters.listener.tls_inspector",
                    "extensions.filters.listener.tls_inspector.v3.TlsInspector",
                )
            ]
        return message

    def _manager(self, listener: Listener) -> Message:
        limits = listener.limits
        fields: Message = {
            "stat_prefix": listener.name,
            "codec_type": "AUTO",
            "server_name": "gateway",
            "server_header_transformation": "PASS_THROUGH",
            "access_log": [
                extension(
                    "envoy.access_loggers.stdout",
                    "extensions.access_loggers.stream.v3.StdoutAccessLog",
                    log_format={"json_format": dict(_LOG)},
                )
            ],
            "common_http_protocol_options": {
                "idle_timeout": seconds(limits.idle_timeout),
                "max_headers_count": limits.headers,
                "headers_with_underscores_action": "DROP_HEADER",
            },
            "max_request_headers_kb": -(-limits.header_bytes // 1024),
            "request_headers_timeout": seconds(limits.header_timeout),
            "stream_idle_timeout": "0s",
            "normalize_path": True,
            "merge_slashes": listener.paths.double_slash == "merge",
            "path_with_escaped_slashes_action": (
                "REJECT_REQUEST" if listener.paths.encoded_slash == "reject" else "KEEP_UNCHANGED"
            ),
            "strip_any_host_port": True,
            "strip_trailing_host_dot": True,
            "forward_client_cert_details": "SANITIZE_SET",
            "set_current_client_cert_details": {"uri": True, "dns": True},
            "generate_request_id": True,
            "http_filters": self._filters(listener),
        }
        if listener.redirect is not None:
            fields["http_filters"] = [router()]
            fields["route_config"] = to_https(listener)
        else:
            fields["route_config"] = self._routes.configuration(listener)
            fields["http_filters"] = self._filters(listener)  # once the routes have said what they want of a token
        return typed(_HCM, **fields, **_client_address(listener))

    def _filters(self, listener: Listener) -> list[Message]:
        return [
            cors_filter(),
            *self._limits.filters(listener, by_caller=False),
            *self._tokens.filters(),
            *self._limits.filters(listener, by_caller=True),
            *rule_filters(),
            router(),
        ]

    def _tls(self, listener: Listener, tls: ListenerTls) -> Message:
        pairs = [
            {"certificate_chain": file_source(pair.certificate), "private_key": file_source(pair.key)}
            for pair in tls.pairs
        ]
        common: Message = {
            "tls_params": {"tls_minimum_protocol_version": _VERSIONS[tls.min_version]},
            "tls_certificates": pairs,
            "alpn_protocols": list(listener.protocols),
        }
        context: Message = {"common_tls_context": common}
        if not tls.resumption:
            context |= {"disable_stateless_session_resumption": True, "disable_stateful_session_resumption": True}
        if tls.client_certificate in ("optional", "required"):
            common["validation_context"] = self._validation()
            context["require_client_certificate"] = tls.client_certificate == "required"
        if tls.client_certificate == "optional" and len(self._config.trust_domains) > 1:
            why = "by several trust domains Envoy asks every client for a certificate: required"
            self._report.lose(tls.where, "", f"listeners.{listener.name}.tls.client_certificate", why)
        return extension("envoy.transport_sockets.tls", f"{_TLS}.DownstreamTlsContext", **context)

    def _validation(self) -> Message:
        """One trust domain by its roots; several by Envoy's own validator, which holds each to its roots.

        Names are asked by the rules (`Rules`): asked here, they would make a certificate required.
        """
        domains = [(name, held.bundle.file) for name, held in self._config.trust_domains.items()]
        bundles = [(name, bundle) for name, bundle in domains if bundle is not None]
        if len(domains) > 1:
            entries = [{"name": name, "trust_bundle": file_source(bundle)} for name, bundle in bundles]
            message = f"{_TLS}.SPIFFECertValidatorConfig"
            validator = extension("envoy.tls.cert_validator.spiffe", message, trust_domains=entries)
            return {"custom_validator_config": validator}
        if bundles:
            name, bundle = bundles[0]
            return _roots(bundle, _file_of(self._config.trust_domains[name].crl))
        for authority in self._config.client_authorities.values():
            return _roots(authority.bundle, _file_of(authority.crl))
        return {}  # nobody is believed: the bundles of the trust domains do not lie in files


def _file_of(lists: RevocationLists | None) -> Path | None:
    return lists.file if lists is not None else None


def _roots(bundle: Path, crl: Path | None) -> Message:
    """A CertificateValidationContext."""
    context: Message = {"trusted_ca": file_source(bundle)}
    if crl is not None:
        context |= {"crl": file_source(crl), "only_verify_leaf_cert_crl": True}
    return context


def _client_address(listener: Listener) -> Message:
    """Who the client is: the peer, or what trusted proxies say."""
    if not listener.trusted_proxies:
        return {"use_remote_address": True, "skip_xff_append": False}
    ranges = [
        {"address_prefix": str(network.network_address), "prefix_len": network.prefixlen}
        for network in listener.trusted_proxies
    ]
    return {
        "use_remote_address": False,
        "original_ip_detection_extensions": [
            extension(
                "envoy.http.original_ip_detection.xff",
                "extensions.http.original_ip_detection.xff.v3.XffConfig",
                xff_trusted_cidrs={"cidrs": ranges},
                skip_xff_append=False,
            )
        ],
    }


def _host(host: str) -> str:
    return "127.0.0.1" if host == "localhost" else host
