"""What proves the gateway to an issuer: enough, and nothing besides."""

from gateway.config.checks.report import Report
from gateway.config.checks.urls import judge_secure_url
from gateway.config.schema import OAuthClient
from gateway.config.tree import Path

_GIVEN = ("client_secret", "client_key", "client_certificate")
_NEEDED = {
    "client_secret_basic": ("client_secret",),
    "client_secret_post": ("client_secret",),
    "private_key_jwt": ("client_key",),
    "tls_client_auth": ("client_certificate", "client_key"),
}


def judge_client(report: Report, path: Path, asked: OAuthClient) -> None:
    """Its URL, and what goes with its way to prove who asks."""
    if asked.url is not None:
        report.one((*path, "url"), asked.url, judge_secure_url)
    method = asked.method
    if report.lost(asked.where, *_GIVEN, "auth_method"):
        return
    for key in _NEEDED[method]:
        if getattr(asked, key) is None:
            hint = "or client_key, or client_certificate and client_key" if key == "client_secret" else ""
            report.error(path, f"{method} needs {key}", hint)
    for key in _GIVEN:
        if getattr(asked, key) is not None and key not in _NEEDED[method]:
            report.error_at_key((*path, key), f"{key} means nothing to {method}", "remove it, or write auth_method")
