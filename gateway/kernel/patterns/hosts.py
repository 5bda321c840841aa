"""Hosts: the grammar of an authority, and patterns over the host in it.

A host is compared in lower case, without port and without one trailing dot; an IPv6 literal keeps its brackets.
What could be read in two ways (userinfo, a comma, a space, a slash) is no authority (RFC 9112 section 3.2).
"""

from collections.abc import Sequence
from functools import lru_cache
from ipaddress import IPv6Address

from gateway.kernel.patterns.values import Match, compile_values

_HOST = "abcdefghijklmnopqrstuvwxyz0123456789-._"
_LONGEST = 253  # RFC 1035 section 2.3.4, as text


@lru_cache(1024)  # a gateway serves few hosts, and what is no host is not remembered
def parse_authority(authority: str) -> tuple[str, int | None]:
    """Host and port of `authority`. Raises ValueError when it does not fit the grammar.

    Source: RFC 3986 section 3.2.2 without userinfo; registered names are held to letters, digits, `-`, `.` and `_`.
    """
    if authority.startswith("["):
        return _ipv6_literal(authority)
    host, colon, port = authority.partition(":")
    return parse_host(host), parse_port(port) if colon else None


def parse_host(host: str) -> str:
    """`host` as it is compared. Raises ValueError."""
    host = host.lower()
    host = host.removesuffix(".")
    if not host or len(host) > _LONGEST or host.strip(_HOST) or host[0] == "." or host[-1] == "." or ".." in host:
        raise ValueError("not a host name")
    return host


def parse_port(port: str) -> int | None:
    """A port number; None for the empty port that RFC 3986 section 3.2.3 allows. Raises ValueError."""
    if not port:
        return None
    if len(port) > 5 or not (port.isascii() and port.isdigit()) or not 0 < int(port) < 65536:
        raise ValueError("not a port: write a number from 1 to 65535")
    return int(port)


def _ipv6_literal(authority: str) -> tuple[str, int | None]:
    literal, bracket, rest = authority[1:].partition("]")
    if not bracket or "%" in literal or (rest and rest[0] != ":"):
        raise ValueError("not an IPv6 literal")
    return f"[{IPv6Address(literal)}]", parse_port(rest[1:])


def parse_route_host(pattern: str) -> tuple[str, str]:
    """A host pattern of a route: ("exact", host), ("below", suffix without "*.") or ("any", ""). Raises ValueError."""
    if pattern == "*":
        return "any", ""
    if pattern.startswith("*."):
        return "below", _pattern_host(pattern, pattern[2:])
    return "exact", _pattern_host(pattern, pattern)


def _pattern_host(pattern: str, text: str) -> str:
    if "*" in text:
        raise ValueError(f'"{pattern}": write a host, "*.suffix" for every host below it, or "*"')
    if not text.isascii():
        raise ValueError(f'"{pattern}": write the host in its ASCII form (xn--…)')
    if ":" in text and not text.startswith("["):
        raise ValueError(f'"{pattern}": hosts stand without a scheme and a port here: write "{_bare(text)}"')
    try:
        host, port = parse_authority(text)
    except ValueError:
        raise ValueError(f'"{pattern}" is no host name: write one like "api.example.com"') from None
    if port is not None:
        raise ValueError(f'"{pattern}": hosts stand without their port here: write "{host}"')
    return host


def _bare(text: str) -> str:
    return text.rpartition("//")[2].partition(":")[0].partition("/")[0] or "api.example.com"


def compile_hosts(patterns: Sequence[str]) -> Match:
    """A predicate over hosts as a request carries them: value patterns in any case. Raises ValueError.

    Exact hosts are held to the grammar, for one with a port or a scheme would never match.
    """
    values = []
    for pattern in patterns:
        if pattern and "*" not in pattern:
            values.append(_pattern_host(pattern, pattern))
            continue
        literal = pattern.strip("*").lower()
        if literal and literal.strip(_HOST) and not literal.startswith("["):
            raise ValueError(f'"{pattern}": hosts stand without a scheme and a port here, in ASCII')
        values.append(pattern.lower())
    return compile_values(values)
