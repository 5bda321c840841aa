"""The facts that a decision hung on: claims, headers and posture facts that some rule of the route names.

Each is cut at 256 bytes. Credentials and what `audit.redact` names are never written, only an HMAC by which equal
values can be recognised.
"""

import hmac
from collections.abc import Iterable, Mapping
from typing import Literal, TypeAlias

from gateway.model.json import JSON, Claims
from gateway.model.posture import Posture
from gateway.model.principal import Principal
from gateway.model.request import RequestContext
from gateway.stages.record.text import json_text, quote

LONGEST = 256  # bytes
CREDENTIALS = frozenset({"authorization", "cookie", "dpop", "proxy-authorization"})

Mode: TypeAlias = Literal["values", "digests", "none"]
ClaimPath: TypeAlias = tuple[str, ...]


class Redaction:
    """What must not be readable, and how it is written instead. `key` is 32 secret bytes."""

    __slots__ = ("_everything", "_key", "_names")

    def __init__(self, mode: Mode, names: Iterable[str], key: bytes) -> None:
        self._everything = mode == "digests"
        self._names = CREDENTIALS | {name.lower() for name in names}
        self._key = key

    def hides(self, name: str) -> bool:
        """Whether the header, claim or fact `name` is written as an HMAC."""
        return self._everything or name.lower() in self._names

    def digest(self, value: JSON) -> str:
        """The JSON string that stands for a value."""
        text = value if isinstance(value, str) else json_text(value)
        mac = hmac.digest(self._key, text.encode("utf-8", "surrogatepass"), "sha256")
        return f'"hmac-sha256:{mac.hex()}"'


class Inputs:
    """Picks the facts of one route; made at build time."""

    __slots__ = ("_claims", "_facts", "_headers", "_redaction", "none")

    def __init__(
        self,
        redaction: Redaction,
        *,
        headers: Iterable[str] = (),
        claims: Iterable[ClaimPath] = (),
        facts: Iterable[str] = (),
    ) -> None:
        """Nothing named: nothing is written (`none` is true), as under `inputs: none`."""
        self._redaction = redaction
        self._headers = [(n, f"{quote(n)}:", redaction.hides(n)) for n in sorted({h.lower() for h in headers})]
        self._claims = [(p, f"{quote('.'.join(p))}:", _hides_claim(redaction, p)) for p in sorted(set(claims))]
        self._facts = [(n, f"{quote(n)}:", redaction.hides(n)) for n in sorted(set(facts))]
        self.none = not (self._headers or self._claims or self._facts)

    def text(self, ctx: RequestContext | None, principal: Principal | None, posture: Posture | None) -> str:
        """The JSON object of the facts that are there; "null" where no rule names any."""
        if self.none:
            return "null"
        groups = []
        if self._headers and ctx is not None:
            groups.append(f'"headers":{{{",".join(self._picked_headers(ctx))}}}')
        if self._claims and principal is not None and principal.user is not None:
            groups.append(f'"claims":{{{",".join(self._picked_claims(principal.user.claims))}}}')
        if self._facts and posture is not None:
            groups.append(f'"device":{{{",".join(self._picked_facts(posture.facts))}}}')
        return f"{{{','.join(groups)}}}"

    def _picked_headers(self, ctx: RequestContext) -> list[str]:
        picked = []
        for name, label, hidden in self._headers:
            values = ctx.values.get(name)
            if values:
                value: JSON = values[0] if len(values) == 1 else values
                picked.append(label + (self._redaction.digest(value) if hidden else _shown(value)))
        return picked

    def _picked_claims(self, claims: Claims) -> list[str]:
        picked = []
        for path, label, hidden in self._claims:
            found: JSON = claims
            for name in path:
                found = found.get(name) if type(found) is dict or isinstance(found, Mapping) else None
            if found is not None:
                picked.append(label + (self._redaction.digest(found) if hidden else _shown(found)))
        return picked

    def _picked_facts(self, facts: Claims) -> list[str]:
        return [
            label + (self._redaction.digest(facts[name]) if hidden else _shown(facts[name]))
            for name, label, hidden in self._facts
            if name in facts
        ]


def _hides_claim(redaction: Redaction, path: ClaimPath) -> bool:
    return redaction.hides(".".join(path)) or redaction.hides(path[0])


def _shown(value: JSON) -> str:
    if isinstance(value, str):
        return quote(_cut(value))
    text = json_text(value)
    return text if len(text) <= LONGEST else quote(text[:LONGEST])


def _cut(text: str) -> str:
    if len(text) <= LONGEST and (text.isascii() or len(text) <= LONGEST // 4):
        return text
    return text.encode("utf-8", "surrogatepass")[:LONGEST].decode("utf-8", "ignore")
