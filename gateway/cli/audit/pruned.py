"""Whether a log whose beginning is not there says so itself; for the verifier alone.

Source: docs/reference/audit-format.md.
"""

from collections.abc import Callable

from gateway.cli.audit.line import AuditLine, short


class Pruned:
    """The first segments of a stream are not there."""

    def __init__(self, file: str, number: int, message: str) -> None:
        """`file` and `number`: the first segment that is there."""
        self.file = file
        self.message = message
        self.seq = 0  # of the record before it
        self.head = b""  # its hash, as the first segment binds it
        self._number = number
        self._told: int | None = None  # seq of the record that explains it

    def judge(self, record: AuditLine, hash_of: Callable[[int], int]) -> None:
        """Look at a `pruned` record. `hash_of`: the short hash of an earlier record of the log that is there.

        The files go oldest first: after a crash some of those that it names may still be there.
        """
        segments, before = record.members.get("segments"), record.members.get("before")
        if not (isinstance(segments, list) and len(segments) == 2 and isinstance(before, dict)):
            return
        last, seq, digest = segments[1], before.get("seq"), before.get("hash")
        if type(last) is not int or type(seq) is not int or type(digest) is not str or last < self._number - 1:
            return
        if seq == self.seq:
            holds = last == self._number - 1 and digest.encode() == self.head
        else:
            holds = self.seq < seq < record.seq and hash_of(seq) == short(digest.encode())
        if holds:
            self._told = record.seq

    def explained(self, signed: int | None) -> bool:
        """Whether a record explains it, under the last signed checkpoint where checkpoints are signed."""
        return self._told is not None and (signed is None or signed > self._told)
