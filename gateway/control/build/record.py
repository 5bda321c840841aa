"""`audit` of the config into the audit log of a worker and the record stage of a snapshot.

The log outlives reloads: `log_settings` says whether the one that is open still fits. Only here are its keys read.
"""

import hmac
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from hashlib import sha256
from typing import TYPE_CHECKING

from gateway.config.schema import Audit, Config
from gateway.control.build.authorize import Inputs as Named
from gateway.control.build.authorize import build_inputs
from gateway.control.build.sinks import open_sinks, sink_settings
from gateway.control.build.telemetry import Telemetry, build_tracing
from gateway.kernel.cells import Metrics
from gateway.model.json import JSON
from gateway.stages.record import (
    AuditError,
    AuditLog,
    Inputs,
    LogSettings,
    Record,
    RecordedRoute,
    RecordSettings,
    Redaction,
    TracedRecord,
)

if TYPE_CHECKING:
    from gateway.stages.record.chain import Sign

_REDACTION_LABEL = b"gateway-audit-redaction/1"


@dataclass(frozen=True, slots=True)
class AuditKeys:
    """What signs checkpoints, and what hides redacted values."""

    name: str | None  # a digest of the public key; None: checkpoints are unsigned
    sign: "Sign | None" = field(repr=False)
    redaction: bytes = field(repr=False)  # 32 bytes


def read_audit_keys(audit: Audit) -> AuditKeys:
    """The keys of `audit.signing_key`; without one values are hidden under a key of this process alone.

    Raises AuditError where the file holds no Ed25519 private key.
    """
    if audit.signing_key is None:
        return AuditKeys(None, None, _process_key())
    from gateway.kernel.ed25519 import read_private_key

    try:
        key = read_private_key(audit.signing_key)
    except ValueError as error:
        raise AuditError(str(error)) from None
    except OSError as error:
        raise AuditError(f"{audit.signing_key}: the audit signing key cannot be read: {error.strerror}") from None
    return AuditKeys(
        sha256(key.public_key().public_bytes_raw()).hexdigest(),
        key.sign,
        hmac.digest(key.private_bytes_raw(), _REDACTION_LABEL, "sha256"),
    )


def log_settings(audit: Audit, keys: AuditKeys, worker: int, collector: str | None = None) -> LogSettings:
    """What the log of worker number `worker` must be. Equal settings: the log that is open stays.

    `collector`: telemetry.otlp, where a sink sends to it.
    """
    return LogSettings(
        audit.directory,
        f"{audit.replica}-w{worker}",
        keys.name,
        audit.checkpoint,
        audit.durability,
        audit.segment.size,
        audit.segment.age,
        audit.keep,
        sink_settings(audit, collector),
    )


def open_audit_log(
    audit: Audit,
    keys: AuditKeys,
    worker: int,
    metrics: Metrics,
    *,
    collector: str | None = None,
    clock: Callable[[], float] = time.time,
) -> AuditLog:
    """Open the log and continue its stream; `start()` it on the loop. Raises AuditError."""
    settings = log_settings(audit, keys, worker, collector)
    return AuditLog(
        settings,
        sign=keys.sign,
        clock=clock,
        records=metrics.audit_records,
        lag=metrics.audit_lag,
        sinks=open_sinks(settings.sinks, settings.stream, metrics),
    )


def build_record(
    config: Config, keys: AuditKeys, log: AuditLog, metrics: Metrics, telemetry: Telemetry | None = None
) -> Record:
    """The record stage of `config` over an open log."""
    audit = config.audit
    redaction = Redaction(audit.inputs, audit.redact, keys.redaction)
    named = build_inputs(config) if audit.inputs != "none" else {}
    nothing = Named(frozenset(), frozenset(), frozenset())
    alike: dict[tuple[object, ...], Inputs] = {}  # thousands of routes read few things
    routes = []
    for index, route in enumerate(config.routes):
        facts = named.get(index, nothing)
        key = facts.headers, facts.claims, facts.device
        inputs = alike.get(key)
        if inputs is None:
            inputs = alike[key] = Inputs(redaction, headers=facts.headers, claims=facts.claims, facts=facts.device)
        routes.append(RecordedRoute(route.name, inputs))
    settings = RecordSettings(config.digest, tuple(routes), audit.on_failure == "deny")
    if telemetry is None:
        return Record(settings, log, metrics)
    return TracedRecord(settings, log, metrics, build_tracing(config, telemetry, redaction))


def input_names(config: Config) -> JSON:
    """By route, the headers and the claims (joined by dots) that its records show where they are there."""
    if config.audit.inputs == "none":
        return {}
    return {
        config.routes[index].name: {
            "headers": sorted(named.headers),
            "claims": sorted(".".join(path) for path in named.claims),
        }
        for index, named in build_inputs(config).items()
        if named.headers or named.claims
    }


def grants_told(config: Config) -> JSON:
    """Who granted what, until when and why; None where nothing is granted."""
    if not config.granted:
        return None
    return [
        {
            "rule": each.rule.name,
            "routes": list(each.routes),
            "by": each.by,
            "reason": each.reason,
            "issued": each.begins,
            "until": each.ends,
        }
        for each in config.granted
    ]


@cache
def _process_key() -> bytes:
    return secrets.token_bytes(32)
