"""SPIFFE ids (SPIFFE-ID section 2).

Rule: an id is compared byte by byte, so only the one spelling that the specification allows is an id.
Invariant: what parses holds no control byte, percent sign, upper-case trust domain, empty or dot segment.
"""

from gateway.model.noun import noun

_SCHEME = "spiffe://"
_TRUST_DOMAIN = frozenset("abcdefghijklmnopqrstuvwxyz0123456789.-_")
_SEGMENT = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_")
_MAX_ID = 2048  # bytes, section 2.3
_MAX_TRUST_DOMAIN = 255


@noun
class SpiffeId:
    """A parsed SPIFFE id."""

    id: str
    trust_domain: str
    path: str  # "" or "/a/b"

    @property
    def namespace(self) -> str | None:
        """NAMESPACE of a path `/ns/NAMESPACE/sa/ACCOUNT`, else None."""
        parts = self.path.split("/")
        return parts[2] if _kubernetes(parts) else None

    @property
    def service_account(self) -> str | None:
        """ACCOUNT of a path `/ns/NAMESPACE/sa/ACCOUNT`, else None."""
        parts = self.path.split("/")
        return parts[4] if _kubernetes(parts) else None


def parse_spiffe_id(text: str) -> SpiffeId:
    """Parse a whole id. Raises ValueError, whose message never holds the input."""
    if not text.startswith(_SCHEME):
        raise ValueError('a SPIFFE id begins with "spiffe://", in lower case')
    if len(text) > _MAX_ID:  # what follows is ASCII, so characters are bytes
        raise ValueError("a SPIFFE id has at most 2048 bytes")
    trust_domain, slash, path = text[len(_SCHEME) :].partition("/")
    check_trust_domain(trust_domain)
    if slash:
        _check_path(path)
    return SpiffeId(text, trust_domain, slash + path)


def parse_leaf_id(text: str) -> SpiffeId:
    """An id that a peer can have: with a path (X509-SVID sections 3.1 and 5.2). Raises ValueError."""
    parsed = parse_spiffe_id(text)
    if not parsed.path:
        raise ValueError("an id without a path signs for a trust domain, it is no peer's")
    return parsed


def parse_trust_domain(text: str) -> str:
    """The trust domain in a bare name or in any id of it. Raises ValueError."""
    if "://" in text or text.startswith("spiffe:"):
        return parse_spiffe_id(text).trust_domain
    check_trust_domain(text)
    return text


def check_trust_domain(name: str) -> None:
    """Raises ValueError for a name that is no trust domain (section 2.1)."""
    if not name:
        raise ValueError("a trust domain is never empty")
    if len(name) > _MAX_TRUST_DOMAIN:
        raise ValueError("a trust domain has at most 255 bytes")
    if not _TRUST_DOMAIN.issuperset(name):
        raise ValueError("a trust domain holds only lower-case letters, digits, dots, dashes and underscores")


def _check_path(path: str) -> None:
    for segment in path.split("/"):
        if not segment:
            raise ValueError("a SPIFFE path has no empty segment and no slash at its end")
        if segment in (".", ".."):
            raise ValueError("a SPIFFE path has no dot segment")
        if not _SEGMENT.issuperset(segment):
            raise ValueError("a SPIFFE path holds only letters, digits, dots, dashes and underscores")


def _kubernetes(parts: list[str]) -> bool:
    return len(parts) == 5 and parts[1] == "ns" and parts[3] == "sa"
