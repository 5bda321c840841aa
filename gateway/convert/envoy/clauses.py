"""The keys of a rule as Envoy's RBAC asks them: principals for who, permissions for what.

Absence is as here: a negated key on something absent holds in DENY and not in ALLOW, so there presence is asked too.
Source: Envoy v3 API, config.rbac.v3.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

from gateway.convert.envoy.protos import CLAIMS, Message, header, host_match, path_match, regex, string_match
from gateway.kernel.patterns.blocks import parse_block
from gateway.kernel.patterns.values import Kind, parse_value

_Make: TypeAlias = Callable[[str], Message]
_ANYONE = "spiffe://[^/]+/ns/[^/]+/sa/[^/]+"


def all_ids(ids: Sequence[Message]) -> Message:
    """A Principal that asks all of these."""
    return ids[0] if len(ids) == 1 else {"and_ids": {"ids": list(ids)}} if ids else {"any": True}


def any_id(ids: Sequence[Message]) -> Message:
    """A Principal that asks one of these."""
    return ids[0] if len(ids) == 1 else {"or_ids": {"ids": list(ids)}}


def all_rules(rules: Sequence[Message]) -> Message:
    """A Permission that asks all of these."""
    return rules[0] if len(rules) == 1 else {"and_rules": {"rules": list(rules)}} if rules else {"any": True}


def any_rule(rules: Sequence[Message]) -> Message:
    """A Permission that asks one of these."""
    return rules[0] if len(rules) == 1 else {"or_rules": {"rules": list(rules)}}


def workload(match: Message | None) -> Message:
    """The identity of the client certificate; without `match` any.

    Without a name Envoy would take every TLS connection for authenticated, certificate or not.
    """
    return {"authenticated": {"principal_name": match if match is not None else regex(".+")}}


def claim(path: Sequence[str], value: Message) -> Message:
    """A claim of the verified token."""
    keys = [{"key": key} for key in (CLAIMS[1], *path)]
    return {"sourced_metadata": {"metadata_matcher": {"filter": CLAIMS[0], "path": keys, "value": value}}}


def text_value(match: Message) -> Message:
    """A claim that is this text, or a list that holds it."""
    alone: Message = {"string_match": match}
    return {"or_match": {"value_matchers": [alone, {"list_match": {"one_of": alone}}]}}


def cidr(block: str) -> Message:
    """A CidrRange."""
    network = parse_block(block)
    return {"address_prefix": str(network.network_address), "prefix_len": network.prefixlen}


def _within(pattern: str) -> str:
    """A value pattern within one segment of an id, as a regular expression."""
    kind, literal = parse_value(pattern)
    escaped = re.escape(literal)
    return {
        Kind.PRESENT: "[^/]+",
        Kind.EXACT: escaped,
        Kind.PREFIX: f"{escaped}[^/]*",
        Kind.SUFFIX: f"[^/]*{escaped}",
    }[kind]


def _principal(pattern: str) -> Message:
    if pattern == "*":
        return workload(None)
    return workload(string_match(pattern.removeprefix("dns:")))


class Identities:
    """Who: `from`, and the conditions that ask the same."""

    def __init__(self, issuers: Mapping[str, str]) -> None:
        """`issuers`: URL by name."""
        self._issuers = issuers
        self._make: dict[str, tuple[_Make, Message]] = {
            "principals": (_principal, workload(None)),
            "namespaces": (_part("spiffe://[^/]+/ns/{}/sa/[^/]+"), workload(regex(_ANYONE))),
            "service_accounts": (_account, workload(regex(_ANYONE))),
            "trust_domains": (_part("spiffe://{}(/.*)?"), workload(regex("spiffe://.*"))),
            "request_principals": (self.request_principal, self.request_principal("*")),
            "issuers": (lambda name: self._issued(issuers[name]), claim(["iss"], {"present_match": True})),
            "ip_blocks": (lambda block: {"direct_remote_ip": cidr(block)}, {"any": True}),
            "remote_ip_blocks": (lambda block: {"remote_ip": cidr(block)}, {"any": True}),
        }

    def clause(self, key: str, values: Sequence[str], *, deny: bool) -> Message:
        """One key of `from`, with or without `not_`."""
        plain = key.removeprefix("not_")
        make, present = self._make[plain]
        asked = any_id([make(value) for value in values])
        return asked if key == plain else none_of(asked, present, deny=deny)

    def _issued(self, url: str, *more: Message) -> Message:
        return all_ids([claim(["iss"], {"string_match": {"exact": url}}), *more])

    def request_principal(self, pattern: str) -> Message:
        """`iss/sub`: only the file's own issuers have tokens that count, so each is asked with what is left for sub."""
        kind, literal = parse_value(pattern)
        found: list[Message] = []
        for url in self._issuers.values():
            subjects = [claim(["sub"], {"string_match": each}) for each in _subjects(url, kind, literal)]
            found += [self._issued(url, subject) for subject in subjects]
        return any_id(found) if found else {"not_id": {"any": True}}


def _subjects(url: str, kind: Kind, literal: str) -> list[Message]:
    """What `sub` must be, so that `url/sub` matches; [] where it never does."""
    head = f"{url}/"
    if kind is Kind.PRESENT:
        return [regex(".+")]
    if kind is Kind.SUFFIX:
        whole = [literal[cut:] for cut in range(1, len(literal)) if head.endswith(literal[:cut])]
        found: list[Message] = [regex(".+")] if head.endswith(literal) else []
        found.append({"suffix": literal})
        return found + [{"exact": rest} for rest in whole]
    if kind is Kind.PREFIX and head.startswith(literal):
        return [regex(".+")]
    if not literal.startswith(head) or len(literal) == len(head):
        return []
    return [{kind.value: literal[len(head) :]}]


def _part(template: str) -> _Make:
    return lambda pattern: workload(regex(template.format(_within(pattern))))


def _account(value: str) -> Message:
    space, _, account = value.partition("/")
    return workload(regex(f"spiffe://[^/]+/ns/{re.escape(space)}/sa/{re.escape(account)}"))


def none_of(asked: Message, present: Message, *, deny: bool) -> Message:
    """The negation of a Principal."""
    negated: Message = {"not_id": asked}
    return negated if deny or present == {"any": True} else all_ids([present, negated])


def none_of_rules(asked: Message, present: Message | None, *, deny: bool) -> Message:
    """The negation of a Permission; `present` where it may be absent."""
    negated: Message = {"not_rule": asked}
    return negated if deny or present is None else all_rules([present, negated])


def operation_clause(key: str, values: Sequence[str], *, deny: bool) -> Message:
    """One key of `to`, with or without `not_`."""
    plain = key.removeprefix("not_")
    asked = any_rule([_OPERATION[plain](value) for value in values])
    return asked if key == plain else none_of_rules(asked, None, deny=deny)


_OPERATION: dict[str, _Make] = {
    "hosts": lambda value: {"header": header(":authority", host_match(value))},
    "ports": lambda value: {"destination_port": int(value)},
    "methods": lambda value: {"any": True} if value == "*" else {"header": header(":method", {"exact": value})},
    "paths": lambda value: {"url_path": {"path": path_match(value)}},
}
