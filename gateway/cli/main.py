"""The `gateway` program: finds the command and runs it.

A command is a module with `add_arguments(parser)` and `run(args) -> int`, imported only when it is called.
Nothing that a user can cause ends in a traceback.
"""

import argparse
import gc
import importlib
import os
import sys
import traceback
from collections.abc import Sequence
from typing import NoReturn, Protocol

from gateway import __version__
from gateway.cli import output
from gateway.cli.output import CannotTell
from gateway.config.problem import ConfigInvalid, ConfigUnreadable
from gateway.model.place import Place

# name: (module, what it does). A line here is all that a new command needs.
COMMANDS: dict[str, tuple[str, str]] = {
    "serve": ("gateway.cli.serve", "run the gateway"),
    "check": ("gateway.cli.check", "validate the file without starting"),
    "explain": ("gateway.cli.explain", "what would become of one request, and why"),
    "test": ("gateway.cli.test", "run policy tests, and say which rules they cover"),
    "who": ("gateway.cli.who", "which principals can reach a request, by which rule"),
    "replay": ("gateway.cli.replay", "judge recorded decisions again, and list what flips"),
    "review": ("gateway.cli.review", "rules never used, grants wider than their use, who STRICT would break"),
    "grant": ("gateway.cli.grant", "allow something for a while, signed, with a reason"),
    "import": ("gateway.cli.import_", "Istio's and Linkerd's policies as a part of routes.yaml"),
    "export": ("gateway.cli.export", "envoy: the same file as an Envoy bootstrap"),
    "schema": ("gateway.cli.schema", "JSON Schema of routes.yaml, for editors"),
    "audit": ("gateway.cli.audit", "verify, tail, search, prove: what the audit log says, and whether it holds"),
    "status": ("gateway.cli.status", "what a running gateway is doing"),
    "reload": ("gateway.cli.reload", "let a running gateway read its file again"),
    "drain": ("gateway.cli.drain", "let a running gateway finish and end"),
    "pki": ("gateway.cli.pki", "a throwaway CA and certificates for trying things"),
    "demo": ("gateway.cli.demo", "everything on this machine, with requests to try"),
}

_INTERRUPTED = 130
_YOUNG = 50_000  # objects made and not freed, before the collector looks at them


class Command(Protocol):
    """What the module of a command offers."""

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare its own arguments; `--config` and `--json` are there already."""
        ...

    def run(self, args: argparse.Namespace) -> int:
        """Do it; returns the exit code. May raise CannotTell, ConfigInvalid, ConfigUnreadable (all exit 2)."""
        ...


class _Parser(argparse.ArgumentParser):
    """Bad usage is an answer like any other: exit code 2, and a JSON document where one was asked for."""

    def error(self, message: str) -> NoReturn:
        raise CannotTell(f"{message} (see `{self.prog} --help`)")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code (0 yes, 1 no, 2 cannot tell, 130 interrupted)."""
    argv = sys.argv[1:] if argv is None else list(argv)
    as_json = "--json" in argv
    output.begin()
    gc.set_threshold(
        _YOUNG
    )  # what a command imports stays: looking through it again and again takes a tenth of `check`
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")  # what other packages hook into every schema
    try:
        code = _run(argv)
        if code == _INTERRUPTED:
            output.interrupted(as_json=as_json)
        sys.stdout.flush()
    except (CannotTell, ConfigInvalid, ConfigUnreadable) as error:
        return output.cannot_tell(error, as_json=as_json)
    except KeyboardInterrupt:
        return output.interrupted(as_json=as_json)
    except BrokenPipeError:
        # The reader went away: say nothing more, also not when the interpreter flushes at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 2
    except OSError as error:
        if error.filename is None:
            return output.cannot_tell(CannotTell(str(error)), as_json=as_json)
        where = Place(str(error.filename), 0, 0)
        return output.cannot_tell(CannotTell(f"{where.file}: {error.strerror}", where), as_json=as_json)
    except Exception as error:  # noqa: BLE001 - a fault of ours must not read as "no", and --json promises a document
        traceback.print_exc()
        return output.cannot_tell(CannotTell(f"internal error: {error!r}: please report it"), as_json=as_json)
    return code


def _run(argv: list[str]) -> int:
    top = _top_parser()
    chosen = top.parse_args(argv)
    if chosen.command is None:
        top.print_help(sys.stderr)
        raise CannotTell("no command was given")
    if chosen.command not in COMMANDS:
        raise CannotTell(f"{chosen.command!r} is no command{_did_you_mean(chosen.command)} (see `gateway --help`)")
    module, summary = COMMANDS[chosen.command]
    command: Command = importlib.import_module(module)
    parser = _Parser(prog=f"gateway {chosen.command}", description=summary, allow_abbrev=False)
    _add_common(parser, config=chosen.config, as_json=chosen.json)
    command.add_arguments(parser)
    return command.run(parser.parse_args(chosen.arguments))


def _top_parser() -> _Parser:
    width = max(map(len, COMMANDS))
    commands = "\n".join(f"  {name:<{width}}  {summary}" for name, (_, summary) in COMMANDS.items())
    parser = _Parser(
        prog="gateway",
        usage="gateway COMMAND [-c FILE] [--json] ...",
        description="A zero-trust API gateway. `gateway COMMAND --help` says more about a command.",
        epilog=f"commands:\n{commands}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"gateway {__version__}")
    _add_common(parser, config="routes.yaml", as_json=False)
    parser.add_argument("command", nargs="?", help=argparse.SUPPRESS)
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    return parser


def _add_common(parser: argparse.ArgumentParser, *, config: str, as_json: bool) -> None:
    parser.add_argument("-c", "--config", metavar="FILE", default=config, help="the file (default: routes.yaml)")
    parser.add_argument("--json", action="store_true", default=as_json, help="one JSON document on standard output")


def _did_you_mean(name: str) -> str:
    from difflib import get_close_matches

    close = get_close_matches(name, COMMANDS, 1)
    return f": did you mean {close[0]}?" if close else ""
