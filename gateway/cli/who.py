"""`gateway who METHOD URL`: which principals can reach this, by which rule, and under what conditions.

Read from the compiled rules: what hangs on headers, addresses, claims or time is named, never guessed.
Exit code 0 somebody can, 1 nobody can, 2 cannot tell.
"""

import argparse
import time
from collections.abc import Mapping
from itertools import groupby
from pathlib import Path

from gateway.cli.explanation import place
from gateway.cli.output import CannotTell, paint, print_json
from gateway.config.grants import load_with_grants
from gateway.control.evidence import CannotJudge
from gateway.control.made_up import choose_listener, parse_url
from gateway.control.offline import Offline
from gateway.control.reach import Reachable, Reaches, who
from gateway.model.refused import Refused

_KINDS = {
    "user": "whoever has a token",
    "workload": "whoever has a certificate",
    "any": "whoever proves an identity",
    "anyone": "anyone",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The request."""
    parser.add_argument("method", metavar="METHOD")
    parser.add_argument("url", metavar="URL", help="https://HOST/PATH, or a path; taken as written")
    parser.add_argument("--listener", metavar="NAME", help="default: the one on the URL's port, else the first")


def run(args: argparse.Namespace) -> int:
    """Say who. Raises CannotTell, ConfigInvalid, ConfigUnreadable."""
    config = load_with_grants(Path(args.config))
    try:
        url = parse_url(args.url)
        listener = choose_listener(config, url, args.listener)
        found = who(Offline(config), args.method, url, listener, time.time())
    except CannotJudge as error:
        raise CannotTell(str(error), error.where) from None
    except Refused as refused:
        raise CannotTell(
            f"such a request is refused before any rule: {refused.reason.code}: {refused.detail}"
        ) from None
    if args.json:
        print_json({"anyone": found.anyone, "principals": [_document(way) for way in found.ways]})
    else:
        _show(args, found)
    return 0 if found.ways else 1


def _document(way: Reaches) -> Mapping[str, object]:
    return {
        "principal": way.principal,
        "kind": way.kind,
        "route": way.route,
        "rule": way.rule,
        "where": place(way.where),
        "conditions": list(way.conditions),
    }


def _show(args: argparse.Namespace, found: Reachable) -> None:
    if not found.ways:
        why = "no rule lets anybody in" if found.routes else "nothing is served there"
        print(f"{paint('NOBODY', 'red')}  {args.method} {args.url}: {why}")
        return
    title = paint("ANYONE", "yellow") if found.anyone else paint("these", "bold")
    print(f"{title}  {args.method} {args.url}")
    for (route, rule), ways in groupby(found.ways, lambda way: (way.route, way.rule)):
        group = list(ways)
        print(f"\n{route}: {rule or 'public'}  {paint(place(group[0].where) or '', 'dim')}".rstrip())
        for way in group:
            print(f"  {way.principal if way.principal != '*' else _KINDS[way.kind]}")
            for condition in way.conditions:
                print(f"    {paint(condition, 'dim')}")
