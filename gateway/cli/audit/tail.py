"""`gateway audit tail`: the last records of all streams by their time, and with --follow those that come."""

import argparse
import json
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from gateway.cli.audit.files import streams
from gateway.cli.audit.shown import shown

_PAUSE = 0.2  # seconds between two looks
_BLOCK = 1 << 16  # bytes


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """How many, and whether to stay."""
    parser.add_argument("directory", metavar="DIR", type=Path, help="the audit directory")
    parser.add_argument("-n", "--lines", metavar="N", type=int, default=20, help="records (default: 20)")
    parser.add_argument("-f", "--follow", action="store_true", help="go on until interrupted")
    parser.add_argument("--all", action="store_true", help="checkpoints and segments too")


def run(args: argparse.Namespace) -> int:
    """Print them: a line each, with --json the lines of the log themselves."""
    found = streams(args.directory)
    followed = {name: Followed(files[-1]) for name, files in found.items()}
    last = [(str(record.get("time")), line) for files in found.values() for record, line in _last(files, args)]
    for _, line in sorted(last, key=lambda one: one[0])[-args.lines :] if args.lines > 0 else ():
        _print(line, as_json=args.json)
    while args.follow:
        time.sleep(_PAUSE)
        for name, files in streams(args.directory).items():
            for line in followed.setdefault(name, Followed(files[0], at=0)).more(files):
                if _kept(line, args) is not None:
                    _print(line, as_json=args.json)
    return 0


class Followed:
    """Where the reader of a stream stands."""

    def __init__(self, path: Path, at: int | None = None) -> None:
        """`at`: bytes; None: the end of what is whole now."""
        self._path = path
        self._at = _whole(path) if at is None else at

    def more(self, files: list[Path]) -> Iterator[bytes]:
        """What was written since, over the segments that have begun since."""
        yield from self._rest()
        for path in files:
            if path > self._path:
                self._path, self._at = path, 0
                yield from self._rest()

    def _rest(self) -> Iterator[bytes]:
        try:
            with self._path.open("rb") as file:
                file.seek(self._at)
                for line in file:
                    if not line.endswith(b"\n"):
                        return
                    self._at += len(line)
                    yield line
        except FileNotFoundError:
            return  # pruned, or moved away: the next segment goes on


def _whole(path: Path) -> int:
    """The length without a line that is still being written."""
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - _BLOCK))
        tail = file.read()
    return size - len(tail) + tail.rfind(b"\n") + 1


def _last(files: list[Path], args: argparse.Namespace) -> "deque[tuple[dict[str, Any], bytes]]":
    """The last records of one stream that are to be shown."""
    found: deque[tuple[dict[str, Any], bytes]] = deque()
    for path in reversed(files):
        with path.open("rb") as file:
            for line in _backwards(file):
                record = _kept(line, args)
                if record is not None:
                    found.appendleft((record, line))
                if len(found) >= args.lines:
                    return found
    return found


def _backwards(file: IO[bytes]) -> Iterator[bytes]:
    """Whole lines, the last first."""
    at, rest = file.seek(0, 2), b""
    whole = False  # the bytes behind the last newline are no line yet
    while at > 0:
        size = min(_BLOCK, at)
        at -= size
        file.seek(at)
        parts = (file.read(size) + rest).split(b"\n")
        rest = parts[0]
        for part in reversed(parts[1:]):
            if whole and part:
                yield part + b"\n"
            whole = True
    if rest and whole:
        yield rest + b"\n"


def _kept(line: bytes, args: argparse.Namespace) -> dict[str, Any] | None:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(record, dict) or (not args.all and record.get("type") in ("checkpoint", "segment")):
        return None
    return record


def _print(line: bytes, *, as_json: bool) -> None:
    print(line.decode("ascii", "replace").rstrip("\n") if as_json else shown(json.loads(line)), flush=True)
