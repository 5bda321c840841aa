"""`gateway explain METHOD URL`: what would become of one request, which line decides, and what would be enough.

It runs the stages that serve over evidence that is made up or read from files; nothing is sent and nothing counted.
Exit code 0 allowed, 1 refused, 2 cannot tell.
"""

import argparse
import asyncio
import json
import time
from ipaddress import ip_address
from pathlib import Path
from typing import overload

from gateway.cli import explanation
from gateway.cli.output import CannotTell, print_json
from gateway.config.grants import load_with_grants
from gateway.config.schema import Config, Listener, Route
from gateway.control import evidence
from gateway.control.evidence import CannotJudge, CertificateEvidence, TokenEvidence
from gateway.control.made_up import NOBODY, choose_listener, make_connection, make_head, parse_time, parse_url
from gateway.control.offline import Offline
from gateway.model.connection import IPAddress
from gateway.model.json import JSON
from gateway.model.reason import Effect

_MADE_UP = ("method", "url", "claims", "token", "issuer", "client", "client_cert", "header", "listener", "now")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What is made up, and what is real."""
    parser.add_argument("method", metavar="METHOD", nargs="?")
    parser.add_argument("url", metavar="URL", nargs="?", help="https://HOST/PATH?QUERY, or a path; taken as written")
    parser.add_argument("--record", metavar="ID", help="instead: the request with this id in the audit log")
    parser.add_argument(
        "--audit", metavar="DIR", action="append", type=Path, help="default: the config's; may be repeated"
    )
    token = parser.add_mutually_exclusive_group()
    token.add_argument("--claims", metavar="JSON", help="a token with these claims, taken as verified")
    token.add_argument("--token", metavar="JWT", help="a real token, really verified")
    parser.add_argument("--issuer", metavar="NAME", help="whose token --claims is; default: by iss, or the only one")
    parser.add_argument("--jwks", metavar="FILE", help="the keys for --token, where the file names no `jwks: FILE`")
    client = parser.add_mutually_exclusive_group()
    client.add_argument("--client", metavar="SPIFFE-ID", help="a client certificate of this id, taken as verified")
    client.add_argument("--client-cert", metavar="FILE", help="a real client certificate (PEM), really judged")
    parser.add_argument("--ip", metavar="ADDRESS", default=str(NOBODY), help="the TCP peer (default: %(default)s)")
    parser.add_argument("--header", metavar="K:V", action="append", default=[], help="may be repeated")
    parser.add_argument("--posture", metavar="JSON", help="facts about the device, taken as known")
    parser.add_argument("--listener", metavar="NAME", help="default: the one on the URL's port, else the first")
    parser.add_argument("--now", metavar="TIME", help="RFC 3339, or seconds since 1970; default: the clock")


def run(args: argparse.Namespace) -> int:
    """Explain one request. Raises CannotTell, ConfigInvalid, ConfigUnreadable."""
    if args.record is None and (args.method is None or args.url is None):
        raise CannotTell("METHOD and URL are wanted, or --record ID (see `gateway explain --help`)")
    now = _time(args.now)
    config = load_with_grants(Path(args.config))
    try:
        report = asyncio.run(_explain(args, config, now) if args.record is None else _recorded(args, config))
    except CannotJudge as error:
        raise CannotTell(str(error), error.where) from None
    if args.json:
        print_json(explanation.document(report))
    else:
        explanation.show(report)
    return 0 if report.verdict.effect is Effect.ALLOW else 1


async def _recorded(args: argparse.Namespace, config: Config) -> explanation.Report:
    from gateway.cli.explain_record import explain_record

    for name in _MADE_UP:
        if getattr(args, name):
            raise CannotTell(f"--record brings its own request: leave {name.upper()} out")
    return await explain_record(config, args.record, args.audit or [config.audit.directory])


async def _explain(args: argparse.Namespace, config: Config, now: float) -> explanation.Report:
    offline = Offline(config)
    url = parse_url(args.url)
    listener = choose_listener(config, url, args.listener)
    headers = [_header(text) for text in args.header]
    host = next((value for name, value in headers if name.lower() == "host"), url.authority)
    certificate = _certificate(args, config, now)
    connection = make_connection(listener, host, peer=_address(args.ip), chain=certificate.sent)
    bare = make_head(args.method, url, headers)
    token = _token(args, config, offline.route_of(connection, bare, now), headers, now)
    if token.sent is not None:
        headers.append(("authorization", f"Bearer {token.sent}"))
    head = make_head(args.method, url, headers)
    verdict = await offline.judge(connection, head, now, token, certificate, _object("--posture", args.posture))
    return explanation.Report(verdict, offline, listener, args.method, args.url, _notes(listener, certificate))


def _notes(listener: Listener, certificate: CertificateEvidence) -> tuple[str, ...]:
    asks_none = listener.tls is None or listener.tls.client_certificate == "none"
    if certificate.sent and asks_none:
        return (f"listener {listener.name} asks for no client certificate: the one given is not sent",)
    return ()


def _token(
    args: argparse.Namespace, config: Config, route: Route | None, headers: list[tuple[str, str]], now: float
) -> TokenEvidence:
    jwks = Path(args.jwks) if args.jwks is not None else None
    if args.claims is not None:
        return evidence.assumed_token(config, route, _object("--claims", args.claims), args.issuer, now)
    if args.token is not None:
        return evidence.real_token(config, args.token, jwks)
    return evidence.sent_token(config, headers, jwks)


def _certificate(args: argparse.Namespace, config: Config, now: float) -> CertificateEvidence:
    if args.client is not None:
        return evidence.assumed_certificate(config, args.client)
    if args.client_cert is not None:
        return evidence.real_certificate(config, Path(args.client_cert), now)
    return evidence.no_certificate(config)


@overload
def _object(option: str, text: str) -> dict[str, JSON]: ...
@overload
def _object(option: str, text: None) -> None: ...
def _object(option: str, text: str | None) -> dict[str, JSON] | None:
    if text is None:
        return None
    try:
        held = json.loads(text)
    except ValueError as error:
        raise CannotTell(f"{option} is no JSON: {error}") from None
    if not isinstance(held, dict):
        raise CannotTell(f'{option} is one JSON object, like \'{{"name": "value"}}\'')
    return held


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon or not name or not name.isascii() or any(c.isspace() for c in name):
        raise CannotTell(f"--header {text!r}: write NAME:VALUE")
    return name, value.strip(" \t")


def _address(text: str) -> IPAddress:
    try:
        return ip_address(text)
    except ValueError:
        raise CannotTell(f"--ip {text!r} is no IP address") from None


def _time(text: str | None) -> float:
    if text is None:
        return time.time()
    try:
        return parse_time(text)
    except ValueError as error:
        raise CannotTell(f"--now {text!r}: {error}") from None
