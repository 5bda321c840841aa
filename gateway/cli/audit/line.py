"""One line of an audit log, as its format says (docs/reference/audit-format.md); for the verifier alone.

Bytes are hashed as stored: nothing that was parsed is written again.
"""

import re
from base64 import urlsafe_b64decode
from binascii import Error as Base64Error
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, TypeAlias

from pydantic_core import from_json  # half the time of json.loads: a log may hold a million records

Verify: TypeAlias = Callable[[bytes, bytes], bool]  # Ed25519: signature, message

_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")


class Altered(Exception):  # noqa: N818 - a finding, not an error
    """A record whose bytes do not have its hash."""


@dataclass(slots=True)
class AuditLine:
    """A record that carries its own hash."""

    kind: str
    time: str
    seq: int
    stream: str
    prev: bytes  # 64 hex digits
    hash: bytes
    members: dict[str, Any]


def read_line(line: bytes) -> AuditLine:
    """A line with its newline as a record. Raises ValueError when it is none, Altered when its hash is another's."""
    body, digest = line[:-76], line[-67:-3]
    if line[-3:] != b'"}\n' or line[-76:-67] != b',"hash":"' or body[-74:-65] != b',"prev":"':
        raise ValueError("no record" if line.endswith(b"\n") else "a line without its end")
    if sha256(body).hexdigest().encode() != digest:
        raise Altered
    try:
        members: Any = from_json(line)
        kind, time, seq, stream = members["type"], members["time"], members["seq"], members["stream"]
    except (ValueError, KeyError, TypeError):
        raise ValueError("no record") from None
    if type(seq) is not int or seq < 1 or type(kind) is not str or type(stream) is not str:
        raise ValueError("a record whose type, seq or stream is none")
    if type(time) is not str or not _TIME.fullmatch(time):
        raise ValueError("a record whose time is none")
    return AuditLine(kind, time, seq, stream, body[-65:-1], digest, members)


def short(digest: bytes) -> int:
    """The first 8 bytes of a hash, to keep one for each record; 0 where it is none."""
    try:
        return int(digest[:16], 16)
    except ValueError:
        return 0


def signature_holds(checkpoint: AuditLine, keys: Sequence[Verify]) -> bool:
    """Whether one of the keys signed this checkpoint."""
    prev = checkpoint.prev.decode("latin-1")
    said = f"gateway-audit-checkpoint/1\n{checkpoint.stream}\n{checkpoint.seq}\n{prev}\n{checkpoint.time}\n"
    return _signed(said, checkpoint.members.get("signature"), keys)


def tree_signature_holds(checkpoint: AuditLine, keys: Sequence[Verify]) -> bool:
    """Whether one of the keys signed the tree of this checkpoint, which has one."""
    tree = checkpoint.members["tree"]
    said = (
        f"gateway-audit-tree/1\n{checkpoint.stream}\n{checkpoint.seq}\n{tree.get('first')}\n{tree.get('last')}\n"
        f"{tree.get('root')}\n{checkpoint.time}\n"
    )
    return _signed(said, tree.get("signature"), keys)


def _signed(said: str, signature: object, keys: Sequence[Verify]) -> bool:
    text = str(signature).rstrip("=")
    try:
        raw = urlsafe_b64decode(text + "=" * (-len(text) % 4))
        message = said.encode()
    except (Base64Error, ValueError):
        return False
    return any(verify(raw, message) for verify in keys)
