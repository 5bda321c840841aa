"""`gateway test [FILE…]`: policy tests, and which rules they cover.

Exit code 0 all pass and enough is covered, 1 not, 2 cannot tell: a test file or a config that cannot be used.
With `--watch` it tests again whenever a file beside the config or the tests changes, until it is interrupted.
"""

import argparse
import asyncio
import time
from pathlib import Path

from gateway.cli import tested
from gateway.cli.output import CannotTell, note, print_json, print_problems
from gateway.config.problem import ConfigInvalid, ConfigUnreadable
from gateway.control.policy_tests import Suite, run_tests

_DEFAULT = "routes.yaml"
_BESIDE = "policy-tests"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which tests, and what is asked of them."""
    parser.add_argument("files", metavar="FILE", nargs="*", help=f"default: {_BESIDE}/*.yaml beside the config")
    parser.add_argument(
        "--min-coverage", metavar="N", type=float, help="fail when fewer percent of the enforced rules ever matched"
    )
    parser.add_argument("--junit", metavar="FILE", help="write a JUnit report too, for CI")
    parser.add_argument("--watch", action="store_true", help="test again whenever a file changes")


def run(args: argparse.Namespace) -> int:
    """Run the tests. Raises CannotTell, ConfigInvalid, ConfigUnreadable."""
    if args.watch and args.json:
        raise CannotTell("--watch never ends, and --json is one document: leave one of them out")
    if not args.watch:
        return _once(args)
    return _watch(args)


def _once(args: argparse.Namespace) -> int:
    files, began = _files(args), time.perf_counter()
    suite = asyncio.run(run_tests(files, Path(args.config), given=args.config != _DEFAULT))
    took = time.perf_counter() - began
    if args.junit is not None:
        Path(args.junit).write_text(tested.junit(suite, took), encoding="utf-8")
    if args.json:
        print_json(tested.document(suite))
    else:
        tested.show(suite, took)
    return 0 if _enough(suite, args.min_coverage) and not any(each.different for each in suite.tested) else 1


def _enough(suite: Suite, wanted: float | None) -> bool:
    if wanted is None or suite.percent >= wanted:
        return True
    note(f"{suite.percent:g}% of the rules are covered, {wanted:g}% are wanted")
    return False


def _files(args: argparse.Namespace) -> list[Path]:
    if args.files:
        return [Path(file) for file in args.files]
    beside = Path(args.config).parent / _BESIDE
    found = sorted(path for path in beside.glob("*.yaml") if path.is_file())
    if not found:
        raise CannotTell(f"no tests: {beside}/*.yaml holds none, and no FILE was given")
    return found


def _watch(args: argparse.Namespace) -> int:
    from watchfiles import watch

    _again(args)
    folders = {path.absolute().parent for path in (Path(args.config), *(Path(file) for file in args.files))}
    beside = Path(args.config).absolute().parent / _BESIDE
    folders |= {beside} if beside.is_dir() else set()
    for changes in watch(*folders, recursive=False, raise_interrupt=True):
        if any(Path(path).suffix in (".yaml", ".yml") for _, path in changes):
            print()
            _again(args)
    return 0


def _again(args: argparse.Namespace) -> None:
    try:
        _once(args)
    except ConfigInvalid as error:
        print_problems(error.errors, ())
    except (CannotTell, ConfigUnreadable) as error:
        note(f"error: {error}")
