"""The hash tree under a checkpoint, by its format alone (docs/reference/audit-format.md).

Source: RFC 9162 section 2.1. An entry of the tree is the hashes of up to 256 records, joined as they stand in the log.
"""

from collections.abc import Sequence
from hashlib import sha256

GROUP = 256
_MOST = 1 << 21  # records that are kept between two checkpoints


class Uncovered:
    """The records since the last tree, to judge the next one by."""

    def __init__(self) -> None:
        self._hashes: list[bytes] = []
        self._whole = True  # False: some are not known

    def take(self, digest: bytes) -> None:
        """Another record; `digest`: its hash in hex."""
        self._hashes.append(digest)
        if len(self._hashes) > _MOST:
            self.lose()

    def lose(self) -> None:
        """What came before is not there."""
        self._hashes.clear()
        self._whole = False

    def judge(self, tree: object, seq: int) -> str | None:
        """What is wrong with the tree of the checkpoint that has the number `seq`, just taken; None: nothing."""
        hashes, whole = self._hashes, self._whole
        self._hashes, self._whole = [hashes.pop()] if hashes else [], True
        if not isinstance(tree, dict) or type(tree.get("first")) is not int or tree.get("last") != seq - 1:
            return "its tree does not end with the record before it"
        count = seq - tree["first"]
        if count < 1 or (whole and count > len(hashes)):
            return "its tree covers records twice"
        if whole and root(groups([one.decode("latin-1") for one in hashes[-count:]])).hex() != tree.get("root"):
            return "its tree is not over the records that it names"
        return None


def groups(hashes: Sequence[str]) -> list[bytes]:
    """The hashes of the tree's leaves."""
    return [leaf(hashes[at : at + GROUP]) for at in range(0, len(hashes), GROUP)]


def leaf(hashes: Sequence[str]) -> bytes:
    """The hash of one leaf."""
    return sha256(b"\0" + "".join(hashes).encode("ascii", "replace")).digest()


def root(leaves: Sequence[bytes]) -> bytes:
    """Merkle tree hash (section 2.1.1) over at least one leaf."""
    if len(leaves) == 1:
        return leaves[0]
    split = _split(len(leaves))
    return _node(root(leaves[:split]), root(leaves[split:]))


def path(leaves: Sequence[bytes], index: int) -> list[bytes]:
    """The inclusion proof of a leaf (section 2.1.3.1)."""
    if len(leaves) == 1:
        return []
    split = _split(len(leaves))
    if index < split:
        return [*path(leaves[:split], index), root(leaves[split:])]
    return [*path(leaves[split:], index - split), root(leaves[:split])]


def root_by_path(found: bytes, index: int, size: int, nodes: Sequence[bytes]) -> bytes:
    """The root that a leaf and its proof lead to (section 2.1.3.2). Raises ValueError for a proof of a wrong shape."""
    if not 0 <= index < size:
        raise ValueError("the place in the tree is outside of it")
    at, last = index, size - 1
    for node in nodes:
        if last == 0:
            raise ValueError("the path is too long")
        if at & 1 or at == last:
            found = _node(node, found)
            while not at & 1 and at:
                at >>= 1
                last >>= 1
        else:
            found = _node(found, node)
        at >>= 1
        last >>= 1
    if last:
        raise ValueError("the path is too short")
    return found


def _node(left: bytes, right: bytes) -> bytes:
    return sha256(b"\1" + left + right).digest()


def _split(size: int) -> int:
    """The largest power of two below `size`."""
    return 1 << ((size - 1).bit_length() - 1)
