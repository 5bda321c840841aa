"""The text of an expression into its words (CEL specification, Lexis).

Invariant: every word knows where it stands, and nothing here takes more than one pass.
"""

import re
from dataclasses import dataclass
from typing import NoReturn

from gateway.kernel.cel.syntax import CelInvalid
from gateway.kernel.cel.values import UINT_MAX, Uint

_WORD = re.compile(
    r"""(?P<space>[ \t\n\f\r]+|//[^\n]*)
    |(?P<string>(?:[rR][bB]?|[bB][rR]?)?(?:\"\"\"|'''|["']))
    |(?P<double>(?:[0-9]+\.[0-9]+|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|[0-9]+[eE][+-]?[0-9]+)
    |(?P<int>0x[0-9a-fA-F]+|[0-9]+)(?P<unsigned>[uU])?
    |(?P<name>[_a-zA-Z][_a-zA-Z0-9]*)
    |(?P<operator>&&|\|\||==|!=|<=|>=|[-+*/%!<>?:.,()\[\]{}])""",
    re.VERBOSE | re.ASCII,
)
_SIMPLE = {"a": 7, "b": 8, "f": 12, "n": 10, "r": 13, "t": 9, "v": 11, "\\": 92, "?": 63, '"': 34, "'": 39, "`": 96}
_ESCAPE = re.compile(
    r"\\(?:([abfnrtv\\?\"'`])|[xX]([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-3][0-7]{2}))"
)
_INT_TOO_LARGE = 1 << 63  # one more than the largest: a minus before it makes it the smallest


@dataclass(frozen=True, slots=True)
class Token:
    """One word: "literal" with its value, "name", an operator by itself, or "end"."""

    kind: str
    start: int
    end: int
    text: str
    value: object = None


def position(text: str, offset: int) -> tuple[int, int]:
    """Line and column, from 1."""
    return text.count("\n", 0, offset) + 1, offset - (text.rfind("\n", 0, offset) + 1) + 1


def invalid(text: str, offset: int, message: str) -> NoReturn:
    """Raises CelInvalid at an offset."""
    raise CelInvalid(message, *position(text, offset))


def tokens(text: str) -> list[Token]:
    """All words and the end. Raises CelInvalid."""
    found: list[Token] = []
    at = 0
    while at < len(text):
        word = _WORD.match(text, at)
        if word is None:
            hint = {"=": ": write == to compare", "&": ": write &&", "|": ": write ||"}.get(text[at], "")
            invalid(text, at, f"{text[at]!a} does not belong to the language{hint}")
        end = word.end()
        kind = word.lastgroup or ""
        if kind == "string":
            value, end = _string(text, at, word[0])
            found.append(Token("literal", at, end, text[at:end], value))
        elif kind == "double":
            found.append(Token("literal", at, end, word[0], float(word[0])))
        elif kind in ("int", "unsigned"):
            found.append(Token("literal", at, end, word[0], _integer(text, at, word)))
        elif kind == "name":
            found.append(Token("name", at, end, word[0]))
        elif kind == "operator":
            found.append(Token(word[0], at, end, word[0]))
        at = end
        if kind in ("int", "unsigned", "double") and at < len(text) and (text[at].isalnum() or text[at] == "_"):
            invalid(text, at, "a number ends here and no word may touch it")
    found.append(Token("end", len(text), len(text), ""))
    return found


def _integer(text: str, at: int, word: re.Match[str]) -> int:
    digits = word["int"]
    if len(digits) > 32:
        invalid(text, at, "the number has more than 64 bits")
    value = int(digits, 16) if digits.startswith("0x") else int(digits)
    if word["unsigned"]:
        if value > UINT_MAX:
            invalid(text, at, "the number has more than 64 bits")
        return Uint(value)
    if value > _INT_TOO_LARGE:
        invalid(text, at, "the number has more than 64 bits")
    return value


def _string(text: str, at: int, opening: str) -> tuple[str | bytes, int]:
    """The value of the string at `at`, and the offset behind it."""
    prefix = opening.rstrip("\"'").lower()
    quote = opening[len(prefix) :]
    here = at + len(opening)
    pieces: list[str] = []
    while not text.startswith(quote, here):
        if here >= len(text) or (len(quote) == 1 and text[here] in "\r\n"):
            invalid(text, at, "the string does not end")
        if text[here] == "\\" and "r" not in prefix:
            escape = _ESCAPE.match(text, here)
            if escape is None:
                invalid(text, here, "there is no such escape: write \\\\ for a backslash")
            pieces.append(_unescaped(text, here, escape, octets="b" in prefix))
            here = escape.end()
        else:
            pieces.append(text[here].encode().decode("latin-1") if "b" in prefix else text[here])
            here += 1
    value = "".join(pieces)
    return (value.encode("latin-1") if "b" in prefix else value), here + len(quote)


def _unescaped(text: str, at: int, escape: re.Match[str], *, octets: bool) -> str:
    simple, two, four, eight, octal = escape.groups()
    if simple is not None:
        return chr(_SIMPLE[simple])
    code = int(octal, 8) if octal is not None else int(two or four or eight, 16)
    if octets and (four or eight):
        invalid(text, at, "bytes have no \\u and \\U")
    if code > 0x10FFFF or 0xD800 <= code < 0xE000:
        invalid(text, at, "there is no such character")
    return chr(code)
