"""Tokens that no longer count although they verify: the deny list, as one process knows it.

Rule: a token goes by its jti, its session (sid), its subject, its email address or its device, and by when it was
issued; whoever learns of a revocation says it here, and a feed says what the other processes learned.
Invariant: what is known stays known until it is over; a list that was never read is no empty list (503).
"""

from collections.abc import Callable, Iterable, Iterator
from enum import Enum
from hashlib import blake2b

from gateway.model.json import Claims
from gateway.model.noun import noun
from gateway.model.reason import Reason
from gateway.model.refused import Refused
from gateway.stages.authenticate.evidence import VerifiedToken
from gateway.stages.authenticate.issuer import TrustedIssuer

WHENEVER = 253402300799.0  # seconds since the epoch: revoked whenever it was issued
_SIZE = 16  # bytes of a mark
_RETRY_AFTER = 1  # seconds


class Kind(Enum):
    """By what a token can be revoked."""

    TOKEN = "jti"
    SESSION = "sid"
    SUBJECT = "sub"
    SESSIONLESS = "sub without sid"  # tokens of a subject that do not say of which session they are
    EMAIL = "email"
    DEVICE = "device"


@noun
class Revocation:
    """Tokens that bear `mark` and were issued at `before` or earlier are refused."""

    mark: bytes
    before: float  # seconds since the epoch
    until: float  # seconds since the epoch: no such token is left then


def mark(kind: Kind, issuer: str, value: str) -> bytes:
    """What stands for a property of tokens of that issuer alone: a digest, so that no list names anybody."""
    data = f"{kind.value}\n{issuer}\n{value}".encode("utf-8", "surrogatepass")
    return blake2b(data, digest_size=_SIZE).digest()


def marks_of(issuer: TrustedIssuer, subject: str, claims: Claims) -> tuple[bytes, ...]:
    """Every mark of a token with these claims."""
    url, jti, sid, email = issuer.issuer, claims.get("jti"), claims.get("sid"), claims.get("email")
    marks = [mark(Kind.SUBJECT, url, subject)]
    if isinstance(sid, str):
        marks.append(mark(Kind.SESSION, url, sid))
    else:
        marks.append(mark(Kind.SESSIONLESS, url, subject))
    if isinstance(jti, str):
        marks.append(mark(Kind.TOKEN, url, jti))
    if isinstance(email, str):
        marks.append(mark(Kind.EMAIL, url, email.casefold()))
    for name in issuer.device_claims:
        device = claims.get(name)
        if isinstance(device, str):
            marks.append(mark(Kind.DEVICE, url, device))
    return tuple(marks)


class RevokedTokens:
    """One for a process; `check` is on the data path, where it costs one look into a dictionary."""

    def __init__(self) -> None:
        self._held: dict[bytes, Revocation] = {}
        self.known = False  # the list was read once
        self.on_change: list[Callable[[], None]] = []  # for what was judged earlier and still goes on: open streams

    def __len__(self) -> int:
        return len(self._held)

    def __repr__(self) -> str:
        return f"RevokedTokens({len(self._held)}{'' if self.known else ', not read yet'})"

    def __iter__(self) -> Iterator[Revocation]:
        return iter(tuple(self._held.values()))

    def take(self, revocations: Iterable[Revocation]) -> None:
        """Learn of these, at once for every token that was verified before."""
        held, news = self._held, False
        for each in revocations:
            known = held.get(each.mark, each)
            if known is each or each.before > known.before or each.until > known.until:
                both = Revocation(each.mark, max(each.before, known.before), max(each.until, known.until))
                held[each.mark] = both
                news = True
        if news:
            for tell in tuple(self.on_change):
                tell()

    def forget(self, now: float) -> None:
        """Drop what is over."""
        for name in [name for name, each in self._held.items() if each.until <= now]:
            del self._held[name]

    def check(self, token: VerifiedToken) -> None:
        """Raises Refused: TOKEN_REVOKED, or STORE_UNAVAILABLE while the list is not known."""
        marks = token.marks
        if not marks:
            return
        if not self.known:
            detail = "the list of revoked tokens was not read yet"
            raise Refused(Reason.STORE_UNAVAILABLE, detail, retry_after=_RETRY_AFTER)
        held = self._held
        if held and not held.keys().isdisjoint(marks):
            for name in marks:
                each = held.get(name)
                if each is not None and (token.issued is None or token.issued <= each.before):
                    raise Refused(Reason.TOKEN_REVOKED, f"{token.issuer.name} ended it: by logout or a security event")
