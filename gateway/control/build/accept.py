"""Listeners and body limits of the config into the accept stage.

Which certificate covers which host is read from the certificates' DNS names, as TLS clients read them (RFC 9525).
The name under which the gateway stands in Via comes from the file: the same in every worker and replica.
"""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from cryptography import x509

from gateway.config.schema import UNLIMITED, Config, Listener
from gateway.control.build.route import build_routes
from gateway.kernel.patterns.blocks import compile_blocks
from gateway.kernel.patterns.paths import compile_normaliser
from gateway.stages.accept import (
    Accept,
    AcceptUpgrades,
    Covering,
    ListenerSettings,
    WebSockets,
    sampling,
    trace_context,
)

Names = Sequence[tuple[str, ...]]  # of each of a listener's certificates


def build_accept(config: Config, names: Mapping[str, Names] | None = None) -> Accept:
    """The accept stage of `config`. Raises OSError or ValueError for a certificate that cannot be read.

    `names`: by listener, of the certificates that are at work; None: read them from the files.
    """
    held = names if names is not None else {name: _names(listener) for name, listener in config.listeners.items()}
    listeners = {name: _listener(listener, held.get(name, ())) for name, listener in config.listeners.items()}
    max_body = {index: _body(route.max_body) for index, route in enumerate(config.routes) if route.max_body is not None}
    websockets = {
        index: WebSockets(frozenset(route.websocket.origins), route.websocket.token_subprotocol)
        for index, route in enumerate(config.routes)
        if route.websocket is not None
    }
    take_trace = trace_context if config.telemetry is None else sampling(config.telemetry.sample.value / 100)
    if not websockets:
        return Accept(listeners, max_body, via_pseudonym(config), take_trace)
    return AcceptUpgrades(listeners, max_body, via_pseudonym(config), websockets, build_routes(config), take_trace)


def via_pseudonym(config: Config) -> str:
    """The received-by of this gateway in Via (RFC 9110 section 7.6.3), also where `forward` adds it.

    Replicas of one file share it, so that a loop through a neighbour is a loop; other gateways have others.
    """
    return "gateway-" + hashlib.sha256(b"via\n" + config.digest.encode()).hexdigest()[:16]


def _names(listener: Listener) -> Names:
    pairs = listener.tls.pairs if listener.tls is not None else ()
    if len(pairs) < 2:
        return ()  # one certificate covers all or nothing
    return [dns_names(pair.certificate) for pair in pairs]


def _listener(listener: Listener, names: Names) -> ListenerSettings:
    return ListenerSettings(
        compile_normaliser(
            merge_slashes=listener.paths.double_slash == "merge",
            keep_encoded_slash=listener.paths.encoded_slash == "keep",
            keep_semicolon=listener.paths.semicolon == "keep",
        ),
        compile_blocks(listener.trusted_proxies) if listener.trusted_proxies else None,
        covering(names) if len(names) > 1 else None,
        _body(listener.limits.body),
    )


def _body(size: int | None) -> int | None:
    return None if size == UNLIMITED else size


def dns_names(certificate: Path) -> tuple[str, ...]:
    """The DNS names of the first certificate of a PEM file. Raises OSError, ValueError."""
    return names_of(x509.load_pem_x509_certificate(certificate.read_bytes()))


def names_of(leaf: x509.Certificate) -> tuple[str, ...]:
    """The DNS names of a certificate, lower case; the common name never counts."""
    try:
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    return tuple(name.lower() for name in names.get_values_for_type(x509.DNSName))


def covering(entries: Sequence[tuple[str, ...]]) -> Covering:
    """Which of `entries` cover a host: by its name, or by `*.` before all but its first label."""
    exact: dict[str, tuple[int, ...]] = {}
    for index, names in enumerate(entries):
        for name in names:
            exact[name] = (*exact.get(name, ()), index)

    def covered_by(host: str) -> tuple[int, ...]:
        dot = host.find(".")
        wildcard = exact.get("*" + host[dot:], ()) if dot > 0 else ()
        return exact.get(host, ()) + wildcard

    return covered_by
