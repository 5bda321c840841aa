"""Envoy's messages as plain values: what several parts of a bootstrap are made of.

Regular expressions are anchored by Envoy itself; literals in them are always escaped.
Source: Envoy v3 API (type.matcher, config.core, extensions.transport_sockets.tls).
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TypeAlias

from gateway.kernel.patterns.hosts import parse_host
from gateway.kernel.patterns.templates import is_template, parse_template
from gateway.kernel.patterns.values import Kind, parse_value

Message: TypeAlias = dict[str, object]

CLAIMS = ("envoy.filters.http.jwt_authn", "claims")  # filter and key under which a verified token's claims stand


def typed(name: str, **fields: object) -> Message:
    """A message with its type, as `typed_config` wants it."""
    return {"@type": f"type.googleapis.com/envoy.{name}", **fields}


def extension(name: str, message: str, **fields: object) -> Message:
    """A named extension with its configuration."""
    return {"name": name, "typed_config": typed(message, **fields)}


def seconds(value: float) -> str:
    """A protobuf Duration in JSON."""
    return f"{value:.3f}".rstrip("0").rstrip(".") + "s"


def regex(pattern: str) -> Message:
    """A StringMatcher over the whole value."""
    return {"safe_regex": {"regex": pattern}}


def string_match(pattern: str, *, ignore_case: bool = False) -> Message:
    """A StringMatcher of a value pattern of ours."""
    kind, literal = parse_value(pattern)
    if kind is Kind.PRESENT:
        return regex(".+")
    message: Message = {kind.value: literal}
    return {**message, "ignore_case": True} if ignore_case else message


def host_match(pattern: str) -> Message:
    """A StringMatcher over a host without its port."""
    exact = "*" not in pattern and not pattern.startswith("[")
    return string_match(parse_host(pattern) if exact else pattern, ignore_case=True)


def path_match(pattern: str) -> Message:
    """A StringMatcher over a path without its query."""
    if not is_template(pattern):
        return string_match(pattern)
    parts = {"{*}": "[^/]+", "{**}": ".*"}
    return regex("/".join(parts.get(each, re.escape(each)) for each in parse_template(pattern)))


def header(name: str, match: Message, *, invert: bool = False) -> Message:
    """A HeaderMatcher."""
    message: Message = {"name": name, "string_match": match}
    return {**message, "invert_match": True} if invert else message


def address(host: str, port: int) -> Message:
    """An Address over TCP."""
    return {"socket_address": {"address": host, "port_value": port}}


def file_source(path: Path) -> Message:
    """A DataSource; paths are absolute."""
    return {"filename": str(path.absolute())}


def set_fields(fields: Mapping[str, str]) -> list[Message]:
    """HeaderValueOptions that replace what was there; `%` is literal."""
    return [field_of(name, value.replace("%", "%%")) for name, value in fields.items()]


def field_of(name: str, value: str) -> Message:
    """One HeaderValueOption, whose value may be a command of Envoy's formatter."""
    return {"header": {"key": name, "value": value}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}
