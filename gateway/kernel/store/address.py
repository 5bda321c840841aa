"""Where Redis is, and what proves who we are to it.

    redis://[USER:PASSWORD@]HOST[:PORT][/DATABASE]
    rediss://…?ca=FILE&certificate=FILE&key=FILE   TLS; `ca` instead of the system's roots, the others for mTLS
    redis+unix://[USER:PASSWORD@]/PATH[?db=DATABASE]
    redis+sentinel://[USER:PASSWORD@]HOST[:PORT],…/MASTER[/DATABASE]   who is master now, the sentinels say
    redis+cluster://[USER:PASSWORD@]HOST[:PORT],…                      some nodes; they name the others
    the last two: ?tls=true (then ca, certificate, key); sentinels of their own: ?sentinel_user=…&sentinel_password=…
    any of them: ?prefix=NAME                          before every key (default "gateway")

The server's certificate is always verified, its name too. A password is never part of a repr or a message.
"""

import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias
from urllib.parse import parse_qsl, unquote, urlsplit

_TLS = {"ca", "certificate", "key"}
_OPTIONS = {
    "redis": {"prefix", "db"},
    "rediss": {"prefix", "db"} | _TLS,
    "redis+unix": {"prefix", "db"},
    "redis+sentinel": {"prefix", "db", "tls", "sentinel_user", "sentinel_password"} | _TLS,
    "redis+cluster": {"prefix", "tls"} | _TLS,
}
SCHEMES = tuple(_OPTIONS)
_PORTS = {"redis+sentinel": 26379}

Node: TypeAlias = tuple[str, int]
"""Host and port."""


@dataclass(frozen=True, slots=True)
class RedisAddress:
    """A parsed address. Equal addresses reach the same store as the same user."""

    host: str = ""
    port: int = 6379
    path: str | None = None  # of a Unix socket; then host and port mean nothing
    database: int = 0
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    tls: bool = False
    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None
    prefix: str = "gateway"
    sentinels: tuple[Node, ...] = ()  # then host and port mean nothing
    master: str = ""  # the name that the sentinels know it by
    sentinel_username: str | None = None
    sentinel_password: str | None = field(default=None, repr=False)
    cluster: tuple[Node, ...] = ()  # then host and port mean nothing

    @classmethod
    def parse(cls, url: str, base: Path = Path()) -> "RedisAddress":
        """Read `url`; files in it are relative to the directory `base`. Raises ValueError, without secrets."""
        try:
            parts = urlsplit(url)
            credentials, _, hosts = parts.netloc.rpartition("@")
            nodes = tuple(_node(host, _PORTS.get(parts.scheme, 6379)) for host in hosts.split(",") if hosts)
            options = dict(parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query)))
        except ValueError:
            raise ValueError("the store's address is not a URL: write redis://HOST:PORT") from None
        scheme = parts.scheme
        if scheme not in SCHEMES:
            raise ValueError(f"a store is memory://, or one of {', '.join(s + '://' for s in SCHEMES)}")
        for name in options:
            if name not in _OPTIONS[scheme]:
                raise ValueError(f"the option {name!r} means nothing to {scheme}://")
        username, _, password = credentials.partition(":")
        certificate, key = _file(options, "certificate", base), _file(options, "key", base)
        if (certificate is None) != (key is None):
            raise ValueError("certificate and key of a store go together")
        several = scheme in ("redis+sentinel", "redis+cluster")
        place = _place(scheme, nodes, parts.path)
        database = options.get("db", "") or ("" if scheme == "redis+unix" else place.get("database", ""))
        return cls(
            host=nodes[0][0] if nodes and not several else "",
            port=nodes[0][1] if nodes and not several else 6379,
            path=unquote(parts.path) if scheme == "redis+unix" else None,
            database=_database(database),
            username=unquote(username) if username else None,
            password=unquote(password) if password else None,
            tls=scheme == "rediss" or (several and _tls(options)),
            ca=_file(options, "ca", base),
            certificate=certificate,
            key=key,
            prefix=options.get("prefix") or "gateway",
            sentinels=nodes if scheme == "redis+sentinel" else (),
            master=place.get("master", ""),
            sentinel_username=options.get("sentinel_user") or None,
            sentinel_password=options.get("sentinel_password") or None,
            cluster=nodes if scheme == "redis+cluster" else (),
        )

    def __str__(self) -> str:
        """As a log may show it: without the user and the password."""
        if self.path is not None:
            return f"redis+unix://{self.path}?db={self.database}"
        if self.sentinels:
            return f"redis+sentinel://{','.join(map(written, self.sentinels))}/{self.master}/{self.database}"
        if self.cluster:
            return f"redis+cluster://{','.join(map(written, self.cluster))}"
        return f"{'rediss' if self.tls else 'redis'}://{written((self.host, self.port))}/{self.database}"

    def context(self) -> ssl.SSLContext | None:
        """The TLS context, read anew from its files; None without TLS. Raises OSError or ssl.SSLError."""
        if not self.tls:
            return None
        context = ssl.create_default_context(cafile=str(self.ca) if self.ca else None)
        if self.certificate is not None:
            context.load_cert_chain(self.certificate, self.key)
        return context


def written(node: Node) -> str:
    """HOST:PORT."""
    host, port = node
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _node(text: str, port: int) -> Node:
    parts = urlsplit(f"//{text}")
    if not parts.hostname:
        raise ValueError("no host")
    return parts.hostname, parts.port or port


def _place(scheme: str, nodes: tuple[Node, ...], path: str) -> dict[str, str]:
    """What the path says: a database, or a master and a database. Raises ValueError."""
    if scheme == "redis+unix":
        if nodes or not path.startswith("/"):
            raise ValueError("a Unix socket is written redis+unix:///absolute/path")
        return {}
    if not nodes:
        raise ValueError("the store's address names no host")
    if scheme == "redis+cluster":
        if path.strip("/"):
            raise ValueError("a cluster has no databases: write redis+cluster://HOST:PORT,HOST:PORT")
        return {}
    if scheme == "redis+sentinel":
        master, _, database = path.strip("/").partition("/")
        if not master:
            raise ValueError("sentinels are asked for a master by its name: write redis+sentinel://HOST:PORT/NAME")
        return {"master": unquote(master), "database": database}
    if len(nodes) > 1:
        raise ValueError("several hosts are sentinels or a cluster: write redis+sentinel:// or redis+cluster://")
    return {"database": path.strip("/")}


def _tls(options: dict[str, str]) -> bool:
    asked = options.get("tls", "false")
    if asked not in ("true", "false"):
        raise ValueError("the option tls of a store is true or false")
    if asked == "false" and _TLS & options.keys():
        raise ValueError("ca, certificate and key of a store need tls=true")
    return asked == "true"


def _file(options: dict[str, str], name: str, base: Path) -> Path | None:
    value = options.get(name)
    return base / value if value else None


def _database(text: str) -> int:
    if not text:
        return 0
    if not text.isascii() or not text.isdigit():
        raise ValueError("the database of a store is a number")
    return int(text)
