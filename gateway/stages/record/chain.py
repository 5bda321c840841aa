"""The hash chain of one stream, and its signed checkpoints (docs/reference/audit-format.md).

A line is sealed once and never changed: its hash covers the bytes as they are stored, `prev` binds the line before.
Pure: no I/O, no clock.
"""

from base64 import urlsafe_b64encode
from collections.abc import Callable
from hashlib import sha256
from typing import TypeAlias

from gateway.stages.record.text import quote

GENESIS = "0" * 64
CHECKPOINT = "checkpoint"
_CHECKPOINT_LABEL = "gateway-audit-checkpoint/1"

Sign: TypeAlias = Callable[[bytes], bytes]  # Ed25519 (RFC 8032)


class Chain:
    """Where a stream stands: the sequence number and the hash of its last line."""

    __slots__ = ("_sign", "_stream", "head", "seq", "stream")

    def __init__(self, stream: str, seq: int, head: str, sign: Sign | None) -> None:
        """`seq` and `head` are those of the last line; 0 and GENESIS where there is none."""
        self.stream = stream
        self.seq = seq
        self.head = head
        self._stream = quote(stream)
        self._sign = sign

    def seal(self, kind: str, time: str, members: str) -> bytes:
        """One line, its newline included. `members`: `,"name":value` of each, or ""."""
        self.seq += 1
        body = (
            f'{{"type":"{kind}","time":"{time}","seq":{self.seq},"stream":{self._stream}{members},"prev":"{self.head}"'
        ).encode("ascii")
        self.head = head = sha256(body).hexdigest()
        return body + f',"hash":"{head}"}}\n'.encode("ascii")

    def seal_checkpoint(self, time: str) -> bytes:
        """A checkpoint: it signs the hash of the line before it. `signature` is null without a key."""
        signature = "null"
        if self._sign is not None:
            said = f"{_CHECKPOINT_LABEL}\n{self.stream}\n{self.seq + 1}\n{self.head}\n{time}\n".encode()
            signature = f'"{urlsafe_b64encode(self._sign(said)).rstrip(b"=").decode("ascii")}"'
        return self.seal(CHECKPOINT, time, f',"head":"{self.head}","signature":{signature}')
