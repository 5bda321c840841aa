"""`gateway check`: is this file good, and what does it mean.

Exit 0 valid, 1 not valid (or a warning under --strict, or a certificate that ends within --fail-within), 2 unreadable.
"""

import argparse
import re
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from gateway.cli import output
from gateway.cli.output import CannotTell, paint
from gateway.config.problem import ConfigInvalid, Problem

if TYPE_CHECKING:
    from gateway.config.schema import Config

_ABSENT = re.compile(r"cannot read .*\.(pem|crt|cer|key|crl): no such file or directory\Z")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare its arguments."""
    parser.add_argument("--strict", action="store_true", help="warnings fail too")
    parser.add_argument("--print", action="store_true", help="dump what is in force, each default with its cause")
    parser.add_argument(
        "--fail-within", metavar="TIME", help="fail when a certificate that the file names ends within TIME, like 7d"
    )


def run(args: argparse.Namespace) -> int:
    """Judge the file; returns the exit code. Raises ConfigUnreadable, CannotTell."""
    from gateway.config.grants import load_with_grants

    within = _duration(args.fail_within)
    now = time.time()
    document: dict[str, object] = {}
    dump: list[str] = []
    try:
        config = load_with_grants(Path(args.config), now=now)
    except ConfigInvalid as invalid:
        errors, warnings = list(invalid.errors), list(invalid.warnings)
    else:
        warnings = list(config.warnings)
        errors = _ending(config, now + within) if within is not None else []
        if args.print:
            from gateway.config.effective import Effective

            effective = Effective(config)
            document = {"config": effective.plain(), "defaults": dict(effective.causes())}
            dump = list(effective.lines())
    ok = not errors and not (args.strict and warnings)
    if args.json:
        found = {"errors": _documents(errors), "warnings": _documents(warnings)}
        output.print_json({"ok": ok, **found, **document})
    else:
        _show(args.config, errors, warnings, dump, ok=ok)
    return 0 if ok else 1


def _show(file: str, errors: Sequence[Problem], warnings: Sequence[Problem], dump: Sequence[str], *, ok: bool) -> None:
    """For people: the dump alone on standard output, what is to say about it beside."""
    for line in dump:
        print(line)
    stream = sys.stderr if dump else sys.stdout
    output.print_problems(errors, warnings, stream)
    verdict = paint("ok", "green", stream) if ok else paint("not ok", "red", stream)
    if any(_ABSENT.match(problem.message) for problem in errors):
        print("hint: `gateway pki init` makes throwaway certificates and keys, for trying things", file=stream)
    print(f"{file}: {verdict}{_count(errors, 'error')}{_count(warnings, 'warning')}", file=stream)


def _count(problems: Sequence[Problem], kind: str) -> str:
    return f", {len(problems)} {kind}{'s' * (len(problems) > 1)}" if problems else ""


def _documents(problems: Sequence[Problem]) -> list[object]:
    return [output.problem_document(problem) for problem in problems]


def _duration(text: str | None) -> float | None:
    if text is None:
        return None
    from gateway.config.schema.units import duration

    try:
        return duration(text)
    except ValueError as fault:
        raise CannotTell(f"--fail-within: {fault}") from None


def _ending(config: "Config", until: float) -> list[Problem]:
    """A problem for each certificate that ends before `until` (seconds since 1970)."""
    from gateway.config.checks.files import expiries

    return [
        Problem(each.where, f"{each.role} {each.name}: {each.file} ends {_time(each.not_after)}")
        for each in expiries(config)
        if each.not_after < until
    ]


def _time(seconds: float) -> str:
    from datetime import UTC, datetime

    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%SZ}"
