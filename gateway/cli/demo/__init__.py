"""`gateway demo`: PKI, an OpenID provider, two mTLS backends and the gateway, on this machine alone.

It prints requests to paste and what each should be answered; `--check` walks them by itself.
Ctrl-C leaves nothing behind.
"""

import argparse
import asyncio
import contextlib
import shutil
import signal
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from gateway.cli import output
from gateway.cli.demo.cases import CASES, Case
from gateway.cli.demo.checks import Finding, audit, try_case, walk
from gateway.cli.demo.place import Place, find
from gateway.cli.demo.world import NotStarted, world
from gateway.cli.output import CannotTell, note, paint


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare its own arguments."""
    if parser.get_default("config") == "routes.yaml":
        parser.set_defaults(config=None)  # the demo's own, whatever folder it is called in
    names = [case.name for case in CASES]
    what = parser.add_mutually_exclusive_group()
    what.add_argument(
        "--check", action="store_true", help="send every request by itself; exit 0 if all is as it should"
    )
    what.add_argument(
        "--try", dest="name", metavar="NAME", choices=names, help=f"send one (to a running demo): {', '.join(names)}"
    )


def run(args: argparse.Namespace) -> int:
    """Run it; returns the exit code. Raises CannotTell, OSError, KeyboardInterrupt."""
    config = Path(args.config) if args.config else _shipped_config()
    if args.check:
        return _interruptible(_check(config, as_json=args.json))
    if args.name:
        case = next(case for case in CASES if case.name == args.name)
        return _interruptible(_try(config, case, as_json=args.json))
    return _interruptible(_show(config, as_json=args.json))


def _shipped_config() -> Path:
    """routes.yaml of the repository, or the copy that came with the package. Raises CannotTell."""
    for path in (Path(__file__).parents[3] / "routes.yaml", Path(sys.prefix, "share", "gateway", "routes.yaml")):
        if path.exists():
            return path
    raise CannotTell("the demo's routes.yaml is not part of this installation: name it with --config")


def _interruptible(work: Coroutine[Any, Any, int]) -> int:
    """Run to the end, or, at the first SIGINT, SIGTERM or SIGHUP, to the end of the clean-up. Later ones wait."""

    async def supervised() -> int:
        loop = asyncio.get_running_loop()
        task = loop.create_task(work)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, lambda: task.cancelling() or task.cancel())
        with contextlib.suppress(asyncio.CancelledError):
            return await task
        raise KeyboardInterrupt

    try:
        return asyncio.run(supervised())
    except NotStarted as failure:
        raise CannotTell(str(failure)) from failure


def _progress(text: str) -> None:
    note(f"  {paint('·', 'dim', sys.stderr)} {text}")


async def _show(config: Path, *, as_json: bool) -> int:
    note("Starting the demo")
    async with world(config, _progress) as place:
        if as_json:
            requests = [
                {"name": case.name, "title": case.title, "command": _command(case, place), "expected": case.expected}
                for case in CASES
            ]
            output.print_json({**place.document(), "requests": requests})
        else:
            _print_requests(place)
        sys.stdout.flush()
        await asyncio.Event().wait()
    return 0


async def _try(config: Path, case: Case, *, as_json: bool) -> int:
    place = find()
    if place is not None:
        return await _try_at(place, case, as_json=as_json)
    note("No demo is running: starting one for this request")
    async with world(config, _progress) as place:
        return await _try_at(place, case, as_json=as_json)


async def _try_at(place: Place, case: Case, *, as_json: bool) -> int:
    """Show the whole answer, as curl would, and whether it is the expected one."""
    finding, answer = await try_case(case, place)
    if as_json:
        shown = (
            {"status": answer.status, "headers": answer.headers, "body": answer.text} if answer is not None else None
        )
        output.print_json({**finding.document(), "answer": shown})
        return 0 if finding.passed else 1
    if answer is not None:
        fields = "".join(f"{name}: {value}\n" for name, value in answer.headers)
        print(f"{paint(f'HTTP/1.1 {answer.status}', 'bold')}\n{fields}\n{answer.text.rstrip()}\n")
    _print_finding(finding)
    if case.why:
        print(f"      {paint(case.why, 'dim')}")
    return 0 if finding.passed else 1


async def _check(config: Path, *, as_json: bool) -> int:
    note("Starting the demo")
    findings: list[Finding] = []
    tell: Callable[[Finding], None] = (lambda _: None) if as_json else _print_finding
    async with world(config, _progress) as place:
        note("Sending what it prints")
        async for finding in walk(place):
            findings.append(finding)
            tell(finding)
        findings.append(await asyncio.to_thread(audit, place))
        tell(findings[-1])
        log = (place.folder / "gateway.log").read_text(errors="replace")
    failed = [finding for finding in findings if not finding.passed]
    if as_json:
        output.print_json({"ok": not failed, "checks": [finding.document() for finding in findings]})
    elif failed:
        note(f"\nThe gateway's log:\n{log[-8000:]}")
        print(paint(f"\n{len(failed)} of {len(findings)} checks failed", "red"))
    else:
        print(paint(f"\nAll {len(findings)} checks passed", "green"))
    return 1 if failed else 0


def _print_finding(finding: Finding) -> None:
    mark = paint("ok  ", "green") if finding.passed else paint("FAIL", "red")
    print(f"{mark}  {paint(f'{finding.name:<21}', 'bold')} {finding.title}")
    if finding.passed:
        print(f"      {paint('→', 'dim')} {finding.actual}")
    else:
        print(f"      expected {finding.expected}, got {finding.actual}")


def _print_requests(place: Place) -> None:
    print(f"\n{paint('Requests to paste', 'bold')} into another terminal, and what each should be answered:\n")
    if shutil.which("curl"):
        print(f"D={place.folder}")
    for case in CASES:
        print(f"\n{paint(f'# {case.name}: {case.title}', 'dim')}")
        print(_command(case, place))
        why = f"  ({case.why})" if case.why else ""
        print(f"{paint('→', 'blue')} {paint(case.expected, 'green' if case.reason is None else 'yellow')}{why}")
    print(f"\n{paint('In a browser', 'bold')}: {place.app}  logs in with PKCE and calls the API from another origin")
    print(f"Metrics: http://127.0.0.1:{place.admin}/metrics   audit log: {place.folder}/audit")
    print(f"All of it by itself: {_program()} demo --check\n\nCtrl-C ends the demo and leaves nothing behind.")


def _command(case: Case, place: Place) -> str:
    return case.curl(place) if shutil.which("curl") else f"{_program()} demo --try {case.name}"


def _program() -> str:
    """How this program is called again from any folder."""
    if shutil.which("gateway"):
        return "gateway"
    started = Path(sys.argv[0]).resolve()
    return str(started) if started.name == "gateway" else f"{sys.executable} -m gateway"
