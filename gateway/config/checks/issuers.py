"""Issuers: exact, distinct, and fetched over a protected way.

An issuer that is the beginning of another would let one tenant of a provider speak for another (J21).
"""

from gateway.config.checks.clients import judge_client
from gateway.config.checks.report import Report
from gateway.config.checks.urls import judge_secure_url
from gateway.config.schema import Config, Introspection, Issuer
from gateway.config.tree import Path


def check(config: Config, report: Report) -> None:
    """Issuers against each other, and their URLs."""
    seen: list[tuple[str, Issuer]] = []
    for name, issuer in config.issuers.items():
        path: Path = ("issuers", name)
        for other, known in seen:
            _distinct(report, (*path, "issuer"), issuer.issuer, other, known.issuer)
        seen.append((name, issuer))
        _urls(report, path, issuer)
        if issuer.introspection is not None:
            _introspection(config, report, (*path, "introspection"), issuer.introspection)
        _receiving(config, report, path, issuer)
        if len(set(issuer.audiences)) > 1 and "*" in issuer.audiences:
            report.error(
                (*path, "audiences"), '"*" says any audience: the others mean nothing', "write one or the other"
            )


def _receiving(config: Config, report: Report, path: Path, issuer: Issuer) -> None:
    """Where it tells of logouts and events, which is on listeners with TLS alone."""
    if any(listener.tls is not None for listener in config.listeners.values()):
        return
    for key in ("backchannel_logout", "shared_signals"):
        if getattr(issuer, key) is not None:
            report.warn_at_key((*path, key), "no listener has tls, so there is no address that it could be sent to")


def _introspection(config: Config, report: Report, path: Path, asked: Introspection) -> None:
    first = next(name for name, issuer in config.issuers.items() if issuer.introspection is not None)
    if first != path[1]:
        report.error_at_key(
            path, f"the issuer {first} has introspection already", "an opaque token does not say whose it is"
        )
    judge_client(report, path, asked)


def _distinct(report: Report, path: Path, url: str, other: str, known: str) -> None:
    if url.rstrip("/") == known.rstrip("/"):
        report.error(path, f"the issuer {other} has this URL already", "two issuers never share one")
    elif url.startswith(known.rstrip("/") + "/") or known.startswith(url.rstrip("/") + "/"):
        report.error(
            path, f"one of this URL and that of the issuer {other} begins with the other", "a rule could confuse them"
        )


def _urls(report: Report, path: Path, issuer: Issuer) -> None:
    given = issuer.jwks.file is not None or issuer.jwks_uri is not None or report.lost(issuer.where, "jwks", "jwks_uri")
    where = (*path, "issuer")
    if "?" in issuer.issuer or "*" in issuer.issuer:
        report.error(where, f"{issuer.issuer!r}: an issuer has no query and no *")
    elif "://" in issuer.issuer or not given:
        report.one(where, issuer.issuer, judge_secure_url)
    if issuer.jwks_uri is not None:
        report.one((*path, "jwks_uri"), issuer.jwks_uri, judge_secure_url)
        if issuer.jwks.file is not None:
            report.error_at_key((*path, "jwks_uri"), "jwks names a file and jwks_uri a URL", "write one of both")
