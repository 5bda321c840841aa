"""The normalised path, and patterns over it.

One normal form for routes, rules and backends; what can be read in two ways is refused, not repaired.
Normalising is idempotent: a normalised path normalises to itself (security rules P1 to P6).
"""

from collections.abc import Callable, Sequence
from typing import TypeAlias
from urllib.parse import unquote_to_bytes

from gateway.kernel.patterns.templates import compile_template, is_template
from gateway.kernel.patterns.values import Kind, Match, compile_values, parse_value

Normalise: TypeAlias = Callable[[bytes], str]

_UNRESERVED = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_PLAIN = bytes(_UNRESERVED) + b"!$&'()*+,:@=/"  # what stands for itself in every reading
_MARKED = bytes(byte if byte in _PLAIN else byte ^ 1 for byte in range(256))  # any other byte becomes another one
_HEX = frozenset(b"0123456789abcdefABCDEF")
_REFUSED = dict.fromkeys((*range(0x21), *range(0x7F, 0x100)), "a control or a non-ASCII byte") | {
    0x5C: "a backslash",
    0x23: "a fragment",
}
_NEVER_ENCODED = {0x00: "NUL", 0x5C: "backslash"}
_TWICE = ("%252E", "%252F", "%255C", "%2525")


class AmbiguousPath(ValueError):  # noqa: N818 - the name of the refusal
    """A path that two readers may read differently; the text says what made it so."""


def compile_normaliser(
    *, merge_slashes: bool = False, keep_encoded_slash: bool = False, keep_semicolon: bool = False
) -> Normalise:
    """The normaliser of one listener: raw path bytes (no query) into the normalised path.

    What it returns raises AmbiguousPath, which names what was found. The fast way is for paths that are normal as
    they came: a few scans in C. Source: RFC 3986 section 6.2.2; contract section 2.
    """

    def normalise(raw: bytes) -> str:
        if raw.translate(_MARKED) == raw:
            path = raw.decode("latin-1")
            if path[:1] == "/" and "//" not in path and "/." not in path:
                return path
        return _slowly(raw, merge_slashes, keep_encoded_slash, keep_semicolon)

    return normalise


def _slowly(raw: bytes, merge: bool, keep_slash: bool, keep_semicolon: bool) -> str:
    if raw[:1] != b"/":
        raise AmbiguousPath("the path does not begin with a slash")
    for byte in raw.translate(None, _PLAIN):
        if byte in _REFUSED:
            raise AmbiguousPath(f"the path holds {_REFUSED[byte]}")
    path = _decode(raw) if b"%" in raw else raw.decode("ascii")
    if "%2F" in path and not keep_slash:
        raise AmbiguousPath("the path holds an encoded slash")
    if ";" in path and not keep_semicolon:
        raise AmbiguousPath("the path holds a semicolon")
    return _remove_dot_segments(path, merge)


def _decode(raw: bytes) -> str:
    """Decode %XX of unreserved characters, write the others in upper case, refuse what must not be decoded."""
    first, *rest = raw.split(b"%")
    out = [first.decode("ascii")]
    for part in rest:
        pair = part[:2]
        if len(pair) != 2 or not _HEX.issuperset(pair):
            raise AmbiguousPath("the path holds a broken percent-encoding")
        value = int(pair, 16)
        if value in _NEVER_ENCODED:
            raise AmbiguousPath(f"the path holds an encoded {_NEVER_ENCODED[value]}")
        out.append(chr(value) if value in _UNRESERVED else f"%{value:02X}")
        out.append(part[2:].decode("ascii"))
    path = "".join(out)
    folded = path.upper()
    if any(twice in folded for twice in _TWICE):
        raise AmbiguousPath("the path holds a doubly encoded dot, slash or percent")
    try:
        unquote_to_bytes(path).decode("utf-8")  # overlong forms hide a slash or a dot from some readers
    except UnicodeDecodeError:
        raise AmbiguousPath("the path does not decode to UTF-8") from None
    return path


def _remove_dot_segments(path: str, merge: bool) -> str:
    """RFC 3986 section 5.2.4, where climbing above the root and an empty segment are refused."""
    out: list[str] = []
    segments = path[1:].split("/")
    last = len(segments) - 1
    for index, segment in enumerate(segments):
        if segment == "..":
            if not out:
                raise AmbiguousPath("the path climbs above its root")
            out.pop()
        elif segment == "" and index != last:
            if not merge:
                raise AmbiguousPath("the path holds an empty segment")
        elif segment not in (".", ""):
            _judge_segment(segment)
            out.append(segment)
    closed = segments[last] in ("", ".", "..")
    return "/" + "/".join(out) + ("/" if closed and out else "")


def _judge_segment(segment: str) -> None:
    """Refuse what becomes a dot segment when a backend drops parameters or decodes an encoded slash (P4)."""
    if ";" in segment or "%2F" in segment:
        for part in segment.split("%2F"):
            if part.partition(";")[0] in (".", ".."):
                raise AmbiguousPath("the path holds a hidden dot segment")


_LAX = compile_normaliser(merge_slashes=False, keep_encoded_slash=True, keep_semicolon=True)


def compile_path(pattern: str) -> Match:
    """A predicate over normalised paths for one value pattern or template. Raises ValueError."""
    if is_template(pattern):
        _judge_normal(pattern, pattern.replace("{**}", "x").replace("{*}", "x"))
        return compile_template(pattern)
    kind, literal = parse_value(pattern)
    if kind in (Kind.EXACT, Kind.PREFIX):
        _judge_normal(pattern, literal)
    elif kind is Kind.SUFFIX:
        _judge_normal(pattern, literal if literal.startswith("/") else f"/x{literal}")
    return compile_values([pattern])


def compile_paths(patterns: Sequence[str]) -> Match:
    """A predicate that is true for a path that any of `patterns` matches. Raises ValueError."""
    plain = [pattern for pattern in patterns if not is_template(pattern)]
    matches = [compile_path(pattern) for pattern in patterns]
    templates = [match for pattern, match in zip(patterns, matches, strict=True) if is_template(pattern)]
    if not templates:
        return compile_values(plain)
    if len(patterns) == 1:
        return templates[0]
    by_value = compile_values(plain) if plain else None
    return lambda path: (by_value is not None and by_value(path)) or any(match(path) for match in templates)


def _judge_normal(pattern: str, text: str) -> None:
    """Refuse a pattern that no normalised path can match: a DENY that never fires is an open door."""
    if not text.startswith("/"):
        raise ValueError(f'"{pattern}": a path begins with "/": write "/{pattern}"')
    if "?" in text or "#" in text:
        raise ValueError(f'"{pattern}": the query is no part of a path: write "{pattern.partition("?")[0]}"')
    if not text.isascii() or " " in text:
        written = "".join(c if c.isascii() and c != " " else "".join(f"%{b:02X}" for b in c.encode()) for c in pattern)
        raise ValueError(f'"{pattern}": paths are compared percent-encoded: write "{written}"')
    whole = text + "x" if text.endswith(("/.", "/..")) else text  # a prefix may go on after its dots
    try:
        normal = _LAX(whole.encode())
    except AmbiguousPath as error:
        raise ValueError(f'"{pattern}" never matches: {error}') from None
    if normal != whole:
        raise ValueError(f'"{pattern}" never matches: paths are compared in normal form: write "{normal}"')
