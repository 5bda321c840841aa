"""Where Redis is, and what proves who we are to it: `redis://`, `rediss://`, `redis+unix://`.

    redis://[USER:PASSWORD@]HOST[:PORT][/DATABASE]
    rediss://…?ca=FILE&certificate=FILE&key=FILE   TLS; `ca` instead of the system's roots, the others for mTLS
    redis+unix://[USER:PASSWORD@]/PATH[?db=DATABASE]
    any of them: ?prefix=NAME                          before every key (default "gateway")

The server's certificate is always verified, its name too. A password is never part of a repr or a message.
"""

import ssl
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

SCHEMES = ("redis", "rediss", "redis+unix")
_OPTIONS = {
    "redis": {"prefix", "db"},
    "rediss": {"prefix", "db", "ca", "certificate", "key"},
    "redis+unix": {"prefix", "db"},
}


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

    @classmethod
    def parse(cls, url: str, base: Path = Path()) -> "RedisAddress":
        """Read `url`; files in it are relative to the directory `base`. Raises ValueError, without secrets."""
        try:
            parts = urlsplit(url)
            port = parts.port or 6379
            options = dict(parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query)))
        except ValueError:
            raise ValueError("the store's address is not a URL: write redis://HOST:PORT") from None
        if parts.scheme not in SCHEMES:
            raise ValueError(f"a store is memory://, or one of {', '.join(s + '://' for s in SCHEMES)}")
        for name in options:
            if name not in _OPTIONS[parts.scheme]:
                raise ValueError(f"the option {name!r} means nothing to {parts.scheme}://")
        unix = parts.scheme == "redis+unix"
        if unix and (parts.hostname or not parts.path.startswith("/")):
            raise ValueError("a Unix socket is written redis+unix:///absolute/path")
        if not unix and not parts.hostname:
            raise ValueError("the store's address names no host")
        certificate, key = _file(options, "certificate", base), _file(options, "key", base)
        if (certificate is None) != (key is None):
            raise ValueError("certificate and key of a store go together")
        return cls(
            host=parts.hostname or "",
            port=port,
            path=unquote(parts.path) if unix else None,
            database=_database(options.get("db", "") if unix else options.get("db") or parts.path.strip("/")),
            username=unquote(parts.username) if parts.username else None,
            password=unquote(parts.password) if parts.password else None,
            tls=parts.scheme == "rediss",
            ca=_file(options, "ca", base),
            certificate=certificate,
            key=key,
            prefix=options.get("prefix") or "gateway",
        )

    def __str__(self) -> str:
        """As a log may show it: without the user and the password."""
        if self.path is not None:
            return f"redis+unix://{self.path}?db={self.database}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'rediss' if self.tls else 'redis'}://{host}:{self.port}/{self.database}"

    def context(self) -> ssl.SSLContext | None:
        """The TLS context, read anew from its files; None without TLS. Raises OSError or ssl.SSLError."""
        if not self.tls:
            return None
        context = ssl.create_default_context(cafile=str(self.ca) if self.ca else None)
        if self.certificate is not None:
            context.load_cert_chain(self.certificate, self.key)
        return context


def _file(options: dict[str, str], name: str, base: Path) -> Path | None:
    value = options.get(name)
    return base / value if value else None


def _database(text: str) -> int:
    if not text:
        return 0
    if not text.isascii() or not text.isdigit():
        raise ValueError("the database of a store is a number")
    return int(text)
