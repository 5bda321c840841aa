"""`gateway pki`: a throwaway CA and certificates for trying things.

Nothing that is there already is written over; private keys are readable by their owner alone. All are ECDSA (P-256): a
handshake costs a fraction of what RSA takes.
For anything but trying things use SPIRE, cert-manager or the CA that you have.
"""

import argparse
import re
from pathlib import Path

from gateway.cli import output
from gateway.cli.output import CannotTell
from gateway.testing.pki import HOSTS, Exists, Folder

_EXAMPLES = """\
Keys are ECDSA (P-256): a handshake costs a fraction of what RSA takes.

examples:
  gateway pki init certs
  gateway pki issue web --uri spiffe://cluster.local/ns/default/sa/web
  gateway pki issue inventory --host inventory.internal --host 10.0.0.5
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare `init` and `issue`."""
    parser.epilog = _EXAMPLES
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    actions = parser.add_subparsers(dest="action", required=True, metavar="init|issue")

    init = actions.add_parser("init", help="make a folder with roots, the gateway's certificates and its keys")
    init.add_argument("directory", nargs="?", default="certs", metavar="DIR", help="made if absent (default: certs)")
    init.add_argument("--trust-domain", default="cluster.local", metavar="NAME", help="default: cluster.local")
    init.add_argument("--partner-domain", default="partner.example", metavar="NAME", help="default: partner.example")
    init.add_argument(
        "--host", action="append", default=[], metavar="NAME", help="a name or address of the gateway, besides loopback"
    )

    issue = actions.add_parser("issue", help="add a certificate signed by a root of the folder")
    issue.add_argument("name", metavar="NAME", help="the files are NAME.pem and NAME.key")
    issue.add_argument("--dir", default="certs", metavar="DIR", help="the folder (default: certs)")
    issue.add_argument("--uri", metavar="SPIFFE-ID", help="the workload's identity")
    issue.add_argument(
        "--host", action="append", default=[], metavar="NAME", help="a DNS name or an address; repeatable"
    )
    issue.add_argument("--ca", default="cluster-ca", metavar="NAME", help="the root that signs (default: cluster-ca)")

    for action in (init, issue):
        action.add_argument("--days", type=_days, default=90, metavar="N", help="how long it is good (default: 90)")
        output.add_common_again(action)


def run(args: argparse.Namespace) -> int:
    """Do it; returns 0. Raises CannotTell."""
    try:
        return _init(args) if args.action == "init" else _issue(args)
    except Exists as exists:
        raise CannotTell(f"{exists}: remove it or name another folder or file") from exists


def _init(args: argparse.Namespace) -> int:
    folder = Folder(Path(args.directory))
    made = folder.init(
        trust_domain=args.trust_domain,
        partner_domain=args.partner_domain,
        hosts=list(dict.fromkeys([*args.host, *HOSTS])),
        days=args.days,
    )
    if args.json:
        output.print_json({"directory": str(folder.path), "files": [{"name": m.name, "what": m.what} for m in made]})
        return 0
    print(f"{folder.path}/")
    width = max(len(m.name) for m in made)
    for one in made:
        print(f"  {output.paint(f'{one.name:<{width}}', 'bold')}  {one.what}")
    where = "" if args.directory == "certs" else f" --dir {args.directory}"
    print("\nThrowaway keys: good for trying things, on this machine.")
    print(f"Next: gateway pki issue web{where} --uri spiffe://{args.trust_domain}/ns/default/sa/web")
    return 0


def _issue(args: argparse.Namespace) -> int:
    folder = Folder(Path(args.dir))
    if not re.fullmatch(r"[A-Za-z0-9._-]+", args.name):
        raise CannotTell(f"{args.name!r} is no file name: use letters, digits, dot, dash and underscore")
    if args.uri is None and not args.host:
        raise CannotTell("say who it is for: --uri SPIFFE-ID, --host NAME, or both")
    if not (folder.path / f"{args.ca}.key").exists():
        raise CannotTell(f"{folder.path} holds no {args.ca}.key: make the folder with `gateway pki init {folder.path}`")
    try:
        issued = folder.issue(args.name, authority=args.ca, uri=args.uri, hosts=args.host, days=args.days)
    except ValueError as error:
        raise CannotTell(str(error)) from error
    files = [str(folder.path / f"{args.name}.pem"), str(folder.path / f"{args.name}.key")]
    until = issued.cert.not_valid_after_utc
    if args.json:
        output.print_json(
            {"certificate": files[0], "key": files[1], "serial": f"{issued.serial:x}", "not_after": until.isoformat()}
        )
        return 0
    print(f"{files[0]}  {', '.join([*([args.uri] if args.uri else []), *args.host])}, until {until:%Y-%m-%d}")
    print(f"{files[1]}  its key")
    return 0


def _days(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 3650:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of days from 1 to 3650")
    return int(text)
