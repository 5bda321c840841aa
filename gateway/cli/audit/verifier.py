"""Judges an audit log by its format alone (docs/reference/audit-format.md).

Shares no code with the writer, so that a fault of the writer cannot agree with itself. Bytes are hashed as stored.
Files are read as streams: memory grows by eight bytes a record.
"""

import json
from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import IO, TypeAlias

from gateway.cli.audit.files import segments
from gateway.cli.audit.line import Altered, AuditLine, Verify, read_line, short, signature_holds, tree_signature_holds
from gateway.cli.audit.pruned import Pruned
from gateway.cli.audit.tree import Uncovered

ZEROS = b"0" * 64
MOST_FINDINGS = 20  # of one stream: what comes after is likely more of the same
_LONGEST_LINE = 1 << 24  # bytes
_LONGEST_GAP = 1 << 16  # missing records that may still turn up later


@dataclass
class Finding:
    """One thing that is wrong, or worth a warning, and where."""

    file: str
    line: int
    seq: int | None
    kind: str
    message: str


@dataclass
class StreamReport:
    """What is to be said of one stream."""

    stream: str
    records: int = 0
    head: str | None = None
    findings: list[Finding] = field(default_factory=list)
    warnings: list[Finding] = field(default_factory=list)


Anchors: TypeAlias = Mapping[str, Mapping[int, str]]
"""Hashes that were kept elsewhere, by stream and sequence number."""


def verify_directory(
    directory: Path, keys: Sequence[Verify], head: str | None, anchors: Anchors | None = None
) -> list[StreamReport]:
    """Every stream of a directory. `head`: a hash that must be in one of them. Raises OSError."""
    anchors = anchors or {}
    found = segments(directory)
    for stream in anchors:
        found.setdefault(stream, {})
    wanted = head.lower().encode() if head is not None else None
    checks = [_Stream(stream, keys, wanted, anchors.get(stream, {})) for stream in sorted(found)]
    reports = [check.run(found[check.report.stream]) for check in checks]
    if head is not None and not any(check.saw_head for check in checks):
        message = f"no record has the hash {head}: what was written up to it was cut off"
        lost = Finding(str(directory), 0, None, "truncated", message)
        if len(reports) == 1:
            reports[0].findings.append(lost)
        else:
            reports.append(StreamReport("*", findings=[lost]))
    return reports


class _Stream:
    """Walks the segments of one stream."""

    def __init__(self, stream: str, keys: Sequence[Verify], wanted: bytes | None, anchors: Mapping[int, str]) -> None:
        self.report = StreamReport(stream)
        self.saw_head = False
        self._keys = keys
        self._wanted = wanted
        self._anchors = anchors
        self._pruned: Pruned | None = None  # the first segments are not there: what may explain it
        self._file = ""
        self._line = 0
        self._next = 1  # the sequence number that must come
        self._first = 1  # the number of the first hash below
        self._head = ZEROS  # the hash that the next `prev` must be
        self._last: tuple[str, int] | None = None  # where the record before stands
        self._hashes = array("Q")  # the first 8 bytes of each record's hash, by sequence number; 0: not there
        self._uncovered = Uncovered()
        self._gaps: dict[int, Finding] = {}  # missing numbers, which may turn up later
        self._time = ""
        self._signed: int | None = None  # seq of the last checkpoint with a signature
        self._checkpoint_last = False
        self._unchecked = False
        self._skipped: tuple[int, bytes] | None = None  # what must come, before a line that did not hold

    def run(self, files: dict[int, Path]) -> StreamReport:
        """Judge the files, by number."""
        if not files:
            self._find("empty_log", f"the stream {self.report.stream} was written, and has no files", None)
            return self.report
        before = 0
        for number in sorted(files):
            self._file, self._line = str(files[number]), 0
            if number != before + 1:
                missing = f"{before + 1}" if number == before + 2 else f"{before + 1} to {number - 1}"
                message = f"segment {missing} is not there"
                if before == 0:
                    self._pruned = Pruned(self._file, number, message)
                else:
                    self._find("segment_missing", message, None)
                self._begin_anew(files[number])
                if self._pruned is not None and before == 0:
                    self._pruned.seq, self._pruned.head = self._next - 1, self._head
            self._segment(files[number], number, begun=before)
            before = number
        self._close()
        return self.report

    def _segment(self, path: Path, number: int, begun: int) -> None:
        before = path.with_name(f"{self.report.stream}-{begun:06d}.jsonl").name if begun else None
        with path.open("rb", buffering=1 << 20) as file:
            for line in _lines(file):
                self._line += 1
                record = self._read(line)
                if record is not None:
                    self._judge_segment(record, number, before)
                    self._judge(record)
        if self._line == 0:
            self._find("empty_log", "the file is empty", None)

    def _read(self, line: bytes) -> AuditLine | None:
        """One line as a record that carries its own hash; a finding where it is none."""
        try:
            return read_line(line)
        except Altered:
            self.report.records += 1
            self._find("altered", f"record {self._next} was altered: its bytes do not have its hash", self._next)
        except ValueError as error:
            self._find("malformed", f"{error}: {line[:60]!r}", self._next)
        self._skip()
        return None

    def _judge(self, record: AuditLine) -> None:
        self.report.records += 1
        if self._wanted == record.hash:
            self.saw_head = True
        if record.stream != self.report.stream:
            message = f"a record of the stream {record.stream!r} in the files of {self.report.stream!r}"
            self._find("segment_foreign", message, record.seq)
            return
        if self._skipped == (record.seq, record.prev):  # the line before was added: it stood for no record
            self._next, self._head = record.seq, record.prev
            del self._hashes[record.seq - self._first :]
        self._skipped = None
        if record.seq < self._next:
            self._earlier(record)
            return
        if record.seq > self._next:
            self._later(record)
        elif self._head and record.prev != self._head:
            self._unbound(record)
        if record.time < self._time:
            self._find("clock_backwards", f"{record.time} after {self._time}", record.seq)
        self._time = record.time
        self._take(record)
        if record.kind == "checkpoint":
            self._judge_checkpoint(record)
            if "tree" in record.members:
                self._judge_tree(record)
        elif record.kind == "repair":
            message = (
                f"a crash left {record.members.get('bytes')} bytes of a line that was not whole; they were cut off"
            )
            self._warn("repaired", message, record.seq)
        elif record.kind == "pruned" and self._pruned is not None:
            self._pruned.judge(record, lambda seq: self._hashes[seq - self._first])
        self._checkpoint_last = record.kind == "checkpoint"

    def _take(self, record: AuditLine) -> None:
        self._head = record.hash
        self._next = record.seq + 1
        self._last = self._file, self._line
        self._hashes.append(short(record.hash))
        self._uncovered.take(record.hash)

    def _earlier(self, record: AuditLine) -> None:
        """A number that is over: told before, or missed before."""
        gap = self._gaps.pop(record.seq, None)
        at = record.seq - self._first
        if gap is not None:
            gap.kind = "reordered"
            gap.message = f"record {record.seq} stands after record {self._next - 1}"
            self._hashes[at] = short(record.hash)
        elif at >= 0 and self._hashes[at] == short(record.hash):
            self._find("duplicated", f"record {record.seq} is there twice", record.seq)
        elif record.seq == 1 and record.prev == ZEROS:
            self._find("inserted", "the stream begins anew in the middle", record.seq)
        else:
            self._find("inserted", f"another record {record.seq} was there before", record.seq)

    def _later(self, record: AuditLine) -> None:
        """Numbers are missing before this record."""
        first, last = self._next, record.seq - 1
        which = f"record {first} is" if first == last else f"records {first} to {last} are"
        finding = self._find("removed", f"{which} missing", first)
        count = record.seq - first
        if count <= _LONGEST_GAP:
            self._hashes.extend([0] * count)
            self._gaps.update((seq, finding) for seq in range(first, record.seq))
        else:
            self._hashes, self._first = array("Q"), record.seq

    def _unbound(self, record: AuditLine) -> None:
        """The numbers fit, the hashes do not: the record before is not the one that was written."""
        if self._last is None:
            self._find("altered", f"record {record.seq} does not begin the chain with zeros", record.seq)
            return
        message = f"record {record.seq - 1} was altered: record {record.seq} binds another in its place"
        self._find("altered", message, record.seq - 1, at=self._last)

    def _judge_segment(self, record: AuditLine, number: int, before: str | None) -> None:
        if (record.kind == "segment") != (self._line == 1):
            where = (
                "the file does not begin with a segment record" if self._line == 1 else "a segment record in the file"
            )
            self._find("segment_swapped", where, record.seq)
        if record.kind != "segment" or record.stream != self.report.stream:
            return
        if record.members.get("segment") != number:
            message = f"the file holds segment {record.members.get('segment')}, its name says {number}"
            self._find("segment_swapped", message, record.seq)
        elif number > 1 and before is not None:
            bound = record.members.get("before")
            told = (bound.get("file"), bound.get("seq"), bound.get("hash")) if isinstance(bound, dict) else None
            if told != (before, self._next - 1, self._head.decode("latin-1")):
                self._find("segment_swapped", f"it does not bind {before} as that file ends", record.seq)

    def _judge_checkpoint(self, record: AuditLine) -> None:
        signature, head = record.members.get("signature"), record.members.get("head")
        if not isinstance(head, str) or head.encode() != record.prev:
            self._find("checkpoint_bad", "its head is not the hash of the record before", record.seq)
        elif signature is None:
            if self._signed is not None:
                self._find("signature_bad", "an unsigned checkpoint after signed ones", record.seq)
        elif self._keys and not signature_holds(record, self._keys):
            self._find("signature_bad", "the signature is not by a known key over this checkpoint", record.seq)
        else:
            self._signed = record.seq
            self._unchecked = self._unchecked or not self._keys

    def _judge_tree(self, record: AuditLine) -> None:
        wrong = self._uncovered.judge(record.members["tree"], record.seq)
        if self.report.findings:  # what it stands over is not whole anyway
            return
        if wrong is not None:
            self._find("checkpoint_bad", wrong, record.seq)
        elif (
            self._keys and record.members.get("signature") is not None and not tree_signature_holds(record, self._keys)
        ):
            self._find("signature_bad", "the tree is not signed by a known key", record.seq)

    def _skip(self) -> None:
        """A line that does not hold stands for the record that must come, unless that one follows."""
        self._skipped = self._skipped or (self._next, self._head)
        self._hashes.append(0)
        self._next += 1
        self._head = b""  # unknown: what the next record binds is not held against it
        self._last = self._file, self._line

    def _begin_anew(self, path: Path) -> None:
        """After a missing segment: go on from what the next one says of itself."""
        with path.open("rb") as file:
            try:
                first = json.loads(file.readline(_LONGEST_LINE))
                self._next, self._head = int(first["seq"]), str(first["prev"]).encode()
            except (ValueError, KeyError, TypeError):
                return
        self._first, self._hashes = self._next, array("Q")
        self._uncovered.lose()
        self._gaps.clear()

    def _close(self) -> None:
        self.report.head = self._head.decode("latin-1") or None
        last = self._next - 1
        if self._pruned is not None:
            if self._pruned.explained(self._signed):
                self._warn("pruned", f"{self._pruned.message}: deleted as old, as the log itself says", last)
            else:
                self._find("segment_missing", self._pruned.message, None, (self._pruned.file, 0))
        for seq, digest in sorted(self._anchors.items()):
            self._judge_anchor(seq, digest)
        if self._signed is None:
            self._warn("tail_not_protected", "tail not protected: no checkpoint is signed", last)
        elif self._signed != last:
            count = last - self._signed
            self._warn("tail_not_protected", f"tail not protected: {count} after the last signed checkpoint", last)
        if not self._checkpoint_last:
            self._warn("closing_checkpoint_missing", "the closing checkpoint is missing: running, or crashed", last)
        if self._unchecked:
            self._warn("signatures_not_checked", "signatures were not checked: give --key FILE", last)

    def _judge_anchor(self, seq: int, digest: str) -> None:
        """A checkpoint that was kept elsewhere must be in the log, unless it was pruned."""
        if seq >= self._next:
            message = f"record {seq} was kept elsewhere: the log was cut off after record {self._next - 1}"
            self._find("truncated", message, seq)
        elif seq >= self._first and self._hashes[seq - self._first] != short(digest.encode()):
            self._find("altered", f"record {seq} is not the one that was kept elsewhere", seq)

    def _find(self, kind: str, message: str, seq: int | None, at: tuple[str, int] | None = None) -> Finding:
        file, line = at or (self._file, self._line)
        finding = Finding(file, line, seq, kind, message)
        if len(self.report.findings) < MOST_FINDINGS:
            self.report.findings.append(finding)
        return finding

    def _warn(self, kind: str, message: str, seq: int) -> None:
        self.report.warnings.append(Finding(self._file, self._line, seq, kind, message))


def _lines(file: IO[bytes]) -> Iterator[bytes]:
    return iter(partial(file.readline, _LONGEST_LINE), b"")
