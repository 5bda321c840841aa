"""One reading of JSON and base64url, for what decides about trust.

Rule: what two readers could read in two ways is refused (RFC 8259 section 4, RFC 7493, RFC 7515 section 2).
Invariant: no message of an error here holds a piece of its input, for the input may be a token.
"""

import binascii
import json
from base64 import b64encode, urlsafe_b64encode
from math import isfinite
from typing import NoReturn

from gateway.model.json import JSON

_MAX_DEPTH = 24
_MAX_MEMBERS = 4096  # of all objects and arrays together
_SPACE = " \t\n\r"  # RFC 8259 section 2
_MAX_DIGITS = 20  # 64 bits; a longer number overflows somewhere behind us
_TO_STANDARD = bytes.maketrans(b"-_", b"+/")
_PAD = (b"", b"", b"==", b"=")


class NotStrict(ValueError):  # noqa: N818 - it tells what the input is
    """The input can be read in more than one way, or in none."""


def decode_base64url(data: bytes) -> bytes:
    """The octets of unpadded base64url. Raises NotStrict.

    Refuses padding, white space, the standard alphabet and non-zero trailing bits: each octet string has one spelling
    (RFC 7515 section 2 and appendix C, RFC 4648 section 3.5).
    """
    standard = data.translate(_TO_STANDARD) + _PAD[len(data) & 3]
    try:
        octets = binascii.a2b_base64(standard, strict_mode=True)
    except binascii.Error:
        raise NotStrict("not base64url") from None
    if b64encode(octets) != standard or b"+" in data or b"/" in data or b"=" in data:
        raise NotStrict("base64url with padding, the wrong alphabet or stray bits")
    return octets


def encode_base64url(octets: bytes) -> bytes:
    """The one spelling of `octets` that `decode_base64url` takes."""
    return urlsafe_b64encode(octets).rstrip(b"=")


def parse_json(data: bytes) -> JSON:
    """The value of a JSON text in UTF-8. Raises NotStrict.

    Refuses repeated members at any depth (compared after unescaping), a byte order mark, lone surrogates, NaN,
    Infinity, numbers that overflow, nesting below 24 levels and more than 4,096 members.
    """
    try:
        text = data.decode("utf-8")
        value: JSON
        if text[:1] == "{":  # as nearly all do: not looked at for white space before and behind
            value, end = _DECODER.raw_decode(text)
            if end != len(text) and text[end:].strip(_SPACE):
                raise NotStrict("not JSON in UTF-8")
        else:
            value = _DECODER.decode(text)
    except NotStrict:
        raise
    except (ValueError, RecursionError):
        raise NotStrict("not JSON in UTF-8") from None
    opened = text.count("{") + text.count("[")
    escapes = "\\u" in text
    if escapes or opened >= _MAX_DEPTH or opened + text.count(",") > _MAX_MEMBERS:  # else it is within both limits
        _measure(value, surrogates=escapes)
    return value


def parse_object(data: bytes) -> dict[str, JSON]:
    """The members of a JSON text that must be an object. Raises NotStrict as `parse_json`."""
    value = parse_json(data)
    if not isinstance(value, dict):
        raise NotStrict("not a JSON object")
    return value


def _members(pairs: list[tuple[str, JSON]]) -> dict[str, JSON]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise NotStrict("a member name stands twice in one object")
    return members


def _no_constant(_: str) -> NoReturn:
    raise NotStrict("NaN and Infinity are not JSON")


def _finite(text: str) -> float:
    number = float(text)
    if not isfinite(number):
        raise NotStrict("a number overflows")
    return number


def _bounded(text: str) -> int:
    if len(text) > _MAX_DIGITS:
        raise NotStrict("a number has too many digits")
    return int(text)


def _measure(value: JSON, *, surrogates: bool) -> None:
    """Hold depth and member count to their limits; with `surrogates` look for escapes that are half a character."""
    left = _MAX_MEMBERS
    level: list[JSON] = [value]
    for _ in range(_MAX_DEPTH):
        below: list[JSON] = []
        for item in level:
            if isinstance(item, dict):
                below.extend(item.values())
                if surrogates:
                    below.extend(item)
            elif isinstance(item, list):
                below.extend(item)
            elif surrogates and isinstance(item, str) and not _encodes(item):
                raise NotStrict("half a surrogate pair")
        left -= len(below)
        if left < 0:
            raise NotStrict("too many members")
        if not below:
            return
        level = below
    raise NotStrict("nested too deeply")


def _encodes(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


_DECODER = json.JSONDecoder(
    object_pairs_hook=_members, parse_constant=_no_constant, parse_float=_finite, parse_int=_bounded
)
