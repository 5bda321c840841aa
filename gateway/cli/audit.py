"""`gateway audit verify DIR`: says whether a log is what the gateway wrote.

Exit 0: no findings; 1: findings, the first damaged record of each stream named; 2: there is nothing to judge.
"""

import argparse
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from gateway.cli import output
from gateway.cli.audit_line import Verify
from gateway.cli.output import CannotTell
from gateway.cli.verify import Finding, StreamReport, verify_directory
from gateway.model.place import Place


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """`verify DIR`, the key and a head that was kept elsewhere."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="verify")
    verify = actions.add_parser("verify", help="check chain, sequence, checkpoints and signatures, offline")
    verify.add_argument("directory", metavar="DIR", type=Path, help="the audit directory")
    verify.add_argument(
        "--key",
        metavar="FILE",
        type=Path,
        action="append",
        default=[],
        help="public key (PEM) that checkpoints are signed with; default: that of the config; may be repeated",
    )
    verify.add_argument("--head", metavar="HASH", help="a hash kept elsewhere, which must be in the log")
    output.add_common_again(verify)


def run(args: argparse.Namespace) -> int:
    """Verify; 0 without findings, 1 with."""
    if not args.directory.is_dir():
        raise CannotTell(f"{args.directory}: is no directory", _file(args.directory))
    if args.head is not None and (len(args.head) != 64 or not set(args.head.lower()) <= set("0123456789abcdef")):
        raise CannotTell('--head: 64 hex digits, as they stand under "hash"')
    keys = [_read_key(path) for path in args.key] if args.key else _configured_key(Path(args.config))
    reports = verify_directory(args.directory, keys, args.head)
    if not reports:
        raise CannotTell(
            f"{args.directory}: holds no audit log (files named STREAM-NNNNNN.jsonl)", _file(args.directory)
        )
    ok = not any(report.findings for report in reports)
    if args.json:
        records = sum(report.records for report in reports)
        output.print_json({"ok": ok, "records": records, "streams": [asdict(report) for report in reports]})
    else:
        _print(reports)
    return 0 if ok else 1


def _file(path: Path) -> Place:
    return Place(str(path), 0, 0)


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


def _read_key(path: Path) -> Verify:
    """An Ed25519 public key. Raises CannotTell."""
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        return _verifier(load_pem_public_key(path.read_bytes()), path)
    except OSError as error:
        raise CannotTell(f"{path}: {error.strerror}", _file(path)) from None
    except ValueError:
        raise CannotTell(f"{path}: holds no public key (PEM)", _file(path)) from None


def _configured_key(config: Path) -> list[Verify]:
    """The public half of the config's `audit.signing_key`; none where there is no usable config."""
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    from gateway.config.load import load
    from gateway.config.problem import ConfigInvalid, ConfigUnreadable

    try:
        path = load(config).audit.signing_key
        if path is None:
            return []
        return [_verifier(load_pem_private_key(path.read_bytes(), None).public_key(), path)]
    except (ConfigInvalid, ConfigUnreadable, OSError, ValueError, TypeError):
        return []  # the report says that signatures were not checked


def _verifier(key: object, path: Path) -> Verify:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    if not isinstance(key, Ed25519PublicKey):
        raise CannotTell(f"{path}: is no Ed25519 key")

    def verify(signature: bytes, message: bytes) -> bool:
        try:
            key.verify(signature, message)
        except InvalidSignature:
            return False
        return True

    return verify
