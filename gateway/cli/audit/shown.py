"""A record as a line for people. What a client sent stays escaped as it is stored: it drives no terminal."""

import json
from collections.abc import Mapping
from typing import Any

from gateway.cli.output import paint

_COLOURS = {"allow": "green", "deny": "red", "challenge": "red", "error": "red"}
_COMMON = ("type", "time", "seq", "stream", "prev", "hash")


def shown(record: Mapping[str, Any]) -> str:
    """Time, place and what happened."""
    kind = record.get("type", "?")
    if kind == "decision":
        said = _decision(record)
    elif kind == "outcome":
        said = _outcome(record)
    else:
        members = (f"{name}={_text(value)}" for name, value in record.items() if name not in _COMMON)
        said = " ".join(one for one in members if len(one) < 200)
    return f"{record.get('time')} {record.get('stream')}:{record.get('seq')} {kind} {said}"


def _decision(record: Mapping[str, Any]) -> str:
    effect = str(record.get("effect"))
    parts = [
        paint(effect, _COLOURS.get(effect, "yellow")),
        _text(record.get("method")),
        f"{_text(record.get('host') or '')}{_text(record.get('path'))}",
        f"by {_caller(record)}",
        f"route={_text(record.get('route'))}",
    ]
    parts += [f"{name}={_text(record[name])}" for name in ("reason", "rule") if record.get(name) is not None]
    return " ".join([*parts, f"request={_text(record.get('request_id'))}"])


def _outcome(record: Mapping[str, Any]) -> str:
    names = ("status", "duration_ms", "route", "upstream", "endpoint", "bytes_in", "bytes_out", "reason")
    said = " ".join(f"{name}={_text(record[name])}" for name in names if record.get(name) is not None)
    return f"{said} request={_text(record.get('request_id'))}"


def _caller(record: Mapping[str, Any]) -> str:
    user = record.get("user")
    callers = [f"{_text(user.get('issuer'))}/{_text(user.get('subject'))}"] if isinstance(user, dict) else []
    if record.get("workload") is not None:
        callers.append(_text(record["workload"]))
    return " as ".join(callers) or _text(record.get("client_ip"))


def _text(value: object) -> str:
    """Printable ASCII: a text as it is, where it can be told apart, else as JSON."""
    if isinstance(value, str) and value.isascii() and value.isprintable() and value and " " not in value:
        return value
    return json.dumps(value)
