"""`gateway audit`: what an audit log says, and whether it can be believed.

Each of its commands is a module like any other command's.
"""

import argparse
import importlib

from gateway.cli import output

# name: (module, what it does). A line here is all that a new one needs.
COMMANDS: dict[str, tuple[str, str]] = {
    "verify": ("gateway.cli.audit.verify", "check chain, sequence, checkpoints and signatures, or a proof, offline"),
    "tail": ("gateway.cli.audit.tail", "the last records of all streams, and those that come"),
    "search": ("gateway.cli.audit.search", "the records that a question is about"),
    "prove": ("gateway.cli.audit.prove", "a proof of one record, for who has the public key alone"),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """A parser for each."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="|".join(COMMANDS))
    for name, (module, does) in COMMANDS.items():
        command = actions.add_parser(name, help=does)
        importlib.import_module(module).add_arguments(command)
        output.add_common_again(command)


def run(args: argparse.Namespace) -> int:
    """Run one of them."""
    code: int = importlib.import_module(COMMANDS[args.action][0]).run(args)
    return code
