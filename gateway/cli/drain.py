"""`gateway drain`: a running gateway finishes what it has begun, and ends."""

import argparse
from pathlib import Path

from gateway.cli import output
from gateway.cli.admin_client import call


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """None of its own."""


def run(args: argparse.Namespace) -> int:
    """Begin to drain; 0 once the gateway has said so."""
    status, document = call(Path(args.config), "POST", "/drain")
    ok = status < 300
    if args.json:
        output.print_json(document)
    else:
        print("draining: no new requests; it ends when the open ones do" if ok else "the gateway does not drain")
    return 0 if ok else 1
