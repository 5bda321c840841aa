"""`gateway schema`: the JSON Schema of routes.yaml, for editors.

Put `# yaml-language-server: $schema=routes.schema.json` on the first line of a file.
"""

import argparse

from gateway.cli import output


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """It has none of its own."""
    parser.epilog = "gateway schema > routes.schema.json; then put on the first line of routes.yaml: "
    parser.epilog += "# yaml-language-server: $schema=routes.schema.json"


def run(args: argparse.Namespace) -> int:
    """Print it; returns 0."""
    from gateway.config.json_schema import json_schema

    output.print_json(json_schema())
    return 0
