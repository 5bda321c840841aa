"""HTTP field names and values that a file may set.

Framing and connection fields are the gateway's own: setting one by hand would let two readers disagree (H1, H26).
"""

_TOKEN = frozenset("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
_OWN = frozenset({"connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection"})
_OWN |= {"content-length", "expect", "host", "te", "trailer", "transfer-encoding", "upgrade", "via", "x-request-id"}


def judge_field_name(name: str) -> None:
    """A field name (RFC 9110 section 5.1). Raises ValueError."""
    if not name or not _TOKEN.issuperset(name):
        raise ValueError(f"{name!r} is no name of a header")


def judge_settable(name: str) -> None:
    """A field that a file may set or remove. Raises ValueError."""
    judge_field_name(name)
    if name.lower() in _OWN:
        raise ValueError(f"the gateway sets {name} itself")


def judge_field_value(value: str) -> None:
    """A field value (RFC 9110 section 5.5): visible ASCII, without white space at its ends. Raises ValueError."""
    if not value.isascii() or not value.isprintable() or value != value.strip():
        raise ValueError("a header's value holds visible ASCII characters, without spaces at its ends")
