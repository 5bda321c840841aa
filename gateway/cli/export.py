"""`gateway export envoy`: the same file as an Envoy bootstrap, YAML or (`--json`) JSON.

Standard output is the bootstrap, for `envoy -c`; each thing that it does not carry is a line on standard error.
Exit code 0, or 2 for a file that is not valid.
"""

import argparse
from pathlib import Path

from gateway.cli import output


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What to write."""
    parser.add_argument("format", choices=["envoy"])


def run(args: argparse.Namespace) -> int:
    """Export. Raises ConfigUnreadable, ConfigInvalid."""
    from gateway.config.load import load
    from gateway.convert.envoy.bootstrap import export
    from gateway.convert.writing import yaml_text

    found = export(load(Path(args.config)))
    for lost in found.not_carried:
        output.note(str(lost))
    for text in found.notes:
        output.note(f"note: {text}")
    if args.json:
        output.print_json(found.bootstrap)
    else:
        print(yaml_text(found.bootstrap), end="")
    return 0
