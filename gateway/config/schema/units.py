"""Durations, sizes, rates and addresses: how they are written, and the plain values that they become.

Each parser takes the text of the file and raises ValueError with a message that says what to write.
A number without its unit is refused where two readings are possible.
"""

import re
from dataclasses import dataclass
from ipaddress import ip_address

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)", re.ASCII)
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_SIZE = re.compile(r"(\d+)(B|KiB|MiB|GiB|TiB)", re.ASCII)
_BYTES = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}
_RATE = re.compile(r"\s*([0-9]+)\s*(?:/|\s*per\s*)\s*([0-9]+)?\s*([a-z]+)\s*", re.IGNORECASE | re.ASCII)
_FACTOR = re.compile(r"[0-9]{1,3}(?:\.[0-9]{1,6})?", re.ASCII)
_PERCENT = re.compile(r"(\d{1,3})%", re.ASCII)
_PERIODS = {"second": 1, "minute": 60, "hour": 3600, "day": 86400, "month": 2592000, "year": 31104000}


def duration(text: str) -> float:
    """Seconds of `300ms`, `5s`, `10m`, `24h` or `7d`."""
    found = _DURATION.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is not a duration: write one number and one unit, like 300ms, 5s, 10m or 24h")
    return float(found[1]) * _SECONDS[found[2]]


def size(text: str) -> int:
    """Bytes of `64KiB` or `10MiB`."""
    found = _SIZE.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is not a size: write one number and one unit, like 64KiB, 10MiB or 512B")
    return int(found[1]) * _BYTES[found[2]]


@dataclass(frozen=True, slots=True)
class Percent:
    """A part of a hundred."""

    value: int

    def __str__(self) -> str:
        return f"{self.value}%"


@dataclass(frozen=True, slots=True)
class Factor:
    """A number above 0."""

    value: float

    def __str__(self) -> str:
        return f"{self.value:g}"


def factor(text: str) -> Factor:
    """`0.01` to `100`."""
    if _FACTOR.fullmatch(text) is None or not 0.01 <= float(text) <= 100:
        raise ValueError(f"{text!r} is no number from 0.01 to 100")
    return Factor(float(text))


def percent(text: str) -> Percent:
    """`0%` to `100%`."""
    found = _PERCENT.fullmatch(text)
    if found is None or int(found[1]) > 100:
        raise ValueError(f"{text!r} is not a part: write a whole number and %, like 10% or 100%")
    return Percent(int(found[1]))


@dataclass(frozen=True, slots=True)
class Rate:
    """So many requests in a period."""

    count: int
    period: int  # seconds
    text: str  # as the file writes it

    def __str__(self) -> str:
        return self.text


def rate(text: str) -> Rate:
    """The grammar of the library `limits`: `100/minute`, `10 per 2 hours`. One rate, at least one request."""
    if any(separator in text for separator in ",;|"):
        raise ValueError(f"{text!r} holds several rates: write them as a list, like [10/second, 1000/day]")
    found = _RATE.fullmatch(text)
    period = _PERIODS.get(found[3].lower().removesuffix("s")) if found else None
    if found is None or period is None:
        raise ValueError(f"{text!r} is not a rate: write a count and a period, like 100/minute or 10 per 2 hours")
    count, multiple = int(found[1]), int(found[2] or 1)
    if count < 1 or multiple < 1:
        raise ValueError(f"{text!r} lets nothing through: count and period are at least 1 (a deny rule refuses)")
    return Rate(count, period * multiple, text)


@dataclass(frozen=True, slots=True)
class Address:
    """Where a listener or the admin server listens: a host and port, or a Unix socket's path."""

    host: str  # an IP address without brackets, or localhost; "" for a Unix socket
    port: int  # 0: the operating system chooses
    unix: str = ""  # absolute path of a Unix socket

    @property
    def loopback(self) -> bool:
        """True when only this machine can reach it."""
        return bool(self.unix) or self.host == "localhost" or ip_address(self.host).is_loopback

    def __str__(self) -> str:
        if self.unix:
            return f"unix://{self.unix}"
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def address(text: str) -> Address:
    """`HOST:PORT`, where HOST is an IP address (IPv6 in brackets) or localhost."""
    host, colon, port = text.rpartition(":")
    if not colon or not (port.isascii() and port.isdigit()) or int(port) > 65535:
        raise ValueError(f"{text!r} is not an address: write HOST:PORT, like 0.0.0.0:8443 or [::1]:8443")
    bracketed = host.startswith("[") and host.endswith("]")
    host = host[1:-1] if bracketed else host
    if host == "localhost":
        return Address(host, int(port))
    try:
        known = ip_address(host)
    except ValueError:
        raise ValueError(
            f"{host!r} is not an IP address: write one, like 0.0.0.0 (all) or 127.0.0.1 (this machine)"
        ) from None
    if (known.version == 6) is not bracketed:
        raise ValueError(f"{text!r} is not an address: an IPv6 address stands in brackets, like [::1]:8443")
    return Address(str(known), int(port))


def admin_address(text: str) -> Address:
    """`HOST:PORT` or `unix:///absolute/path`."""
    if not text.startswith("unix:"):
        return address(text)
    path = text.removeprefix("unix://")
    if not path.startswith("/"):
        raise ValueError(f"{text!r} is not a socket: write unix:///absolute/path")
    return Address("", 0, path)


def in_words(seconds: float) -> str:
    """A duration as a file writes it, in the largest unit that says it whole."""
    for unit, factor in (("h", 3600), ("m", 60), ("s", 1)):
        if seconds >= factor and seconds % factor == 0:
            return f"{int(seconds // factor)}{unit}"
    number, unit = (seconds, "s") if seconds >= 1 else (seconds * 1000, "ms")
    return f"{number:.3f}".rstrip("0").rstrip(".") + unit if seconds else "0s"


def in_bytes(size: int) -> str:
    """A size as a file writes it."""
    for unit, factor in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if size >= factor and size % factor == 0:
            return f"{size // factor}{unit}"
    return f"{size}B"
