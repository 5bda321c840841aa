"""A hash tree over what was written between two checkpoints, so that one record can be proved without the others.

The tree is RFC 9162's (section 2.1.1): leaves are groups of 256 record hashes, as they stand in the log; the
checkpoint holds the root, signed. Pure: no I/O, no clock.
"""

from collections.abc import Sequence
from hashlib import sha256

from gateway.stages.record.chain import Root

GROUP = 256  # hashes of a leaf: few enough for a short proof, enough to cost a record nearly nothing
_LEAF, _NODE = b"\0", b"\1"


class Tree:
    """Grows by the hashes of what was written, each once and in order; under a checkpoint, it begins anew."""

    __slots__ = ("_first", "_hashes", "_last", "_levels", "due")

    def __init__(self) -> None:
        self.due = False  # something is in it besides checkpoints
        self._first = 0  # seq of the first line in it; 0: empty
        self._last = 0
        self._hashes: list[str] = []  # of the leaf that is not full yet
        self._levels: list[bytes | None] = []  # of each height, the full subtree that waits for its neighbour

    def add(self, hashes: Sequence[str], last: int) -> None:
        """As they stand in the log; `last` is the number of the last line."""
        if not self._first:
            self._first = last - len(hashes) + 1
        self._last = last
        waiting = self._hashes
        waiting += hashes
        while len(waiting) >= GROUP:
            self._push(_leaf(waiting[:GROUP]))
            del waiting[:GROUP]

    def root(self, hashes: Sequence[str], last: int) -> Root:
        """Over what is in it and these hashes besides, which is something. Changes nothing."""
        whole = Tree()
        whole._first, whole._last = self._first, self._last
        whole._hashes, whole._levels = self._hashes.copy(), self._levels.copy()
        if hashes:
            whole.add(hashes, last)
        return Root(whole._first, whole._last, whole._top())

    def clear(self) -> None:
        """The checkpoint was written."""
        self.due = False
        self._first = 0
        self._hashes.clear()
        self._levels.clear()

    def _top(self) -> str:
        node = _leaf(self._hashes) if self._hashes else None
        for level in self._levels:  # the last leaves are few: they hang to the right of ever larger trees
            if level is not None:
                node = level if node is None else sha256(_NODE + level + node).digest()
        assert node is not None  # noqa: S101 - it holds something
        return node.hex()

    def _push(self, node: bytes) -> None:
        for height, level in enumerate(self._levels):
            if level is None:
                self._levels[height] = node
                return
            self._levels[height] = None
            node = sha256(_NODE + level + node).digest()
        self._levels.append(node)


def _leaf(hashes: Sequence[str]) -> bytes:
    return sha256(_LEAF + "".join(hashes).encode("ascii")).digest()
