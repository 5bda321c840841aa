"""The hash chain of one stream, and its signed checkpoints (docs/reference/audit-format.md).

A line is sealed once and never changed: its hash covers the bytes as they are stored, `prev` binds the line before.
Pure: no I/O, no clock.
"""

from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterable
from hashlib import sha256
from typing import NamedTuple, TypeAlias

from gateway.stages.record.text import quote
from gateway.stages.record.waiting import Waiting

GENESIS = "0" * 64
_NUMBERS = tuple(map(str, range(1000)))  # to write a long number anew takes ten times a look here
_DIGITS = tuple(f"{number:03d}" for number in range(1000))  # likewise: behind the thousands
CHECKPOINT = "checkpoint"
_CHECKPOINT_LABEL = "gateway-audit-checkpoint/1"
_TREE_LABEL = "gateway-audit-tree/1"

Sign: TypeAlias = Callable[[bytes], bytes]  # Ed25519 (RFC 8032)


class Root(NamedTuple):
    """The root of the hash tree over some records."""

    first: int  # seq of the first record
    last: int
    root: str  # hex


class Chain:
    """Where a stream stands: the sequence number and the hash of its last line."""

    __slots__ = ("_sign", "_stream", "head", "seq", "stream")

    def __init__(self, stream: str, seq: int, head: str, sign: Sign | None) -> None:
        """`seq` and `head` are those of the last line; 0 and GENESIS where there is none."""
        self.stream = stream
        self.seq = seq
        self.head = head
        self._stream = f',"stream":{quote(stream)}'
        self._sign = sign

    def seal(self, kind: str, time: str, members: str) -> bytes:
        """One line, its newline included. `members`: `,"name":value` of each, or ""."""
        return "".join(self.seal_all(((kind, 0.0, "", members, True),), lambda _: time)[0]).encode()

    def seal_all(self, records: Iterable[Waiting], stamp: Callable[[float], str]) -> tuple[list[str], list[str]]:
        """The lines of a tick's records, to join and encode in one go, and their hashes. `stamp` writes a time."""
        head, stream = self.head, self._stream
        thousands, rest = divmod(self.seq, 1000)
        texts, hashes, last = list[str](), list[str](), -1.0
        digits = _DIGITS if thousands else _NUMBERS
        for kind, at, ids, members, _ in records:
            rest += 1
            if rest == 1000:
                thousands, rest, last, digits = thousands + 1, 0, -1.0, _DIGITS
            if at is not last:  # those of one tick share a reading of the clock
                last, when = at, f'","time":"{stamp(at)}","seq":{thousands or ""}'
            body = f'{{"type":"{kind}{when}{digits[rest]}{stream}{ids}{members},"prev":"{head}"'
            head = sha256(body.encode()).hexdigest()
            hashes.append(head)
            texts.append(body)
            texts.append(f',"hash":"{head}"}}\n')
        self.seq, self.head = thousands * 1000 + rest, head
        return texts, hashes

    def seal_checkpoint(self, time: str, tree: Root | None) -> bytes:
        """A checkpoint: it signs the hash of the line before it, and the tree where there is one.

        `signature` is null without a key.
        """
        said = f"{_CHECKPOINT_LABEL}\n{self.stream}\n{self.seq + 1}\n{self.head}\n{time}\n"
        members = f',"head":"{self.head}","signature":{self._signature(said)}'
        if tree is not None:
            first, last, root = tree
            said = f"{_TREE_LABEL}\n{self.stream}\n{self.seq + 1}\n{first}\n{last}\n{root}\n{time}\n"
            members += f',"tree":{{"first":{first},"last":{last},"root":"{root}","signature":{self._signature(said)}}}'
        return self.seal(CHECKPOINT, time, members)

    def _signature(self, said: str) -> str:
        if self._sign is None:
            return "null"
        return f'"{urlsafe_b64encode(self._sign(said.encode())).rstrip(b"=").decode("ascii")}"'
