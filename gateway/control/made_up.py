"""A connection and a head for a request that nobody sent: what explain and policy tests put to the stages.

The URL's path goes to accept as it is written, so that a trick in it is judged as a client would send it.
What is not said is made harmless: a peer of the documentation's range, the host's own name as SNI.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import ip_address

from gateway.config.schema import Config, Listener
from gateway.control.build.accept import covering, dns_names
from gateway.control.evidence import CannotJudge
from gateway.kernel.framing import judge
from gateway.kernel.patterns.hosts import parse_authority
from gateway.model.connection import Connection, IPAddress, TlsFacts
from gateway.model.request import RequestHead

NOBODY = ip_address("192.0.2.1")  # RFC 5737: an address of no network
_PORTS = {"https": 443, "http": 80}


@dataclass(frozen=True, slots=True)
class Url:
    """A URL taken apart and not normalised."""

    scheme: str | None
    authority: str
    target: str

    @property
    def port(self) -> int | None:
        """The port that is written, else the scheme's."""
        try:
            port = parse_authority(self.authority)[1]
        except ValueError:
            port = None
        return port or (_PORTS.get(self.scheme) if self.scheme is not None else None)


def parse_url(url: str) -> Url:
    """Take `https://HOST/PATH` or a bare `/PATH` apart. Raises CannotJudge."""
    if url.startswith("/"):
        return Url(None, "localhost", url)
    scheme, colon, rest = url.partition("://")
    if not colon or scheme.lower() not in _PORTS:
        raise CannotJudge(f"{url!r} is no URL: write one like https://api.example.com/path, or a path")
    end = min(at if at >= 0 else len(rest) for at in (rest.find("/"), rest.find("?"), rest.find("#")))
    target = rest[end:]
    return Url(scheme.lower(), rest[:end], target if target.startswith("/") else "/" + target)


def choose_listener(config: Config, url: Url, named: str | None) -> Listener:
    """The listener by its name; else the one on the URL's port; else the first of its scheme. Raises CannotJudge."""
    if named is not None:
        if named not in config.listeners:
            raise CannotJudge(f"no listener is named {named!r}: the file has {', '.join(config.listeners)}")
        chosen = config.listeners[named]
        if chosen.redirect is not None:
            raise CannotJudge(f"listener {named} redirects every request to https: nothing is judged there")
        return chosen
    serving = [listener for listener in config.listeners.values() if listener.redirect is None]
    if not serving:
        raise CannotJudge("no listener serves requests: all redirect to https")
    fitting = [each for each in serving if url.scheme is None or (each.tls is not None) is (url.scheme == "https")]
    on_port = [each for each in fitting if each.address.port == url.port]
    return (on_port or fitting or serving)[0]


def make_connection(
    listener: Listener,
    host: str,
    *,
    peer: IPAddress = NOBODY,
    chain: tuple[bytes, ...] = (),
    sni: str | None = None,
    destination: tuple[IPAddress, int] | None = None,
) -> Connection:
    """A fresh connection to `listener`; `chain` is what its client presents, where the listener asks for it.

    `sni`: by default the host's name, "" for none. `destination`: the address and port that it came to.
    """
    address = listener.address
    local = ip_address("127.0.0.1" if address.host == "localhost" else address.host), address.port
    tls = make_tls(listener, _sni(host) if sni is None else sni.lower() or None, chain)
    return Connection(listener.name, peer, 0, *(destination or local), tls)


def make_tls(listener: Listener, sni: str | None, chain: tuple[bytes, ...]) -> TlsFacts | None:
    """A session with the certificate that SNI chooses; None where the listener has no TLS."""
    if listener.tls is None:
        return None
    served = 0
    if sni is not None and len(listener.tls.pairs) > 1:
        served = next(iter(covering([dns_names(pair.certificate) for pair in listener.tls.pairs])(sni)), 0)
    asked = listener.tls.client_certificate != "none"
    return TlsFacts("TLSv1.3", "TLS_AES_256_GCM_SHA384", sni, "http/1.1", False, served, chain if asked else ())


_HANDSHAKE = (
    ("connection", "Upgrade"),
    ("sec-websocket-version", "13"),
    ("sec-websocket-key", "AAAAAAAAAAAAAAAAAAAAAA=="),
)


def make_head(method: str, url: Url, headers: Sequence[tuple[str, str]]) -> RequestHead:
    """The head of a request without a body; a Host among `headers` takes the place of the URL's.

    One with `Upgrade: websocket` becomes a whole opening handshake: what is missing of it is filled in.
    """
    names = {name.lower() for name, _ in headers}
    more = [] if "host" in names else [("host", url.authority)]
    if "upgrade" in names:
        more += [field for field in _HANDSHAKE if field[0] not in names]
    raw = [(name.lower().encode("latin-1"), value.encode("utf-8")) for name, value in (*more, *headers)]
    if "upgrade" in names:
        return judge(method, url.target.encode(), "1.1", raw).head
    return RequestHead(method, url.target.encode(), "1.1", raw, None, False)


def parse_time(text: str) -> float:
    """RFC 3339, or seconds since 1970, as seconds since 1970. Raises ValueError."""
    try:
        return float(text)
    except ValueError:
        pass
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError("write a time like 2026-01-31T12:00:00Z, or seconds since 1970") from None
    return (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).timestamp()


def _sni(host: str) -> str | None:
    """A client sends the host's name, and nothing for an address (RFC 6066 section 3)."""
    try:
        name = parse_authority(host)[0]
    except ValueError:
        return None
    try:
        ip_address(name.strip("[]"))
    except ValueError:
        return name
    return None
