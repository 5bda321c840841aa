"""Postures: one source each, a device that can be known, conditions that compile."""

from gateway.config.checks.expressions import judge_expression
from gateway.config.checks.report import Report
from gateway.config.checks.urls import judge_secure_url
from gateway.config.schema import Config, PostureSource
from gateway.config.tree import Path
from gateway.stages.posture import compile_device, compile_require
from gateway.stages.posture.sources.certificate import check_oid

_DEVICE = "{device}"
_SOURCES = ("claim", "certificate", "file", "http", "store")
_WRITE = "name a Redis as store"


def check(config: Config, report: Report) -> None:
    """Every posture."""
    for name, posture in config.posture.items():
        path: Path = ("posture", name)
        _source(report, (*path, "source"), posture.source)
        if posture.device is not None:
            report.one((*path, "device"), posture.device, compile_device)
        elif (
            posture.source.claim is None
            and posture.source.certificate is None
            and not report.lost(posture.where, "device", "source")
        ):
            report.error(path, "'device' is missing", "write certificate.fingerprint, certificate.uri or claims.NAME")
        for index, text in enumerate(posture.require):
            judge_expression(report, (*path, "require", index), text, compile_require)
        if posture.source.store is not None and config.store.get_secret_value() == "memory://":
            report.warn((*path, "source", "store"), "nobody can write into memory://: no device is ever known", _WRITE)


def _names_itself(source: PostureSource) -> bool:
    return source.claim is not None or source.certificate is not None


def _source(report: Report, path: Path, source: PostureSource) -> None:
    named = [key for key in _SOURCES if getattr(source, key) is not None]
    if len(named) != 1 and not report.lost(source.where, *_SOURCES):
        report.error(path, "a source is one of claim, certificate, file, http and store", "write one of them")
    if source.certificate is not None:
        report.one((*path, "certificate"), source.certificate, check_oid)
    if source.http is not None:
        report.one((*path, "http"), source.http, _judge_template)
    if source.ca is not None and source.http is None:
        report.error_at_key((*path, "ca"), "ca is of an http source")


def _judge_template(text: str) -> None:
    """Raises ValueError."""
    judge_secure_url(text.replace(_DEVICE, "device"))
    host_and_path = text.partition("://")[2]
    if _DEVICE not in host_and_path.partition("/")[2]:
        raise ValueError(f"{text!r} does not say where the device stands: write {_DEVICE} in its path")
    if _DEVICE in host_and_path.partition("/")[0] or "{" in text.replace(_DEVICE, ""):
        raise ValueError(f"{text!r}: {_DEVICE} stands in the path, and no other {{}} anywhere")
