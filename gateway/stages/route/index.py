"""An index over path patterns: which patterns match a path, at a cost that does not grow with their number.

Exact paths, prefixes and suffixes are looked up in dictionaries, by slash or by length; templates by their shape.
What it gives are candidates in no order; the caller takes the first of the file.
"""

from collections import defaultdict
from collections.abc import Iterator
from typing import Generic, TypeVar

from gateway.kernel.patterns.templates import compile_template, is_template, parse_template
from gateway.kernel.patterns.values import Kind, Match, parse_value

_T = TypeVar("_T")
_MANY = 1 << 16
_Shape = tuple[int, tuple[int, ...], tuple[int, ...]]  # length (0: open), literals from the front, from the back


class PathIndex(Generic[_T]):
    """Entries under path patterns; `add` while building, `candidates` for ever after."""

    def __init__(self) -> None:
        self._exact: dict[str, list[_T]] = defaultdict(list)
        self._below: dict[str, list[_T]] = defaultdict(list)  # prefixes that end in a slash
        self._shallowest, self._deepest = _MANY, 0  # how many slashes such prefixes hold
        self._prefixes: dict[int, dict[str, list[_T]]] = defaultdict(lambda: defaultdict(list))
        self._suffixes: dict[int, dict[str, list[_T]]] = defaultdict(lambda: defaultdict(list))
        self._any: list[_T] = []
        self._shapes: dict[_Shape, dict[tuple[str, ...], list[tuple[Match, _T]]]] = defaultdict(
            lambda: defaultdict(list)
        )
        self._plain = True  # nothing but exact paths and prefixes that end in a slash

    def add(self, pattern: str, entry: _T) -> None:
        """Put `entry` under `pattern`. Raises ValueError."""
        if is_template(pattern):
            shape, literals = _shape(parse_template(pattern))
            self._shapes[shape][literals].append((compile_template(pattern), entry))
            self._plain = False
            return
        kind, literal = parse_value(pattern)
        if kind is Kind.EXACT:
            self._exact[literal].append(entry)
        elif kind is Kind.PREFIX and literal.endswith("/"):
            self._below[literal].append(entry)
            slashes = literal.count("/")
            self._shallowest = min(self._shallowest, slashes)
            self._deepest = max(self._deepest, slashes)
        else:
            self._plain = False
            if kind is Kind.PRESENT:
                self._any.append(entry)
            elif kind is Kind.PREFIX:
                self._prefixes[len(literal)][literal].append(entry)
            else:
                self._suffixes[len(literal)][literal].append(entry)

    def candidates(self, path: str) -> list[_T]:
        """Every entry whose pattern matches `path`."""
        found = list(self._exact.get(path, ()))
        below = self._below
        parts = path.split("/", self._deepest)
        end = len(path) + 1
        for slashes in range(len(parts) - 1, self._shallowest - 1, -1):
            end -= len(parts[slashes]) + 1
            entries = below.get(path[:end])
            if entries is not None:
                found += entries
        if not self._plain:
            found += self._rarer(path)
        return found

    def _rarer(self, path: str) -> Iterator[_T]:
        yield from self._any
        for length, by_prefix in self._prefixes.items():
            yield from by_prefix.get(path[:length], ())
        for length, by_suffix in self._suffixes.items():
            yield from by_suffix.get(path[-length:], ())
        if self._shapes:
            parts = path.split("/")
            for shape, by_literals in self._shapes.items():
                literals = _literals(parts, shape)
                for match, entry in by_literals.get(literals, ()) if literals is not None else ():
                    if match(path):
                        yield entry


def _shape(segments: list[str]) -> tuple[_Shape, tuple[str, ...]]:
    """Where the literals of a template stand, and which they are."""
    operators = ("{*}", "{**}")
    if "{**}" not in segments:
        front = tuple(index for index, segment in enumerate(segments) if segment not in operators)
        return (len(segments), front, ()), tuple(segments[index] for index in front)
    at = segments.index("{**}")
    front = tuple(index for index in range(at) if segments[index] not in operators)
    back = tuple(range(at + 1 - len(segments), 0))
    return (0, front, back), tuple(segments[index] for index in (*front, *back))


def _literals(parts: list[str], shape: _Shape) -> tuple[str, ...] | None:
    length, front, back = shape
    if length:
        if len(parts) != length:
            return None
    elif len(parts) <= (front[-1] + 1 if front else 0) + len(back):
        return None
    return tuple(parts[index] for index in front) + tuple(parts[index] for index in back)
