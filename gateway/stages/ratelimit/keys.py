"""Which bucket: the parts of a limit's key, made of one request.

Each part is a tag and its values, each value with its length before it: no two callers can write the same bytes, and a
user cannot be named like a workload or an address. What is absent has a tag of its own. The digest is what leaves here.
In a cluster, where all that one call touches has to lie in one slot, limits that meet at a gate share a slot tag: the
parts that all of them count by.
"""

import json
from collections.abc import Callable
from functools import lru_cache
from hashlib import blake2b
from struct import Struct
from typing import TypeAlias

from gateway.kernel.patterns.blocks import by_identity
from gateway.model.connection import IPAddress
from gateway.model.principal import Principal
from gateway.model.request import RequestContext

Part: TypeAlias = Callable[[RequestContext, Principal | None], bytes]

ABSENT = b"-"
DIGEST = 16  # bytes: half of 2^128 buckets before two of them meet by chance
NAME_LENGTH = 2 * DIGEST
_SLOT = 8  # bytes
_REMEMBERED = 1024  # names of one limit on one route
_LONGEST_REMEMBERED = 512  # bytes: a key may hold a header's value, and that is the client's to choose
_length = Struct(">I").pack


class Keyed:
    """The key of one limit on one route: what is known beforehand is joined beforehand."""

    __slots__ = (
        "_by_workload",
        "_dynamic",
        "_known",
        "_names",
        "_secret",
        "_slot",
        "_users",
        "by_user",
        "length",
        "owned",
    )

    def __init__(
        self,
        identity: bytes,
        parts: tuple[str, ...],
        *,
        route: str,
        upstream: str | None,
        secret: bytes = b"",
        told: bool = True,
        slot: tuple[str, ...] | None = None,
    ) -> None:
        """`secret`: makes the digest one that nobody else can make (at most 64 bytes). `told`: callers may know.

        `slot`: the parts that choose the slot of a cluster; None outside of one.
        """
        self._secret = secret
        known, self._dynamic = _compiled(parts, route, upstream)
        self._known = _sized(identity) + known
        self._slot = None if slot is None else _compiled(slot, route, upstream)
        self.length = NAME_LENGTH if slot is None else 2 * _SLOT + 1 + NAME_LENGTH
        self._names: dict[bytes, bytes] = {}  # what was digested lately: callers come back
        self._users: dict[tuple[str, str], bytes] = {}  # the same, where the bucket hangs on nothing but the user
        self.by_user = parts.count("principal") == len(self._dynamic) == 1  # of a user it counts nothing else
        self.owned = told and ("principal" in parts or "client_ip" in parts)  # whoever asks, `own` is true
        self._by_workload = told and "workload" in parts

    def name(self, ctx: RequestContext, principal: Principal | None) -> bytes:
        """The bucket's name: a keyed digest, in hex; in a cluster after the digest that chooses the slot."""
        user = principal.user if self.by_user and principal is not None else None
        if user is not None and (known := self._users.get(user.key)) is not None:
            return known
        data = self._known
        for part in self._dynamic:
            data += part(ctx, principal)
        name = self._names.get(data)
        if name is None:
            if len(self._names) >= _REMEMBERED:
                self._names.clear()
            name = blake2b(data, digest_size=DIGEST, key=self._secret).hexdigest().encode()
            if self._slot is not None:
                name = self._tag(self._slot, ctx, principal) + b"}" + name
            if len(data) <= _LONGEST_REMEMBERED:
                self._names[data] = name
        if user is not None and len(data) <= _LONGEST_REMEMBERED:
            if len(self._users) >= _REMEMBERED:
                self._users.clear()
            self._users[user.key] = name
        return name

    def _tag(self, slot: tuple[bytes, tuple[Part, ...]], ctx: RequestContext, principal: Principal | None) -> bytes:
        known, dynamic = slot
        data = known + b"".join([part(ctx, principal) for part in dynamic])
        return blake2b(data, digest_size=_SLOT, key=self._secret, person=b"slot").hexdigest().encode()

    def own(self, principal: Principal | None) -> bool:
        """True when the bucket is the caller's alone, so that its numbers are nobody else's, and may be told."""
        return self.owned or (self._by_workload and principal is not None and principal.workload is not None)


@by_identity
def network(address: IPAddress) -> bytes:
    """An address as limits see it: IPv4 whole (mapped into IPv6 too), IPv6 by /64, what one client is given."""
    if address.version == 4:
        return b"4" + address.packed
    mapped = address.ipv4_mapped
    return b"6" + address.packed[:8] if mapped is None else b"4" + mapped.packed


def _sized(value: bytes) -> bytes:
    return _length(len(value)) + value


def _client_ip(ctx: RequestContext, _: Principal | None) -> bytes:
    return network(ctx.client_ip)


def _principal(ctx: RequestContext, principal: Principal | None) -> bytes:
    user = principal.user if principal is not None else None
    if user is None:
        if principal is None or principal.anonymous:
            return b"a" + network(ctx.client_ip)
        return _workload(ctx, principal)
    return _user(*user.key)


@lru_cache(_REMEMBERED)
def _user(issuer: str, subject: str) -> bytes:
    return b"u" + _sized(issuer.encode()) + _sized(subject.encode("utf-8", "surrogatepass"))


def _issuer(_: RequestContext, principal: Principal | None) -> bytes:
    if principal is None or principal.user is None:
        return ABSENT
    return b"i" + _sized(principal.user.issuer.encode())


def _workload(_: RequestContext, principal: Principal | None) -> bytes:
    if principal is None or principal.workload is None:
        return ABSENT
    return b"w" + _sized(principal.workload.id.encode())


def _header(name: str) -> Part:
    def part(ctx: RequestContext, _: Principal | None) -> bytes:
        values = ctx.header(name)
        return b"h%d:" % len(values) + b"".join(_sized(value.encode()) for value in values) if values else ABSENT

    return part


def _claim(name: str) -> Part:
    def part(_: RequestContext, principal: Principal | None) -> bytes:
        if principal is None or principal.user is None or name not in principal.user.claims:
            return ABSENT
        value = principal.user.claims[name]
        if isinstance(value, str):
            return b"s" + _sized(value.encode("utf-8", "surrogatepass"))
        return b"j" + _sized(json.dumps(value, sort_keys=True).encode())

    return part


_PARTS: dict[str, Part] = {
    "principal": _principal,
    "issuer": _issuer,
    "workload": _workload,
    "client_ip": _client_ip,
}


def _part(text: str) -> Part:
    kind, _, name = text.partition(":")
    if kind == "header":
        return _header(name.lower())
    if kind == "claim":
        return _claim(name)
    return _PARTS[text]


def _compiled(parts: tuple[str, ...], route: str, upstream: str | None) -> tuple[bytes, tuple[Part, ...]]:
    """What is known beforehand, and what each request says."""
    known: list[bytes] = []
    dynamic: list[Part] = []
    for part in parts:
        if part == "route":
            known.append(b"r" + _sized(route.encode()))
        elif part == "upstream":
            known.append(ABSENT if upstream is None else b"t" + _sized(upstream.encode()))
        else:
            dynamic.append(_part(part))
    return b"".join(known), tuple(dynamic)
