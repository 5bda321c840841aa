"""`gateway reload`: a running gateway reads its file again, and says whether it took it over."""

import argparse
from pathlib import Path

from gateway.cli import output
from gateway.cli.admin_client import call


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """None of its own."""


def run(args: argparse.Namespace) -> int:
    """Reload; 0 when the file is at work, 1 when the old one serves on."""
    _, document = call(Path(args.config), "POST", "/reload")
    if args.json:
        output.print_json(document)
    elif document["ok"]:
        print(f"reloaded: config {document['digest'][:12]} is at work")
    else:
        for error in document["errors"]:
            output.note(error)
        print(f"not reloaded: config {document['digest'][:12] or 'unknown'} serves on")
    return 0 if document["ok"] else 1
