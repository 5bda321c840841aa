"""Walking the plain values of a file by path: places, values, removal.

A path is a tuple of keys and list positions. Parts that do not fit the file are skipped, because the schema also
counts a single mapping as a list of one (`from`, `to`).
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import TypeAlias

from gateway.config.document import Block, Items
from gateway.model.place import Place

Path: TypeAlias = tuple[str | int, ...]
_Holder: TypeAlias = Block | Items


def _steps(root: Block, path: Path) -> Iterator[tuple[_Holder, str | int]]:
    """Each holder on the way and what is taken from it."""
    here: object = root
    for part in path:
        if isinstance(here, Block) and part in here:
            yield here, part
            here = here[str(part)]
        elif isinstance(here, Items) and isinstance(part, int) and part < len(here):
            yield here, part
            here = here[part]


def real(root: Block, path: Path) -> Path:
    """`path` without the parts that do not stand in the file."""
    return tuple(part for _, part in _steps(root, path))


def value(root: Block, path: Path) -> object:
    """What stands there."""
    here: object = root
    for holder, part in _steps(root, path):
        here = holder[part]  # type: ignore[index]
    return here


def place(root: Block, path: Path) -> Place:
    """Where the value stands."""
    where = root.where
    for holder, part in _steps(root, path):
        if isinstance(holder, Block):
            where = holder.values_at.get(str(part), holder.where)
        else:
            where = holder.values_at[int(part)]
    return where


def key_place(root: Block, path: Path) -> Place:
    """Where the last key of the path stands; of a list's value, the value."""
    where = root.where
    for holder, part in _steps(root, path):
        if isinstance(holder, Block):
            where = holder.keys_at.get(str(part), holder.where)
        else:
            where = holder.values_at[int(part)]
    return where


class Gone:
    """What was taken out, so that what hangs on it is not judged as if it had never been written."""

    def __init__(self) -> None:
        self._keys: set[tuple[Place, str | int]] = set()

    def remove(self, root: Block, path: Path) -> None:
        """Take a value out, and the list that it leaves empty."""
        steps = list(_steps(root, path))
        self._keys.update((holder.where, part) for holder, part in steps)
        while steps:
            holder, part = steps.pop()
            if isinstance(holder, Block):
                holder.pop(str(part), None)
                return
            del holder[int(part)]
            del holder.values_at[int(part)]
            if holder:
                return

    def remove_all(self, root: Block, paths: Iterable[Path]) -> None:
        """Take out many, from the end: taking out one does not move those still to come."""
        for path in backwards(paths):
            self.remove(root, path)

    def note(self, where: Place, key: str) -> None:
        """A key that was probably meant by another that was taken out."""
        self._keys.add((where, key))

    def lost(self, where: Place, *keys: str) -> bool:
        """True when one of the keys, or something below it, was taken out of the mapping at `where`."""
        return any((where, key) in self._keys for key in keys)

    def lost_any(self, where: Place) -> bool:
        """True when anything was taken out of the mapping or list at `where`."""
        return any(holder == where for holder, _ in self._keys)


def backwards(paths: Iterable[Path]) -> list[Path]:
    """The paths, those later in their lists first."""

    def order(path: Path) -> list[tuple[bool, int, str]]:
        return [(isinstance(part, int), part if isinstance(part, int) else 0, str(part)) for part in path]

    return sorted(set(paths), key=order, reverse=True)


def matching(root: Block, pattern: Sequence[str]) -> list[Path]:
    """The paths that stand in the file and fit `pattern`, in which `*` is any key or position."""
    found: list[tuple[Path, object]] = [((), root)]
    for part in pattern:
        step: list[tuple[Path, object]] = []
        for path, here in found:
            if isinstance(here, Block):
                step += [((*path, key), held) for key, held in here.items() if part in ("*", key)]
            elif isinstance(here, Items) and part == "*":
                step += [((*path, index), held) for index, held in enumerate(here)]
        found = step
    return [path for path, _ in found]


def walk(root: Block) -> Iterator[tuple[Path, object]]:
    """Every value that is no mapping and no list, with its path."""
    waiting: list[tuple[Path, object]] = [((), root)]
    while waiting:
        path, here = waiting.pop()
        if isinstance(here, Block):
            waiting += [((*path, key), held) for key, held in here.items()]
        elif isinstance(here, Items):
            waiting += [((*path, index), held) for index, held in enumerate(here)]
        else:
            yield path, here
