"""`gateway status`: what a running gateway is doing, asked at its admin address."""

import argparse
from pathlib import Path
from typing import Any

from gateway.cli import output
from gateway.cli.admin_client import call


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """None of its own."""


def run(args: argparse.Namespace) -> int:
    """Print the status; 0, or 1 when a worker does not answer."""
    _, document = call(Path(args.config), "GET", "/status")
    if args.json:
        output.print_json(document)
    else:
        for worker in document["workers"]:
            _print(worker, 0)
    return 1 if any("error" in worker for worker in document["workers"]) else 0


def _print(value: Any, depth: int) -> None:
    """A mapping as indented lines; a list of mappings as one after the other."""
    indent = "  " * depth
    for name, one in value.items():
        if isinstance(one, dict) and one:
            print(f"{indent}{name}:")
            _print(one, depth + 1)
        elif isinstance(one, list) and any(isinstance(each, dict) for each in one):
            print(f"{indent}{name}:")
            for each in one:
                _print(each if isinstance(each, dict) else {"-": each}, depth + 1)
        else:
            print(f"{indent}{name}: {_plain(one)}")


def _plain(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "none" if value in (None, {}) else str(value)
