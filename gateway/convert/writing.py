"""Plain values as YAML that version 1.1 and 1.2 read alike, short lists and mappings on one line.

What is written is read back equal by our own reader and by others.
"""

import json
import re
from collections.abc import Iterator, Mapping

_PLAIN = re.compile(r"[A-Za-z/.][A-Za-z0-9_./-]*(?::[A-Za-z0-9_./-]+)*", re.ASCII)
_WORDS = frozenset(("true", "false", "yes", "no", "on", "off", "null", "y", "n"))
_NUMBER = re.compile(r"\.?[0-9]|\.inf|\.nan", re.IGNORECASE)
_WIDTH = 110


def yaml_text(value: Mapping[str, object]) -> str:
    """The whole document."""
    return "".join(f"{line}\n" for line in _mapping(value, ""))


def _mapping(value: Mapping[str, object], indent: str) -> Iterator[str]:
    for key, held in value.items():
        head = f"{indent}{_scalar(str(key))}:"
        short = inline(held)
        if (
            not isinstance(held, Mapping | list)
            or not held
            or (len(head) + len(short) < _WIDTH and not _deep(held) and indent)
        ):
            yield f"{head} {short}"
            continue
        yield head
        yield from _mapping(held, f"{indent}  ") if isinstance(held, Mapping) else _list(held, f"{indent}  ")


def _list(value: list[object], indent: str) -> Iterator[str]:
    for held in value:
        short = inline(held)
        if not isinstance(held, Mapping | list) or not held or (len(indent) + len(short) < _WIDTH and not _deep(held)):
            yield f"{indent}- {short}"
            continue
        nested = _mapping(held, f"{indent}  ") if isinstance(held, Mapping) else _list(held, f"{indent}  ")
        first, *rest = nested
        yield f"{indent}- {first.lstrip()}"
        yield from rest


def _deep(value: object) -> bool:
    """True for what holds more than two levels: it is read better over several lines."""
    return _height(value) > 2


def _height(value: object) -> int:
    below = value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else None
    return 0 if below is None else 1 + max(map(_height, below), default=0)


def inline(value: object) -> str:
    """A value on one line."""
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{_scalar(str(key))}: {inline(held)}' for key, held in value.items())}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(inline, value))}]"
    return _scalar(value)


def _scalar(value: object) -> str:
    if isinstance(value, str) and _PLAIN.fullmatch(value) and value.lower() not in _WORDS and not _NUMBER.match(value):
        return value
    return json.dumps(value, ensure_ascii=False)
