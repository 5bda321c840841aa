"""`forward.headers`: what a backend is told in fields of the route's choice.

Rule: a value that could be read as another one (a comma in a list, a control byte, outer white space) is refused.
Invariant: what is written is visible ASCII; an absent claim writes nothing.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias
from urllib.parse import quote

from gateway.model.json import JSON, Claims
from gateway.model.reason import Reason
from gateway.model.refused import Refused

ClaimPath: TypeAlias = tuple[str, ...]
FieldValue: TypeAlias = Callable[[Claims | None], bytes | None]  # None: send no field
_ASCII = "".join(map(chr, range(0x80)))


def literal_or_claim(text: str) -> str | ClaimPath:
    """Parse a value of `forward.headers`: a quoted literal, or `claims.NAME`, `claims.a.b`, `claims["a.b"].c`.

    Raises ValueError, which says what to write.
    """
    if len(text) >= 2 and text[0] == text[-1] and text[0] in "'\"":
        literal = text[1:-1]
        if not literal.isascii() or not literal.isprintable() or literal != literal.strip():
            raise ValueError(f"{text}: a literal holds visible ASCII, without white space at its ends")
        return literal
    if not text.startswith("claims"):
        raise ValueError(f"{text!r} is neither a claim path nor a quoted literal: write claims.NAME or \"'{text}'\"")
    path = _claim_path(text, text.removeprefix("claims"))
    if not path:
        raise ValueError(f"{text!r} names no claim: write claims.NAME")
    return path


def _claim_path(text: str, rest: str) -> ClaimPath:
    path: list[str] = []
    while rest:
        if rest[0] == ".":
            name = rest[1:].split(".", 1)[0].split("[", 1)[0]
            rest = rest[1 + len(name) :]
        elif rest[0] == "[" and "]" in rest:
            inner, rest = rest[1:].split("]", 1)
            name = inner[1:-1] if len(inner) > 1 and inner[0] == inner[-1] and inner[0] in "'\"" else inner
        else:
            name = ""
        if not name:
            raise ValueError(f'{text!r} is no claim path: write claims.NAME, claims.a.b or claims["a.b"]')
        path.append(name)
    return tuple(path)


def compile_value(value: str | ClaimPath) -> FieldValue:
    """What to write for a literal or a claim. What it returns raises Refused(BAD_REQUEST) (contract section 6)."""
    if isinstance(value, str):
        written = value.encode("ascii")
        return lambda _: written
    path = value

    def from_claims(claims: Claims | None) -> bytes | None:
        found: JSON = claims
        for name in path:
            if not isinstance(found, Mapping):
                return None
            found = found.get(name)
        return _written(found)

    return from_claims


def _written(value: JSON) -> bytes | None:
    if value is None:
        return None
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, bool | int | float):
        return json.dumps(value).encode("ascii")
    if isinstance(value, Sequence):
        return b",".join(_element(element) for element in value) if value else None
    raise Refused(Reason.BAD_REQUEST, "a claim that should go into a field is an object")


def _element(value: JSON) -> bytes:
    if isinstance(value, bool | int | float):
        return json.dumps(value).encode("ascii")
    if not isinstance(value, str):
        raise Refused(Reason.BAD_REQUEST, "a claim that should go into a field is a list of more than plain values")
    if "," in value:
        raise Refused(Reason.BAD_REQUEST, "an element of a list claim holds a comma")
    return _text(value)


def _text(value: str) -> bytes:
    """As it is where it is visible ASCII; other characters as percent-encoded UTF-8; control bytes refused."""
    if not value.isascii():
        try:
            value = quote(value, safe=_ASCII)
        except UnicodeEncodeError:
            raise Refused(Reason.BAD_REQUEST, "a claim that should go into a field is no Unicode text") from None
    if not value.isprintable() or value != value.strip():
        raise Refused(Reason.BAD_REQUEST, "a claim that should go into a field holds control bytes or outer space")
    return value.encode("ascii")
