"""Where checks put what they find.

Places are looked up by path, as the file's keys spell it.
"""

from collections.abc import Callable, Iterable

from gateway.config import tree
from gateway.config.document import Block
from gateway.config.problem import Problem
from gateway.config.tree import Gone
from gateway.model.place import Place


class Report:
    """Errors and warnings of one file."""

    def __init__(self, root: Block, gone: Gone, *, sound: bool) -> None:
        """`sound`: nothing was wrong with the file so far."""
        self._sound = sound
        self.errors: list[Problem] = []
        self.warnings: list[Problem] = []
        self._root = root
        self._gone = gone

    def error(self, path: tree.Path, message: str, hint: str = "") -> None:
        """Something that must be changed, at the value of `path`."""
        self.errors.append(Problem(tree.place(self._root, path), message, hint))

    def error_at_key(self, path: tree.Path, message: str, hint: str = "") -> None:
        """Something that must be changed, at the key of `path`."""
        self.errors.append(Problem(tree.key_place(self._root, path), message, hint))

    def warn(self, path: tree.Path, message: str, hint: str = "") -> None:
        """Something that is valid and looks wrong."""
        self.warnings.append(Problem(tree.place(self._root, path), message, hint))

    def warn_at_key(self, path: tree.Path, message: str, hint: str = "") -> None:
        """The same, at the key of `path`."""
        self.warnings.append(Problem(tree.key_place(self._root, path), message, hint))

    @property
    def sound(self) -> bool:
        """True while no error was found: what parts mean together can be judged."""
        return self._sound and not self.errors

    def stands(self, path: tree.Path) -> bool:
        """True when every part of the path is written in the file."""
        return tree.real(self._root, path) == path

    def value(self, path: tree.Path) -> object:
        """What stands there, as it was read."""
        return tree.value(self._root, path)

    def place(self, path: tree.Path) -> Place:
        """Where the value stands."""
        return tree.place(self._root, path)

    def lost(self, where: Place, *keys: str) -> bool:
        """True when one of these keys was wrong itself, and so cannot be judged with others."""
        return self._gone.lost(where, *keys)

    def lost_in(self, section: str, key: str | None = None) -> bool:
        """True when something of a top-level section was wrong itself: that key, or anything."""
        held = self._root.get(section)
        where = getattr(held, "where", None)
        if where is None:
            return self._gone.lost(self._root.where, section)
        return self._gone.lost(where, key) if key is not None else self._gone.lost_any(where)

    def each(self, path: tree.Path, values: Iterable[str], judge: Callable[[str], object]) -> None:
        """Judge every value of a list; a ValueError is its fault."""
        for index, value in enumerate(values):
            self.one((*path, index), value, judge)

    def one(self, path: tree.Path, value: str, judge: Callable[[str], object]) -> bool:
        """Judge one value; True when it is sound."""
        try:
            judge(value)
        except ValueError as fault:
            self.error(path, str(fault))
            return False
        return True
