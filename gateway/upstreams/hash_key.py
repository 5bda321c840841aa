"""What makes requests belong together for `consistent_hash`: a header, a claim or the client's address.

Rule: the hash is the same in every process; what a request does not have gives no key, and any endpoint will do.
Invariant: a key steers requests to backends and decides nothing else; it is never logged.
"""

import json
from collections.abc import Callable
from hashlib import blake2b
from typing import TypeAlias

from gateway.model.permit import Permit

HashKey: TypeAlias = Callable[[Permit], int | None]


def hash_key(text: str) -> HashKey:
    """`header:NAME`, `claim:NAME` or `client_ip`. Raises ValueError, which says what to write."""
    kind, colon, name = text.partition(":")
    if text == "client_ip":
        return lambda permit: _hash(permit.ctx.client_ip.packed)
    if not (colon and name) or kind not in ("header", "claim"):
        raise ValueError(f"{text!r} is no key: write header:NAME, claim:NAME or client_ip")
    if kind == "header":
        return _of_header(name.lower())
    return _of_claim(name)


def _of_header(name: str) -> HashKey:
    def key(permit: Permit) -> int | None:
        values = permit.ctx.values.get(name)
        return None if values is None else _hash(",".join(values).encode("latin-1"))

    return key


def _of_claim(name: str) -> HashKey:
    def key(permit: Permit) -> int | None:
        user = permit.principal.user
        value = user.claims.get(name) if user is not None else None
        if value is None:
            return None
        return _hash(value.encode("utf-8", "surrogatepass") if isinstance(value, str) else json.dumps(value).encode())

    return key


def _hash(value: bytes) -> int:
    return int.from_bytes(blake2b(value, digest_size=8).digest())
