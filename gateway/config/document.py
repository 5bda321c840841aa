"""YAML text into plain values that know where they stand.

YAML 1.2 core schema, one document, no tags, no merge keys, no repeated keys; every fault with its place.
Nothing here recurses: depth and what aliases may add are bounded, whatever the text.
"""

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final, NoReturn, Protocol

import yaml

from gateway.config.plain import BROKEN, Expression, Text, core_scalar
from gateway.config.problem import Problem
from gateway.model.place import Place

NOWHERE = Place("", 0, 0)
_MAX_DEPTH: Final = 64
_MAX_ALIASED: Final = 100_000  # values that aliases may add

_NOT_PRINTABLE = re.compile("[^\\t\\n\\r\\x20-\\x7e\\x85\\xa0-\\ud7ff\\ue000-\\ufffd\\U00010000-\\U0010ffff]")

Substitute = Callable[[str, Place], str]  # variables of a scalar replaced; raises ValueError


class _Mark(Protocol):
    line: int
    column: int


class Block(dict[str, object]):
    """A mapping of the file: its place, the key under which it stands, the places of its keys and values."""

    __slots__ = ("key", "keys_at", "values_at", "where")

    def __init__(self, values: Mapping[str, object], where: Place, key: str = "") -> None:
        super().__init__(values)
        self.where = where
        self.key = key
        self.keys_at: dict[str, Place] = {}
        self.values_at: dict[str, Place] = {}

    def copied(self, *, key: str | None = None, values: Mapping[str, object] = MappingProxyType({})) -> "Block":
        """The same place, with other values or under another key."""
        copy = Block({**self, **values}, self.where, self.key if key is None else key)
        copy.keys_at, copy.values_at = self.keys_at, self.values_at
        return copy


class Items(list[object]):
    """A list of the file, with the places of its values."""

    __slots__ = ("values_at", "where")

    def __init__(self, where: Place) -> None:
        super().__init__()
        self.where = where
        self.values_at: list[Place] = []


class _Stop(Exception):  # noqa: N818 - a fault behind which nothing can be read
    pass


class _Frame:
    """A collection that is being read."""

    __slots__ = ("anchor", "height", "key", "key_at", "target", "weight")

    def __init__(self, target: Block | Items, anchor: str | None) -> None:
        self.target = target
        self.anchor = anchor
        self.key: str | None = None  # of a mapping: the key whose value comes next
        self.key_at = NOWHERE
        self.weight = 1  # values in it
        self.height = 1  # levels in it


class Document:
    """One file: its value, and what is wrong with its writing.

    With `several`, as other programs write theirs: a value for each document (`roots`), and keys that look like
    numbers are texts.
    """

    def __init__(self, text: str, file: str, substitute: Substitute, *, several: bool = False) -> None:
        self.root: object = None
        self.roots: list[object] = []
        self.roots_at: list[Place] = []
        self.problems: list[Problem] = []
        self._file = file
        self._substitute = substitute
        self._several = several
        self._stack: list[_Frame] = []
        self._anchors: dict[str, tuple[object, int, int]] = {}  # value, weight, height
        self._aliased = 0
        self._documents = 0
        strange = _NOT_PRINTABLE.search(text)
        if strange is not None:
            before = text[: strange.start()]
            column = strange.start() - (before.rfind("\n") + 1)
            where = Place(file, before.count("\n") + 1, column + 1)
            self._fault(
                where, f"not YAML: the character {strange[0]!a} cannot stand in a file", "write it as an escape"
            )
            return
        try:
            for event in yaml.parse(text, Loader=yaml.CSafeLoader):
                self._take(event)
        except _Stop:
            pass
        except yaml.YAMLError as error:
            self.problems.append(self._syntax(error, text))

    def _place(self, mark: _Mark | None) -> Place:
        return Place(self._file, mark.line + 1, mark.column + 1) if mark is not None else Place(self._file, 1, 1)

    def _fault(self, where: Place, message: str, hint: str = "") -> None:
        self.problems.append(Problem(where, message, hint))

    def _stop(self, where: Place, message: str, hint: str = "") -> NoReturn:
        self._fault(where, message, hint)
        self.root = None
        raise _Stop

    def _take(self, event: yaml.Event) -> None:
        if isinstance(event, yaml.ScalarEvent):
            self._scalar(event)
        elif isinstance(event, yaml.CollectionStartEvent):
            self._open(event)
        elif isinstance(event, yaml.CollectionEndEvent):
            frame = self._stack.pop()
            self._put(frame.target, frame.target.where, frame.anchor, frame.weight, frame.height)
        elif isinstance(event, yaml.AliasEvent):
            self._alias(event)
        elif isinstance(event, yaml.DocumentEndEvent):
            self.roots.append(self.root)
        elif isinstance(event, yaml.DocumentStartEvent):
            self._documents += 1
            self._anchors.clear()  # they are a document's own
            self.roots_at.append(self._place(event.start_mark))
            if self._documents > 1 and not self._several:
                self._stop(
                    self._place(event.start_mark), "a second document: a file holds one", "remove it and the ---"
                )

    def _scalar(self, event: yaml.ScalarEvent) -> None:
        where = self._place(event.start_mark)
        plain = not event.style
        if event.tag is not None:
            self._fault(where, f"tags are not used: remove {event.tag}", "quotes make a text")
        if self._expects_key():
            self._key(event.value, where, plain=plain)
            return
        value = self._value(event.value, where, plain=plain)
        if isinstance(value, str) and self._in_expression():
            value = Expression.at(value, self._begins(event, where))
        self._put(value, where, event.anchor)

    def _value(self, text: str, where: Place, *, plain: bool) -> object:
        if "${" not in text or self._in_expression():
            return core_scalar(text) if plain else text
        try:
            replaced = self._substitute(text, where)
        except ValueError as error:
            self._fault(where, str(error))
            return BROKEN
        if not plain:
            return replaced
        whole = text.startswith("${") and text.find("}") == len(text) - 1
        return Text(replaced, variable=whole)

    @staticmethod
    def _begins(event: yaml.ScalarEvent, where: Place) -> Place | None:
        """Where the first character of a scalar stands, if what stands there is the scalar letter by letter."""
        quotes = 1 if event.style in ("'", '"') else 0
        if event.start_mark is None or event.end_mark is None:
            return None
        as_written = event.end_mark.index - event.start_mark.index == len(event.value) + 2 * quotes
        if event.style in ("|", ">") or "\n" in event.value or not as_written:
            return None
        return Place(where.file, where.line, where.column + quotes)

    def _in_expression(self) -> bool:
        """True for an entry of `when` or `require`: CEL, in which nothing is replaced."""
        if len(self._stack) < 2 or not isinstance(self._stack[-1].target, Items):
            return False
        return self._stack[-2].key in ("when", "require")

    def _expects_key(self) -> bool:
        return bool(self._stack) and isinstance(self._stack[-1].target, Block) and self._stack[-1].key is None

    def _key(self, text: str, where: Place, *, plain: bool) -> None:
        frame = self._stack[-1]
        frame.key, frame.key_at = text, where
        if not plain:
            return
        if text == "<<":
            self._fault(where, "merge keys are not part of YAML 1.2: write the keys out")
        elif not self._several and not isinstance(core_scalar(text), Text):
            self._fault(where, f'a key is a text: write "{text}" in quotes')

    def _open(self, event: yaml.CollectionStartEvent) -> None:
        where = self._place(event.start_mark)
        if event.tag is not None:
            self._fault(where, f"tags are not used: remove {event.tag}")
        if self._expects_key():
            self._stop(where, "a key is a text, not a list or mapping")
        if len(self._stack) >= _MAX_DEPTH:
            self._stop(where, f"nested more than {_MAX_DEPTH} levels deep")
        key = (self._stack[-1].key or "") if self._stack else ""
        target = Block({}, where, key) if isinstance(event, yaml.MappingStartEvent) else Items(where)
        self._stack.append(_Frame(target, event.anchor))

    def _alias(self, event: yaml.AliasEvent) -> None:
        where = self._place(event.start_mark)
        if self._expects_key():
            self._stop(where, "a key is a text: write it out")
        if event.anchor not in self._anchors:
            self._stop(where, f"*{event.anchor} refers to nothing that stands before it")
        value, weight, height = self._anchors[event.anchor]
        self._aliased += weight
        if self._aliased > _MAX_ALIASED or len(self._stack) + height > _MAX_DEPTH:
            self._stop(where, "aliases repeat too much: write the values out")
        if isinstance(value, Block):
            value = value.copied(key=self._stack[-1].key or "")
        self._put(value, where, None, weight, height)

    def _put(self, value: object, where: Place, anchor: str | None, weight: int = 1, height: int = 0) -> None:
        if anchor is not None:
            self._anchors[anchor] = (value, weight, height)
        if not self._stack:
            self.root = value
            return
        frame = self._stack[-1]
        frame.weight += weight
        frame.height = max(frame.height, height + 1)
        if isinstance(frame.target, Items):
            frame.target.append(value)
            frame.target.values_at.append(where)
            return
        key, frame.key = frame.key or "", None
        if key in frame.target:
            first = frame.target.keys_at[key]
            self._fault(frame.key_at, f"{key!r} stands twice: first in line {first.line}")
            return
        frame.target[key] = value
        frame.target.keys_at[key] = frame.key_at
        frame.target.values_at[key] = where

    def _syntax(self, error: yaml.YAMLError, text: str) -> Problem:
        mark = error.problem_mark if isinstance(error, yaml.MarkedYAMLError) else None
        if mark is None:
            return Problem(Place(self._file, 1, 1), f"not YAML: {str(error).splitlines()[0]}")
        line = "".join(text.split("\n", mark.line + 1)[mark.line : mark.line + 1])
        hint = ""
        if line[mark.column : mark.column + 1] == "\t":
            hint = "tabs cannot indent in YAML"
        elif line[max(mark.column - 1, 0) : mark.column + 1] == "${":
            hint = "inside {} and [] a variable stands in quotes"
        return Problem(self._place(mark), f"not YAML: {getattr(error, 'problem', error)}", hint)
