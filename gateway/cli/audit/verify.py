"""`gateway audit verify`: says whether a log, or a proof of one record, is what the gateway wrote.

Exit 0: no findings; 1: findings, the first damaged record of each stream named; 2: there is nothing to judge.
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from gateway.cli import output
from gateway.cli.audit import proof
from gateway.cli.audit.files import NO_LOG
from gateway.cli.audit.keys import add_key, keys_of
from gateway.cli.audit.line import Verify
from gateway.cli.audit.verifier import Finding, StreamReport, verify_directory
from gateway.cli.output import CannotTell
from gateway.model.place import Place


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """`verify DIR`, the key, and what was kept elsewhere."""
    parser.add_argument("directory", metavar="DIR", type=Path, help="the audit directory, or the file of a proof")
    add_key(parser)
    parser.add_argument("--head", metavar="HASH", help="a hash kept elsewhere, which must be in the log")
    parser.add_argument(
        "--anchors", metavar="FILE", type=Path, help="lines of a sink (all records, or checkpoints) kept elsewhere"
    )


def run(args: argparse.Namespace) -> int:
    """Verify; 0 without findings, 1 with."""
    if args.directory.is_file():
        return _proof(args.directory, keys_of(args), as_json=args.json)
    if not args.directory.is_dir():
        raise CannotTell(f"{args.directory}: is no directory", Place(str(args.directory), 0, 0))
    if args.head is not None and (len(args.head) != 64 or not set(args.head.lower()) <= set("0123456789abcdef")):
        raise CannotTell('--head: 64 hex digits, as they stand under "hash"')
    anchors = _anchors(args.anchors) if args.anchors is not None else {}
    reports = verify_directory(args.directory, keys_of(args), args.head, anchors)
    if not reports:
        raise CannotTell(NO_LOG.format(args.directory), Place(str(args.directory), 0, 0))
    ok = not any(report.findings for report in reports)
    if args.json:
        records = sum(report.records for report in reports)
        output.print_json({"ok": ok, "records": records, "streams": [asdict(report) for report in reports]})
    else:
        _print(reports)
    return 0 if ok else 1


def _proof(path: Path, keys: Sequence[Verify], *, as_json: bool) -> int:
    if not keys:
        raise CannotTell("a proof is judged by the public key: give --key FILE")
    try:
        held = proof.judge(proof.load(path.read_text("utf-8", "replace")), keys)
    except proof.Unproved as error:
        found: Mapping[str, Any] = {"ok": False, "message": str(error)}
        text = f"{path}: {output.paint('does not hold', 'red')}: {error}"
    else:
        record, checkpoint = held.record, held.checkpoint
        found = {
            "ok": True,
            "stream": record.stream,
            "record": record.members,
            "checkpoint": {"seq": checkpoint.seq, "time": checkpoint.time},
        }
        text = (
            f"{path}: {output.paint('holds', 'green')}: record {record.seq} of {record.stream} ({record.kind}, "
            f"{record.time}) stands under the signed checkpoint {checkpoint.seq} of {checkpoint.time}"
        )
    if as_json:
        output.print_json(found)
    else:
        print(text)
    return 0 if found["ok"] else 1


def _anchors(path: Path) -> dict[str, dict[int, str]]:
    """The hashes of the lines of a file, by stream and number. Raises CannotTell."""
    found: dict[str, dict[int, str]] = {}
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                record = json.loads(line)
                stream, seq, digest = record["stream"], record["seq"], record["hash"]
                if type(stream) is not str or type(seq) is not int or type(digest) is not str:
                    raise ValueError(number)
                found.setdefault(stream, {})[seq] = digest
    except OSError as error:
        raise CannotTell(f"{path}: {error.strerror}") from None
    except (ValueError, KeyError, TypeError, RecursionError):
        raise CannotTell(f"{path}: holds a line that is no audit record") from None
    return found


def _print(reports: Sequence[StreamReport]) -> None:
    for report in reports:
        verdict = output.paint("holds", "green") if not report.findings else output.paint("does not hold", "red")
        print(f"{report.stream}: {report.records} records, {verdict}, head {report.head}")
        for colour, found in (("red", report.findings), ("yellow", report.warnings)):
            for finding in found:
                print(f"  {_line(finding, colour)}")


def _line(finding: Finding, colour: str) -> str:
    where = f"{finding.file}:{finding.line}" if finding.line else finding.file
    return f"{where}: {output.paint(finding.kind, colour)}: {finding.message}"
