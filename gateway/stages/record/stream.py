"""The files of one stream on disk: one writer, whole lines only.

A lock makes sure that no two processes share a chain. A write that fails leaves the file as it was; a line that a crash
tore is cut off and told of; the last whole line must still carry its own hash, or nothing is appended to it.
"""

import fcntl
import json
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from pathlib import Path

from gateway.stages.record.chain import GENESIS

_TAIL = 1 << 20  # longest line that is looked for, bytes
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,200}")
_LINE_END = b'"}\n'


class AuditError(Exception):
    """The audit log cannot be opened. The message is one line that says what to do."""


@dataclass(frozen=True, slots=True)
class Torn:
    """What a crash left behind the last whole line."""

    file: str
    size: int  # bytes
    sha256: str


class StreamFile:
    """Appends to the last segment of a stream; made by `open_stream`."""

    def __init__(self, directory: Path, stream: str, lock: int) -> None:
        self.directory = directory
        self.stream = stream
        self.number = 0  # of the segment at work; 0: none yet
        self.size = 0  # bytes of the segment at work
        self.began: float | None = None  # time of its first record, seconds since the epoch
        self.seq = 0  # of the last line found at opening
        self.head = GENESIS
        self.torn: list[Torn] = []  # what was cut off at opening
        self._lock = lock
        self._file = -1
        self._dirty = False  # a failed write may have left bytes behind `size`

    @property
    def path(self) -> Path:
        """The segment at work."""
        return self.directory / f"{self.stream}-{self.number:06d}.jsonl"

    @property
    def descriptor(self) -> int:
        """For fsync."""
        return self._file

    def append(self, data: bytes) -> None:
        """Write all of `data`, or none of it. Raises OSError."""
        if self._dirty:
            os.ftruncate(self._file, self.size)
            self._dirty = False
        try:
            written = os.write(self._file, data)
            while written < len(data):
                more = os.write(self._file, data[written:])
                if more == 0:
                    raise OSError("nothing more can be written")
                written += more
        except OSError:
            self._dirty = True
            self._cut()
            raise
        self.size += len(data)

    def next_segment(self, first: Callable[[int], bytes], now: float) -> int:
        """Begin the next file with the line that `first` makes for its number; returns the old descriptor, -1 if none.

        The caller closes the old one. Raises OSError, and then nothing has changed.
        """
        number = self.number + 1
        path = self.directory / f"{self.stream}-{number:06d}.jsonl"
        made = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o640)
        line = first(number)
        try:
            if os.write(made, line) != len(line):
                raise OSError("the disk is full")
        except OSError:
            os.close(made)
            path.unlink()
            raise
        old, self._file = self._file, made
        self.number, self.size, self.began, self._dirty = number, len(line), now, False
        return old

    def replaced(self) -> bool:
        """True when the path no longer leads to the file that we write: it was moved, deleted or cut."""
        try:
            ours = os.fstat(self._file)
        except OSError:
            self._file = -1  # its number may be another's by now: never close it
            return True
        try:
            there = self.path.stat()
        except OSError:
            return True
        return (there.st_dev, there.st_ino) != (ours.st_dev, ours.st_ino) or (
            not self._dirty and ours.st_size < self.size
        )

    def close(self) -> None:
        """Close the file and let another process take the stream."""
        for descriptor in (self._file, self._lock):
            if descriptor >= 0:
                os.close(descriptor)
        self._file = self._lock = -1

    def resume(self, number: int) -> None:
        """Take up the segment `number`. Raises AuditError, OSError."""
        self.number = number
        self._file = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW)
        length = os.fstat(self._file).st_size
        tail = os.pread(self._file, min(length, 2 * _TAIL), max(0, length - 2 * _TAIL))
        whole, newline, torn = tail.rpartition(b"\n")
        if torn:
            self.torn.append(Torn(self.path.name, len(torn), sha256(torn).hexdigest()))
        if not newline:
            if length > _TAIL:
                raise AuditError(f"{self.path}: holds no whole line: {_ADVICE}")
            self._drop_torn_start()
            return
        self.size = length - len(torn)
        self.seq, self.head = self._judge(whole.rpartition(b"\n")[2] + b"\n")
        if torn:
            os.ftruncate(self._file, self.size)
        first = os.pread(self._file, _TAIL, 0).partition(b"\n")[0]
        self.began = _time_of(first)

    def _drop_torn_start(self) -> None:
        """A crash while the segment began: it holds nothing, so the one before it is the last."""
        os.close(self._file)
        self._file = -1
        self.path.unlink()
        before = segment_numbers(self.directory, self.stream)
        self.number = 0
        if before:
            self.resume(before[-1])

    def _judge(self, line: bytes) -> tuple[int, str]:
        """The sequence number and hash of a line that holds. Raises AuditError."""
        try:
            record = json.loads(line)
            body, _, end = line.rpartition(b',"hash":"')
            digest = sha256(body).hexdigest()
            if end == digest.encode() + _LINE_END and record["stream"] == self.stream:
                return int(record["seq"]), digest
        except (ValueError, KeyError, TypeError):
            pass
        raise AuditError(f"{self.path}: its last record does not hold: {_ADVICE}")

    def _cut(self) -> None:
        try:
            os.ftruncate(self._file, self.size)
            self._dirty = False
        except OSError:
            pass  # tried again before the next write


_ADVICE = "run `gateway audit verify` on the directory, keep it as evidence, and give the gateway an empty one"


def open_stream(directory: Path, stream: str) -> StreamFile:
    """Lock the stream and find its end. The directory is made if absent. Raises AuditError."""
    if not _NAME.fullmatch(stream):
        raise AuditError(f"audit: {stream!r} cannot name files: set audit.replica to letters, digits, '.', '-', '_'")
    try:
        directory.mkdir(parents=True, exist_ok=True)
        lock = os.open(directory / f"{stream}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o640)
    except OSError as error:
        raise _unwritable(directory, error) from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        raise AuditError(
            f"{directory}: another process writes the audit stream {stream}: stop it, or set audit.replica"
        ) from None
    file = StreamFile(directory, stream, lock)
    try:
        numbers = segment_numbers(directory, stream)
        if numbers:
            file.resume(numbers[-1])
    except OSError as error:
        file.close()
        raise _unwritable(directory, error) from None
    except AuditError:
        file.close()
        raise
    return file


def segment_numbers(directory: Path, stream: str) -> list[int]:
    """The numbers of a stream's files, ascending."""
    name = re.compile(re.escape(stream) + r"-([0-9]{6,})\.jsonl")
    return sorted(int(found[1]) for path in directory.iterdir() if (found := name.fullmatch(path.name)))


def _unwritable(directory: Path, error: OSError) -> AuditError:
    return AuditError(
        f"{directory}: the audit log cannot be written ({error.strerror}): make the directory writable for this user, "
        "or set audit.directory"
    )


def _time_of(line: bytes) -> float | None:
    try:
        return datetime.fromisoformat(json.loads(line)["time"]).timestamp()
    except (ValueError, KeyError, TypeError):
        return None
