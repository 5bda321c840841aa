"""Where the gateway listens: addresses that clash, TLS that is missing, trust that leads nowhere.

Without TLS a listener stands on loopback or only redirects.
"""

from gateway.config.checks.report import Report
from gateway.config.schema import Address, Config, Listener, ListenerTls
from gateway.config.tree import Path


def check(config: Config, report: Report) -> None:
    """Listeners and the admin address."""
    taken: list[tuple[Address, str]] = []
    for name, listener in config.listeners.items():
        path: Path = ("listeners", name)
        _clash(report, (*path, "address"), listener.address, taken)
        taken.append((listener.address, f"the listener {name}"))
        _transport(report, path, listener)
        if listener.tls is not None:
            _tls(report, (*path, "tls"), listener.tls)
            _client_certificate(config, report, (*path, "tls", "client_certificate"), listener.tls)
    if config.admin is not None:
        _clash(report, ("admin", "address"), config.admin.address, taken)
        if config.admin.tls is not None:
            _tls(report, ("admin", "tls"), config.admin.tls)
            _client_certificate(config, report, ("admin", "tls", "client_certificate"), config.admin.tls)


def _clash(report: Report, path: Path, address: Address, taken: list[tuple[Address, str]]) -> None:
    for other, whose in taken:
        if _same(address, other):
            report.error(path, f"{address} is taken by {whose}", "each has an address of its own")


def _same(one: Address, other: Address) -> bool:
    """True when both cannot be listened on at once; port 0 never clashes."""
    if one.unix or other.unix:
        return one.unix == other.unix
    if one.port != other.port or one.port == 0:
        return False
    hosts = {one.host, other.host}
    return len(hosts) == 1 or bool(hosts & {"0.0.0.0", "::"}) or hosts <= {"localhost", "127.0.0.1", "::1"}  # noqa: S104


def _transport(report: Report, path: Path, listener: Listener) -> None:
    if report.lost(listener.where, "tls", "redirect", "address"):
        return
    if listener.tls is None and listener.redirect is None and not listener.address.loopback:
        report.error(
            (*path, "address"),
            f"the listener {listener.name} has no tls and can be reached from other machines",
            "add tls, or redirect: https, or listen on 127.0.0.1",
        )
    if listener.tls is not None and listener.redirect is not None:
        report.error_at_key((*path, "redirect"), "a listener with tls cannot redirect to https", "remove one of them")
    if listener.proxy_protocol and not listener.trusted_proxies:
        report.error_at_key(
            (*path, "proxy_protocol"), "nobody is trusted to say whose connection it is", "name trusted_proxies"
        )
    if listener.acme is not None and listener.redirect is None:
        report.error_at_key((*path, "acme"), "acme serves challenges beside redirect: https", "add redirect: https")


def _tls(report: Report, path: Path, tls: ListenerTls) -> None:
    if report.lost(tls.where, "certificate", "key", "certificates"):
        return
    if tls.certificates and (tls.certificate or tls.key):
        report.error_at_key(
            (*path, "certificates"), "certificate and key stand beside certificates", "write one of both"
        )
    elif tls.certificate is None and tls.key is None and not tls.certificates:
        report.error(path, "tls needs certificate and key")
    elif tls.key is None and not tls.certificates:
        report.error(path, "'key' is missing")
    elif tls.certificate is None and not tls.certificates:
        report.error(path, "'certificate' is missing")
    if len(tls.certificates) > 1 and tls.resumption and "resumption" in tls.model_fields_set:
        report.warn((*path, "resumption"), "nothing is resumed where SNI chooses between certificates")


def _client_certificate(config: Config, report: Report, path: Path, tls: ListenerTls) -> None:
    if config.trust_domains or config.client_authorities or not report.stands(path):
        return
    if report.lost_in("trust_domains") or report.lost_in("client_authorities"):
        return
    if tls.client_certificate == "required":
        report.error(
            path,
            "client certificates are required, and nothing says whose are believed",
            "add trust_domains or client_authorities",
        )
