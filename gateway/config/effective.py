"""The configuration that is in force: every value, and why it is what it is.

Printed as a file would write it; secrets are never shown.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from gateway.config import defaults
from gateway.config.schema import UNLIMITED, Config, Node
from gateway.config.schema.scalars import is_size
from gateway.config.schema.units import Rate, in_bytes, in_words
from gateway.config.tree import Path as Loc


@dataclass(frozen=True, slots=True)
class Value:
    """One value in force, with the cause of what the file does not say."""

    shown: object  # str, int, bool, None, or list or dict of Values
    cause: str = ""  # "" where the file says it


class Effective:
    """A configuration as it is shown."""

    def __init__(self, config: Config) -> None:
        self._base = config.path.absolute().parent
        self._causes = defaults.causes(config)
        self.root = self._node(config, ())

    def _node(self, node: Node, path: Loc) -> Value:
        shown: dict[str, object] = {}
        for name, field in type(node).model_fields.items():
            if field.exclude:
                continue
            key = field.validation_alias if isinstance(field.validation_alias, str) else name
            held = getattr(node, name)
            here = (*path, key)
            if name in node.model_fields_set:
                shown[key] = self._value(held, field, here)
            elif held not in (None, (), {}):
                cause = self._causes.get(here)
                value = self._value(held, field, here)
                shown[key] = Value(value.shown, f"default: {cause}" if cause else "default")
        return Value(shown)

    def _value(self, held: object, field: FieldInfo | None, path: Loc) -> Value:
        if isinstance(held, Node):
            short = held.short()
            return self._node(held, path) if short is None else Value(self._scalar(short, None))
        if isinstance(held, Mapping):
            return Value({str(key): self._value(value, None, (*path, str(key))) for key, value in held.items()})
        if isinstance(held, tuple):
            if len(held) == 1 and isinstance(held[0], Rate):
                return Value(str(held[0]))
            if len(held) == 1 and isinstance(held[0], Node) and held[0].short() is not None:
                return Value(held[0].short())
            return Value([self._value(value, None, (*path, index)) for index, value in enumerate(held)])
        return Value(self._scalar(held, field))

    def _scalar(self, held: object, field: FieldInfo | None) -> object:
        if isinstance(held, SecretStr):
            text = held.get_secret_value()
            return text if text == "memory://" else "(secret)"
        if isinstance(held, Path):
            return str(held.relative_to(self._base)) if held.is_relative_to(self._base) else str(held)
        if isinstance(held, float):
            return in_words(held)
        if isinstance(held, int) and not isinstance(held, bool):
            if held == UNLIMITED:
                return "unlimited"
            return in_bytes(held) if field is not None and is_size(field) else held
        return held if isinstance(held, str | bool) or held is None else str(held)

    def plain(self) -> object:
        """All values, for JSON."""
        return _plain(self.root)

    def causes(self) -> Iterator[tuple[str, str]]:
        """Path and cause of each value that the file does not say, as `listeners.edge.tls.min_version`."""
        return _causes(self.root, "")

    def lines(self) -> Iterator[str]:
        """As YAML, with each cause as a comment."""
        return _mapping(self.root, "")


def _plain(value: object) -> object:
    shown = value.shown if isinstance(value, Value) else value
    if isinstance(shown, dict):
        return {key: _plain(held) for key, held in shown.items()}
    if isinstance(shown, list):
        return [_plain(held) for held in shown]
    return shown


def _causes(value: Value, path: str) -> Iterator[tuple[str, str]]:
    if value.cause:
        yield path, value.cause
    elif isinstance(value.shown, dict):
        for key, held in value.shown.items():
            yield from _causes(held, f"{path}.{key}" if path else key)
    elif isinstance(value.shown, list):
        for index, held in enumerate(value.shown):
            yield from _causes(held, f"{path}[{index}]")


def _mapping(value: Value, indent: str) -> Iterator[str]:
    if not isinstance(value.shown, dict):
        return
    for key, held in value.shown.items():
        yield from _entry(f"{indent}{_scalar(key)}:", held, indent)


def _entry(head: str, held: Value, indent: str) -> Iterator[str]:
    comment = f"  # {held.cause}" if held.cause else ""
    if isinstance(held.shown, dict) and held.shown:
        yield f"{head}{comment}"
        yield from _mapping(held, f"{indent}  ")
    elif isinstance(held.shown, list) and any(isinstance(one.shown, dict | list) for one in held.shown):
        yield f"{head}{comment}"
        for one in held.shown:
            lines = list(_mapping(one, f"{indent}    "))
            yield f"{indent}  - {lines[0].lstrip() if lines else _inline(one)}"
            yield from lines[1:]
    else:
        yield f"{head} {_inline(held)}{comment}"


def _inline(value: Value) -> str:
    if isinstance(value.shown, dict):
        return "{}"
    if isinstance(value.shown, list):
        return f"[{', '.join(_inline(one) for one in value.shown)}]"
    return _scalar(value.shown)


def _scalar(shown: object) -> str:
    """A scalar as YAML 1.2 and 1.1 both read it."""
    if isinstance(shown, bool):
        return "true" if shown else "false"
    if not isinstance(shown, str):
        return str(shown)
    plain = shown.isascii() and shown.isprintable() and shown and shown[0].isalpha() | (shown[0] in "/.")
    if plain and not any(c in shown for c in ":#,[]{}*&!|>'\"%@`\\ ") and shown.lower() not in _WORDS:
        return shown
    if plain and "://" in shown and not any(c in shown for c in "#,[]{}*&!|>'\"%@`\\ "):
        return shown
    return json.dumps(shown, ensure_ascii=False)


_WORDS = frozenset({"true", "false", "yes", "no", "on", "off", "null", "y", "n"})
