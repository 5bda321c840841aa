"""One mapping of a foreign file, read key by key.

Whoever reads takes each key that it knows; `rest` says of every other one that it is not carried.
A value of the wrong type is not carried either, and is then as if it were absent.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from gateway.config.document import Block, Items
from gateway.convert.report import Report
from gateway.model.place import Place


@dataclass(frozen=True, slots=True)
class Item:
    """One text of a list, and where it stands."""

    value: str
    where: Place
    path: str


class Fields:
    """A mapping with its path in its resource."""

    def __init__(self, block: Block, path: str, resource: str, report: Report) -> None:
        """`resource`: KIND/NAME."""
        self.block = block
        self.path = path
        self.resource = resource
        self.report = report
        self._taken: set[str] = set()

    def __contains__(self, key: str) -> bool:
        return key in self.block

    def __iter__(self) -> Iterator[str]:
        return iter(self.block)

    @property
    def where(self) -> Place:
        """Where it begins."""
        return self.block.where

    def at(self, key: str) -> str:
        """The path of one of its keys."""
        return f"{self.path}.{key}" if self.path else key

    def lose(self, key: str, why: str) -> None:
        """The key is not carried, and need not be read any more."""
        self._taken.add(key)
        self.report.lose(self.block.keys_at.get(key, self.where), self.resource, self.at(key), why)

    def lose_all(self, why: str) -> None:
        """The mapping as a whole is not carried."""
        self.report.lose(self.where, self.resource, self.path or "(whole)", why)

    def lose_each(self, reasons: dict[str, str]) -> None:
        """Each of these keys that stands here is not carried, for its reason."""
        for key, why in reasons.items():
            if key in self.block:
                self.lose(key, why)

    def take(self, *keys: str) -> None:
        """These keys mean nothing that could be carried (bookkeeping), or were read otherwise."""
        self._taken.update(keys)

    def rest(self) -> bool:
        """Say of each key that was not read that it is not carried; True when there was one."""
        unknown = [key for key in self.block if key not in self._taken]
        for key in unknown:
            self.lose(key, "it is no field that is known")
        return bool(unknown)

    def raw(self, key: str) -> object:
        """What stands there, of whatever type; None where nothing does."""
        self._taken.add(key)
        return self.block.get(key)

    def text(self, key: str) -> str | None:
        """A text that is not empty."""
        value = self.raw(key)
        if isinstance(value, str) and value:
            return str(value)
        if key in self.block:
            self.lose(key, "a text that is not empty is wanted")
        return None

    def number(self, key: str) -> int | None:
        """A whole number."""
        value = self.raw(key)
        if isinstance(value, int) and not isinstance(value, bool):
            return value
        if key in self.block:
            self.lose(key, "a whole number is wanted")
        return None

    def fields(self, key: str) -> "Fields | None":
        """A mapping below this one."""
        value = self.raw(key)
        if isinstance(value, Block):
            return Fields(value, self.at(key), self.resource, self.report)
        if key in self.block:
            self.lose(key, "a mapping is wanted")
        return None

    def each(self, key: str) -> "list[Fields] | None":
        """The mappings of a list; None where there is no list, or one of them is none."""
        value = self.raw(key)
        if not isinstance(value, Items):
            if key in self.block:
                self.lose(key, "a list is wanted")
            return None
        whole = True
        found = []
        for index, one in enumerate(value):
            path = f"{self.at(key)}[{index}]"
            if isinstance(one, Block):
                found.append(Fields(one, path, self.resource, self.report))
            else:
                self.report.lose(value.values_at[index], self.resource, path, "a mapping is wanted")
                whole = False
        return found if whole else None

    def items(self, key: str) -> list[Item] | None:
        """The texts of a list; None where there is no list, or one of them is none."""
        value = self.raw(key)
        if not isinstance(value, Items):
            if key in self.block:
                self.lose(key, "a list is wanted")
            return None
        found = []
        for index, one in enumerate(value):
            path = f"{self.at(key)}[{index}]"
            if isinstance(one, str) and one:
                found.append(Item(str(one), value.values_at[index], path))
            else:
                self.report.lose(value.values_at[index], self.resource, path, "a text that is not empty is wanted")
        return found if len(found) == len(value) else None
