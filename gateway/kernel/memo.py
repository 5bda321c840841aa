"""What was found out of a short text of a client's, remembered by it: as much as fits into so much memory.

Rule: it is read like any dict and written by `keep` alone; when it is full all of it goes at once, so that what never
comes again, a flood among it, costs no more than being put there.
Invariant: it takes no more than its room, 4 MiB where nothing else is said, whatever clients send.
"""

from typing import TypeVar

_K = TypeVar("_K")
_V = TypeVar("_V")
_ROOM = 4 << 20  # bytes: 10,000 texts of 80 characters, or 5,000 of the longest
_ENTRY = 256  # bytes of one beside its texts: a tuple or two, the heads of strings, its place in the table
_LONGEST = 256  # characters of a text that is remembered


class Memo(dict[_K, _V]):
    """Of one process, for one purpose."""

    __slots__ = ("_left", "_longest", "_room")

    def __init__(self, longest: int = _LONGEST, room: int = _ROOM) -> None:
        """`longest`: characters of a text that is remembered; `room`: bytes."""
        super().__init__()
        self._left = self._room = room
        self._longest = longest

    def keep(self, key: _K, value: _V, size: int) -> None:
        """Remember what is not here yet. `size`: characters of the key's texts; the value has no more than these."""
        if size > self._longest:
            return
        takes = _ENTRY + 2 * size
        self._left -= takes
        if self._left < 0:
            self.clear()
            self._left = self._room - takes
        self[key] = value
