"""`gateway audit prove`: a file that shows one record to stand under a signed checkpoint, and nothing of the others.

Exit 0: here it is; 2: there is no such record, no checkpoint over it yet, or the log does not hold there.
"""

import argparse
import json
from pathlib import Path
from typing import Any

from gateway.cli import output
from gateway.cli.audit import proof
from gateway.cli.audit.files import lines, streams
from gateway.cli.audit.keys import add_key, keys_of
from gateway.cli.audit.line import Verify
from gateway.cli.output import CannotTell


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which record, and where the proof goes."""
    parser.add_argument("directory", metavar="DIR", type=Path, help="the audit directory")
    parser.add_argument("--request-id", metavar="ID", help="the decision of this request")
    parser.add_argument("--outcome", action="store_true", help="with --request-id: its outcome instead")
    parser.add_argument("--stream", metavar="NAME", help="the stream of --seq; not needed where there is one")
    parser.add_argument("--seq", metavar="N", type=int, help="the record with this number")
    parser.add_argument("-o", "--output", metavar="FILE", type=Path, help="default: standard output")
    add_key(parser)


def run(args: argparse.Namespace) -> int:
    """Write the proof."""
    if (args.request_id is None) == (args.seq is None):
        raise CannotTell("say which record: --request-id ID, or --stream NAME --seq N")
    found = _of_request(args) if args.request_id is not None else _of_number(args)
    _judge(found, keys_of(args))
    text = json.dumps(found, indent=2)
    if args.output is None:
        print(text)
    else:
        try:
            args.output.write_text(f"{text}\n", encoding="ascii")
        except OSError as error:
            raise CannotTell(f"{args.output}: {error.strerror}") from None
        output.note(f"{args.output}: record {found['seq']} of {found['stream']}")
    return 0


def _of_request(args: argparse.Namespace) -> dict[str, Any]:
    kind = b'{"type":"outcome"' if args.outcome else b'{"type":"decision"'
    named = f',"request_id":{json.dumps(args.request_id)},'.encode()
    for files in streams(args.directory).values():
        try:
            return proof.make(lines(files), lambda line: line.startswith(kind) and named in line)
        except proof.Unproved as error:
            if str(error) != proof.ABSENT:
                raise CannotTell(str(error)) from None
    raise CannotTell(f"{args.directory}: no {'outcome' if args.outcome else 'decision'} of {args.request_id} is there")


def _of_number(args: argparse.Namespace) -> dict[str, Any]:
    found = streams(args.directory)
    if args.stream is None and len(found) == 1:
        args.stream = next(iter(found))
    if args.stream not in found:
        raise CannotTell(f"--stream: one of {', '.join(found)}")
    named = f'Z","seq":{args.seq},"stream":'.encode()
    try:
        return proof.make(lines(found[args.stream]), lambda line: named in line[:120])
    except proof.Unproved as error:
        raise CannotTell(f"record {args.seq} of {args.stream}: {error}") from None


def _judge(found: dict[str, Any], keys: list[Verify]) -> None:
    """What is handed out holds, as far as the key is known. Raises CannotTell."""
    if not keys:
        output.note("the signature was not checked: give --key FILE")
        return
    try:
        proof.judge(found, keys)
    except proof.Unproved as error:
        raise CannotTell(f"the log does not hold there: {error}: see `gateway audit verify`") from None
