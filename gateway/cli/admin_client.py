"""Talks to a running gateway's admin address, as the config names it.

The token comes from `admin.token`, else from the file that the gateway wrote into `state_dir`. Over TLS the answer must
come from the holder of the very certificate that the config names.
"""

import http.client
import json
import socket
import ssl
from pathlib import Path
from typing import Any

from gateway.admin.token import TOKEN_FILE
from gateway.cli.output import CannotTell
from gateway.config.load import load
from gateway.config.schema import Admin, Config

_SECONDS = 90.0  # a reload may fetch keys


def call(config_path: Path, method: str, path: str) -> tuple[int, Any]:
    """The status and JSON document of one call. Raises CannotTell, ConfigInvalid, ConfigUnreadable."""
    config = load(config_path)
    admin = config.admin
    if admin is None:
        raise CannotTell(f'{config_path}: has no admin address: add `admin: {{address: "127.0.0.1:9901"}}`')
    connection = _connection(admin)
    try:
        connection.request(method, path, headers={"Authorization": f"Bearer {_token(config, admin)}"})
        answer = connection.getresponse()
        body = answer.read()
    except (OSError, http.client.HTTPException) as error:
        raise CannotTell(f"no gateway answers at {admin.address}: {str(error) or type(error).__name__}") from None
    finally:
        connection.close()
    try:
        document = json.loads(body)
    except ValueError:
        raise CannotTell(f"what answers at {admin.address} is no gateway") from None
    if answer.status == 401:
        raise CannotTell(f"the gateway at {admin.address} does not take this token: is it another gateway's?")
    if answer.status == 404:
        raise CannotTell(f"the gateway at {admin.address} has no {path}: set admin.token, or use a loopback address")
    return answer.status, document


class _UnixConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=_SECONDS)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def _connection(admin: Admin) -> http.client.HTTPConnection:
    address = admin.address
    if address.unix:
        return _UnixConnection(address.unix)
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(address.host, address.host)  # noqa: S104 - every address of ours
    if admin.tls is None:
        return http.client.HTTPConnection(host, address.port, timeout=_SECONDS)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False  # the certificate itself is what is trusted, whatever names it bears
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    for pair in admin.tls.pairs:
        context.load_verify_locations(cadata=_leaf(pair.certificate))
    return http.client.HTTPSConnection(host, address.port, timeout=_SECONDS, context=context)


def _leaf(chain: Path) -> str:
    """The first certificate of a PEM file: its issuers are not trusted here."""
    end = "-----END CERTIFICATE-----"
    return chain.read_text().partition(end)[0] + end + "\n"


def _token(config: Config, admin: Admin) -> str:
    if admin.token is not None:
        return admin.token.get_secret_value()
    path = config.state_dir / TOKEN_FILE
    try:
        return path.read_text().strip()
    except OSError as error:
        raise CannotTell(
            f"{path}: {(error.strerror or 'unreadable').lower()}: is the gateway running, and are you its user?"
        ) from None
