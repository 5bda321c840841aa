"""X-Gateway-Assertion: who the caller is, signed by the gateway for one upstream (contract section 11).

Rule: one may serve the same caller, credential, upstream and route for half its life: a look into a dictionary.
Invariant: it says only what this request's permit proves; a credential that was proved anew is asserted anew.
"""

import json
from collections.abc import Callable, Sequence
from os import urandom
from typing import Protocol

from gateway.kernel.es256 import base64url
from gateway.model.json import JSON
from gateway.model.permit import Permit
from gateway.model.principal import User, Workload
from gateway.model.reason import Reason
from gateway.model.refused import Refused

TYPE = "gateway-assertion+jwt"
OWN_CLAIMS = frozenset(
    ["iss", "sub", "aud", "iat", "nbf", "exp", "jti", "user", "workload", "route", "cnf"]
)  # no claim of a token's is these
_LIFE = 60  # seconds
_REUSE = 30.0  # seconds
_REMEMBERED = 4096  # assertions of a snapshot


class Key(Protocol):
    """Signs with ES256."""

    @property
    def kid(self) -> str: ...

    def sign(self, message: bytes) -> bytes: ...


class KeySource(Protocol):
    """Outlives the snapshot; a key that is put to work is another object than the one before."""

    @property
    def current(self) -> Key: ...


class _Made:
    """One assertion. Holds the proofs that it was made of, so that nobody else's can have their `id`."""

    __slots__ = ("begins", "key", "text", "until", "user", "workload")

    def __init__(self, text: bytes, key: Key, begins: float, user: User | None, workload: Workload | None) -> None:
        self.text = text
        self.key = key
        self.begins = begins
        self.until = begins + _REUSE
        self.user = user
        self.workload = workload


class Assertions:
    """What all routes of a snapshot share: who signs, as whom, and what was made lately."""

    def __init__(self, keys: KeySource, issuer: Callable[[], str | None]) -> None:
        """`issuer`: None while the gateway does not know its own name yet."""
        self.keys = keys
        self._issuer = issuer
        self.made: dict[tuple[int, int, int], _Made] = {}  # in the order in which they were made
        self._slots = 0
        self._header: tuple[Key, bytes] | None = None

    def slot(self) -> int:
        """A number for one route and upstream."""
        self._slots += 1
        return self._slots

    def sign(self, claims: dict[str, JSON], key: Key) -> bytes:
        """The JWT (RFC 7519) over `claims` and the gateway's name. Raises Refused(IDENTITY_UNAVAILABLE)."""
        issuer = self._issuer()
        if issuer is None:
            raise Refused(Reason.IDENTITY_UNAVAILABLE, "the gateway has no name yet to assert with")
        if self._header is None or self._header[0] is not key:
            self._header = key, _part({"alg": "ES256", "typ": TYPE, "kid": key.kid})
        signed = self._header[1] + b"." + _part({"iss": issuer, **claims})
        return signed + b"." + base64url(key.sign(signed))

    def remember(self, place: tuple[int, int, int], made: _Made) -> None:
        """Until it is replaced, or the oldest of too many."""
        held = self.made
        held.pop(place, None)
        while held:
            oldest = next(iter(held))
            if len(held) < _REMEMBERED and held[oldest].until > made.begins:
                break
            del held[oldest]
        held[place] = made


class Assertion:
    """Makes the assertions of one route for one upstream."""

    def __init__(self, shared: Assertions, upstream: str, claims: Sequence[str] = ()) -> None:
        """`claims`: names of the token's claims that it repeats, none of OWN_CLAIMS."""
        self._shared = shared
        self._keys = shared.keys
        self._made = shared.made
        self._upstream = upstream
        self._claims = tuple(claims)
        self._slot = shared.slot()

    def __call__(self, permit: Permit) -> bytes:
        """The compact serialisation. Raises Refused(IDENTITY_UNAVAILABLE)."""
        principal = permit.principal
        user, workload, key = principal.user, principal.workload, self._keys.current
        place = id(user), id(workload), self._slot
        made = self._made.get(place)
        now = permit.ctx.time
        if made is None or not made.begins <= now < made.until or made.key is not key:
            made = _Made(self._shared.sign(self._of(permit, user, workload), key), key, now, user, workload)
            self._shared.remember(place, made)
        return made.text

    def _of(self, permit: Permit, user: User | None, workload: Workload | None) -> dict[str, JSON]:
        issued = int(permit.ctx.time)
        claims: dict[str, JSON] = {}
        if user is not None:
            claims = {name: user.claims[name] for name in self._claims if name in user.claims}
            claims["sub"] = user.subject
            claims["user"] = {"issuer": user.issuer, "subject": user.subject}
        if workload is not None:
            claims.setdefault("sub", workload.id)
            claims["workload"] = workload.id
        return {
            **claims,
            "aud": self._upstream,
            "iat": issued,
            "exp": issued + _LIFE,
            "jti": urandom(16).hex(),
            "route": permit.route.name,
        }


def _part(members: dict[str, JSON]) -> bytes:
    return base64url(json.dumps(members, separators=(",", ":")).encode())
