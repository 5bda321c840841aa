"""Issuers: exact, distinct, and fetched over a protected way.

An issuer that is the beginning of another would let one tenant of a provider speak for another (J21).
"""

from gateway.config.checks.report import Report
from gateway.config.checks.urls import judge_secure_url
from gateway.config.schema import Config, Issuer
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
        if len(set(issuer.audiences)) > 1 and "*" in issuer.audiences:
            report.error(
                (*path, "audiences"), '"*" says any audience: the others mean nothing', "write one or the other"
            )


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
