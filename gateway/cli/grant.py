"""`gateway grant`: allow something for a while, signed by who allows it; `--list` and `--revoke` what is granted.

It writes grants.yaml beside the config, whole or not at all, after reading it back as the gateway will.
Exit code 0 done, 1 refused (there is no such grant), 2 cannot tell.
"""

import argparse
import fcntl
import os
import secrets
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from gateway.cli.output import CannotTell, note, paint, print_json
from gateway.config.grants import grants_path, read_grants
from gateway.config.load import load, load_other
from gateway.config.problem import ConfigInvalid
from gateway.config.schema import Config
from gateway.config.schema.grants import Granted, Grants, RawGrants, signed_bytes
from gateway.config.schema.units import duration
from gateway.convert.writing import yaml_text
from gateway.kernel.ed25519 import read_private_key, read_public_key
from gateway.kernel.patterns.values import compile_values
from gateway.kernel.strict import encode_base64url
from gateway.model.json import JSON

_KEPT = 30 * 86400.0  # seconds for which a grant that has ended stays in the file, for `replay`
_HEAD = (
    "# Written and signed by `gateway grant`: a change by hand breaks a signature, and then nothing new is granted.\n"
)
_EXAMPLES = """\
example:
  gateway grant --key alice.key --route payroll --until 2h --reason INC-4711 \\
    --rule '{from: {request_principals: ["https://auth.example.com/bob"]}, to: {methods: [POST]}}'

a key pair, the public half of which the config names (grants: {signers: {alice: alice.pub}}):
  openssl genpkey -algorithm ed25519 -out alice.key && openssl pkey -in alice.key -pubout -out alice.pub
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What is granted, or what is to be done with grants."""
    parser.epilog = _EXAMPLES
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--rule", metavar="YAML", help="from, to and when, as a rule of `allow`; `from` is needed")
    parser.add_argument("--route", metavar="NAME", action="append", default=[], help="or a pattern; repeatable")
    parser.add_argument("--until", metavar="TIME", help="RFC 3339 with its zone, or a duration from now like 2h")
    parser.add_argument("--reason", metavar="TEXT", help="why: it stands in the audit log")
    parser.add_argument("--key", metavar="FILE", help="the signer's Ed25519 private key (PEM)")
    parser.add_argument("--name", metavar="NAME", help="default: one is made up")
    other = parser.add_mutually_exclusive_group()
    other.add_argument("--list", action="store_true", help="what is granted, by whom, until when and why")
    other.add_argument("--revoke", metavar="NAME", help="end a grant now")


def run(args: argparse.Namespace) -> int:
    """Do it. Raises CannotTell, ConfigInvalid, ConfigUnreadable, OSError."""
    config = load(Path(args.config))
    settings = config.grants
    if settings is None:
        raise CannotTell("nobody is named who may grant: write grants: {signers: {NAME: FILE}} into the config")
    if args.list:
        return _list(args, read_grants(grants_path(config), settings))
    with _locked(config.path):
        if args.revoke is not None:
            return _revoke(args, config, settings)
        return _grant(args, config, settings)


def _grant(args: argparse.Namespace, config: Config, settings: Grants) -> int:
    for option in ("rule", "route", "until", "reason", "key"):
        if not getattr(args, option):
            raise CannotTell(f"--{option} is wanted (see `gateway grant --help`)")
    _known_routes(config, args.route)
    now = float(int(time.time()))
    try:
        key = read_private_key(Path(args.key))
    except ValueError as error:
        raise CannotTell(str(error)) from None
    grant: dict[str, JSON] = {
        "name": args.name or f"g-{secrets.token_hex(4)}",
        "by": _signer(settings, key.public_key().public_bytes_raw()),
        "routes": list(args.route),
        "rule": _rule(args.rule),
        "reason": args.reason,
        "issued": _time(now),
        "until": _time(_until(args.until, now)),
    }
    grant["signature"] = encode_base64url(key.sign(signed_bytes(grant))).decode()
    path = grants_path(config)
    kept = [each for each in _held(path) if not _long_ended(each, now)]
    found = _write(path, settings, [*kept, grant])
    made = found[-1]
    if args.json:
        print_json(_document(made))
    else:
        print(f"{paint('granted', 'green')} {made.rule.name} on {', '.join(made.routes)} until {_time(made.ends)}")
        print(f"  {path}: a gateway that serves {config.path} takes it up by itself")
    return 0


def _revoke(args: argparse.Namespace, config: Config, settings: Grants) -> int:
    path, name = grants_path(config), args.revoke.removeprefix("grant:")
    held = _held(path)
    kept = [each for each in held if each.get("name") != name]
    if len(kept) == len(held):
        note(f"nothing is granted by the name {name}")
        if args.json:
            print_json({"revoked": None})
        return 1
    _write(path, settings, kept)
    if args.json:
        print_json({"revoked": name})
    else:
        print(f"{paint('revoked', 'green')} grant:{name}")
    return 0


def _list(args: argparse.Namespace, found: tuple[Granted, ...]) -> int:
    now = time.time()
    if args.json:
        print_json({"grants": [{**_document(each), "active": each.ends > now} for each in found]})
        return 0
    for each in found:
        state = paint("active", "green") if each.ends > now else paint("ended ", "dim")
        print(f"{state} {each.rule.name} on {', '.join(each.routes)} until {_time(each.ends)}")
        print(f"       by {each.by}: {each.reason}  {paint(str(each.rule.where), 'dim')}")
    if not found:
        print("nothing is granted")
    return 0


def _document(each: Granted) -> dict[str, object]:
    return {
        "rule": each.rule.name,
        "routes": list(each.routes),
        "by": each.by,
        "reason": each.reason,
        "issued": _time(each.begins),
        "until": _time(each.ends),
        "where": str(each.rule.where),
    }


def _write(path: Path, settings: Grants, grants: list[dict[str, JSON]]) -> tuple[Granted, ...]:
    """Put the file in place, once it was read back as the gateway reads it. Raises ConfigInvalid."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".grants-", suffix=".yaml")
    fresh = Path(name)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(_HEAD + yaml_text({"grants": list(grants)}))
            file.flush()
            os.fsync(file.fileno())
        try:
            read_grants(fresh, settings)
        except ConfigInvalid as invalid:
            raise CannotTell("; ".join(str(problem) for problem in invalid.errors)) from None
        fresh.chmod(path.stat().st_mode & 0o777 if path.exists() else 0o644)
        fresh.replace(path)
    finally:
        fresh.unlink(missing_ok=True)
    return read_grants(path, settings)


def _held(path: Path) -> list[dict[str, JSON]]:
    """The grants of the file as they stand there, signatures and all."""
    return [dict(each) for each in load_other(path, RawGrants, literal=True).grants] if path.exists() else []


def _long_ended(grant: Mapping[str, JSON], now: float) -> bool:
    until = grant.get("until")
    try:
        return isinstance(until, str) and datetime.fromisoformat(until).timestamp() < now - _KEPT
    except ValueError:
        return False


@contextmanager
def _locked(config: Path) -> Iterator[None]:
    """One writer at a time."""
    folder = os.open(config.absolute().parent, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def _known_routes(config: Config, patterns: list[str]) -> None:
    names = [route.name for route in config.routes]
    for pattern in patterns:
        try:
            covers = any(map(compile_values([pattern]), names))
        except ValueError as error:
            raise CannotTell(f"--route: {error}") from None
        if not covers:
            raise CannotTell(f"--route {pattern}: no route has such a name: the file has {', '.join(names)}")


def _signer(settings: Grants, public: bytes) -> str:
    for name, path in settings.signers.items():
        if read_public_key(path).public_bytes_raw() == public:
            return name
    raise CannotTell(f"--key: it is the key of none of grants.signers: {', '.join(settings.signers)}")


def _rule(text: str) -> JSON:
    from gateway.config.document import Document
    from gateway.config.schema.grants import plain

    document = Document(text, "--rule", lambda scalar, _: scalar)
    if document.problems:
        raise CannotTell(f"--rule: {document.problems[0]}")
    return plain(document.root)


def _until(text: str, now: float) -> float:
    try:
        return now + duration(text)
    except ValueError:
        pass
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise CannotTell(
            f"--until {text}: write a time with its zone, like 2026-01-31T12:00:00Z, or a duration like 2h"
        )
    if moment.timestamp() <= now:
        raise CannotTell(f"--until {text}: that is over")
    return moment.timestamp()


def _time(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%SZ}"
