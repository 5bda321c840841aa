"""`gateway import FILE...`: Istio's and Linkerd's resources as a fragment of routes.yaml.

Standard output is the fragment; each thing that was not carried is a line on standard error.
Exit code 0 when all was carried, 1 when something was not, 2 for a file that is no YAML.
"""

import argparse
from pathlib import Path

from gateway.cli import output


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The files, and what their workloads are here."""
    parser.add_argument("files", metavar="FILE", nargs="+", help="YAML of several documents, or lists")
    parser.add_argument("--routes", metavar="NAMES", action="append", default=[], help="of the policies; default: all")
    parser.add_argument(
        "--listeners", metavar="NAMES", action="append", default=[], help="of PeerAuthentication; default: edge"
    )


def run(args: argparse.Namespace) -> int:
    """Convert. Raises ConfigUnreadable, ConfigInvalid."""
    from gateway.convert.imports import import_files
    from gateway.convert.scope import Scope
    from gateway.convert.writing import yaml_text

    found = import_files([Path(file) for file in args.files], Scope(_names(args.routes), _names(args.listeners)))
    for lost in found.not_carried:
        output.note(str(lost))
    for text in found.notes:
        output.note(f"note: {text}")
    if args.json:
        lines = [
            {
                "file": lost.where.file,
                "line": lost.where.line,
                "column": lost.where.column,
                "resource": lost.resource,
                "path": lost.path,
                "why": lost.why,
            }
            for lost in found.not_carried
        ]
        output.print_json({"config": found.config, "not_carried": lines, "notes": list(found.notes)})
    elif found.config:
        print(yaml_text(found.config), end="")
    return 1 if found.not_carried else 0


def _names(written: list[str]) -> list[str]:
    """Names that may be given together, with commas between, and more than once."""
    return [name.strip() for names in written for name in names.split(",") if name.strip()]
