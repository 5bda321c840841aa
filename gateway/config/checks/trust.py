"""`identity`, the bundles of `trust_domains` and every `ocsp`: what stands together, and what each way needs."""

from gateway.config.checks.report import Report
from gateway.config.checks.urls import judge_host, judge_secure_url
from gateway.config.schema import Bundle, Config, Identity, Ocsp
from gateway.config.tree import Path

_OF_ENDPOINTS = ("profile", "ca", "endpoint_spiffe_id", "bootstrap")
_SOCKET = "unix:///"


def check(config: Config, report: Report) -> None:
    """All of them."""
    if config.identity is not None:
        _identity(report, config.identity)
    for name, domain in config.trust_domains.items():
        path: Path = ("trust_domains", name, "bundle")
        asked = config.identity is not None and config.identity.workload_api is not None
        if domain.bundle.workload_api and not asked and not report.lost_in("identity"):
            report.error(path, "nothing says where the Workload API is", "add identity.workload_api")
        elif not domain.bundle.workload_api:
            _bundle(report, path, domain.bundle)
        if domain.ocsp is not None:
            _ocsp(report, ("trust_domains", name, "ocsp"), domain.ocsp)
    for name, authority in config.client_authorities.items():
        if authority.ocsp is not None:
            _ocsp(report, ("client_authorities", name, "ocsp"), authority.ocsp)


def _ocsp(report: Report, path: Path, asked: Ocsp) -> None:
    if asked.responder is not None:
        report.one((*path, "responder"), asked.responder, judge_secure_url)
        if asked.hosts:
            report.error_at_key(
                (*path, "hosts"), "responder is asked, whatever a certificate names", "write one of both"
            )
    report.each((*path, "hosts"), asked.hosts, judge_host)


def _identity(report: Report, identity: Identity) -> None:
    path: Path = ("identity",)
    files = [key for key in ("certificate", "key") if getattr(identity, key) is not None]
    if report.lost(identity.where, "certificate", "key", "workload_api"):
        return
    if identity.workload_api is not None:
        report.one((*path, "workload_api"), identity.workload_api, _judge_socket)
        for key in files:
            report.error_at_key((*path, key), "workload_api stands beside files", "write one of both")
        return
    if len(files) < 2:
        report.error_at_key(path, "nothing proves the gateway", "write certificate and key, or workload_api")
    if identity.hint is not None:
        report.error_at_key((*path, "hint"), "a hint chooses among the SVIDs of workload_api")


def _bundle(report: Report, path: Path, bundle: Bundle) -> None:
    if report.lost(bundle.where, "file", "url", *_OF_ENDPOINTS):
        return
    if (bundle.file is None) is (bundle.url is None):
        report.error(path, "nothing says where the bundle is, or two things do", "write a file, or {url, profile}")
        return
    given = [key for key in _OF_ENDPOINTS if getattr(bundle, key) is not None]
    if bundle.url is None:
        for key in given:
            report.error_at_key((*path, key), f"{key} belongs to a bundle endpoint", "write url, or the file alone")
        return
    report.one((*path, "url"), bundle.url, judge_secure_url)
    if bundle.profile is None:
        report.error(path, "nothing says how the endpoint proves itself", "add profile: https_web or https_spiffe")
    elif bundle.profile == "https_web":
        for key in given:
            if key in ("endpoint_spiffe_id", "bootstrap"):
                report.error_at_key((*path, key), f"{key} belongs to profile https_spiffe")
    else:
        _by_svid(report, path, bundle)


def _by_svid(report: Report, path: Path, bundle: Bundle) -> None:
    from gateway.kernel.x509.spiffe import parse_leaf_id

    if bundle.url is not None and bundle.url.startswith("http:"):
        report.error((*path, "url"), "an endpoint that proves itself by an SVID has an https:// URL")
    if bundle.ca is not None:
        report.error_at_key((*path, "ca"), "ca belongs to profile https_web", "write bootstrap")
    for key in ("endpoint_spiffe_id", "bootstrap"):
        if getattr(bundle, key) is None:
            report.error(path, f"profile https_spiffe needs {key}")
    if bundle.endpoint_spiffe_id is not None:
        report.one((*path, "endpoint_spiffe_id"), bundle.endpoint_spiffe_id, parse_leaf_id)


def _judge_socket(text: str) -> None:
    if not text.startswith(_SOCKET) or "\0" in text or len(text) <= len(_SOCKET):
        raise ValueError(f"{text!r} is no socket: write unix:///absolute/path")
