"""`gateway audit search`: the records that a question is about, in the order of their time.

Exit 0: some were found; 1: none was; 2: there is nothing to search. Who wrote a record is for `audit verify` to say.
"""

import argparse
import heapq
import json
import time
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from gateway.cli import output
from gateway.cli.audit.files import lines, streams
from gateway.cli.audit.shown import shown
from gateway.cli.output import CannotTell

Record = Mapping[str, Any]
Judge = Callable[[Record], bool]

# option: the members that it is compared with; a value pattern (exact, prefix*, *suffix, *)
_PATTERNS = {
    "type": ("type",),
    "effect": ("effect",),
    "reason": ("reason",),
    "route": ("route",),
    "rule": ("rule",),
    "request_id": ("request_id",),
    "trace_id": ("trace_id",),
    "client_ip": ("client_ip",),
    "method": ("method",),
    "host": ("host",),
    "path": ("path",),
    "status": ("status",),
    "upstream": ("upstream",),
    "stream": ("stream",),
    "principal": ("workload", "user"),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The questions; all must hold."""
    parser.add_argument("directory", metavar="DIR", type=Path, help="the audit directory")
    for name in _PATTERNS:
        what = "SPIFFE id, subject or ISSUER/SUBJECT" if name == "principal" else "value pattern (x, x*, *x, *)"
        parser.add_argument(f"--{name.replace('_', '-')}", metavar="PATTERN", help=what)
    parser.add_argument("--since", metavar="TIME", help="RFC 3339, or so long ago (15m, 2h, 7d)")
    parser.add_argument("--until", metavar="TIME", help="likewise")
    parser.add_argument("--limit", metavar="N", type=int, default=0, help="the first N only")


def run(args: argparse.Namespace) -> int:
    """Print what is found."""
    judges = _judges(args)
    needles = _needles(args)
    since, until = _time(args.since, "--since"), _time(args.until, "--until")

    def of(files: list[Path]) -> Iterator[tuple[str, Record]]:
        for line in lines(files):
            if all(needle in line for needle in needles) and (record := _record(line)) is not None:
                at = str(record.get("time"))
                if (since is None or at >= since) and (until is None or at < until) and all(j(record) for j in judges):
                    yield at, record

    found = heapq.merge(*(of(files) for files in streams(args.directory).values()), key=lambda one: one[0])
    records = (record for _, record in islice(found, args.limit or None))
    if args.json:
        kept = list(records)
        output.print_json({"records": kept})
        return 0 if kept else 1
    code = 1
    for record in records:
        print(shown(record))
        code = 0
    return code


def _record(line: bytes) -> Record | None:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return record if isinstance(record, dict) else None


def _needles(args: argparse.Namespace) -> list[bytes]:
    """Texts that must stand in a line as they are: most lines need not be parsed."""
    asked = {
        name: getattr(args, name) for name in ("type", "effect", "request_id", "trace_id", "route", "rule", "reason")
    }
    return [
        f'"{name}":{json.dumps(value)}'.encode()
        for name, value in asked.items()
        if value is not None and "*" not in value
    ]


def _judges(args: argparse.Namespace) -> list[Judge]:
    from gateway.kernel.patterns.values import compile_values

    made: list[Judge] = []
    for name, members in _PATTERNS.items():
        pattern = getattr(args, name)
        if pattern is not None:
            try:
                made.append(_judge(members, compile_values([pattern])))
            except ValueError as error:
                raise CannotTell(f"--{name.replace('_', '-')}: {error}") from None
    return made


def _judge(members: tuple[str, ...], match: Callable[[str], bool]) -> Judge:
    def judge(record: Record) -> bool:
        return any(match(text) for member in members for text in _texts(record.get(member)))

    return judge


def _texts(value: object) -> tuple[str, ...]:
    if value is None:
        return ()
    if isinstance(value, dict):  # user
        subject = str(value.get("subject"))
        return subject, f"{value.get('issuer')}/{subject}"
    return (str(value),)


def _time(text: str | None, option: str) -> str | None:
    """As records write it, so that texts can be compared. Raises CannotTell."""
    if text is None:
        return None
    from datetime import UTC, datetime

    from gateway.config.schema.units import duration
    from gateway.control.made_up import parse_time

    try:
        at = time.time() - duration(text) if text[-1:].isalpha() and text[-1:] not in "Zz" else parse_time(text)
        return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%dT%H:%M:%S.%f}Z"
    except (ValueError, OverflowError) as error:
        raise CannotTell(f"{option} {text!r}: {error}") from None
