"""What the stage asks for proofs: two interfaces.

Rule: `explain` and `test` fulfil them with evidence that is taken as verified; all else is judged by the same code.
Invariant: a `VerifiedToken` says who signed which claims, never that they suffice for a request.
"""

from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import field
from types import MappingProxyType
from typing import Final, Protocol, TypeAlias

from gateway.model.credential import SentToken
from gateway.model.json import JSON
from gateway.model.noun import noun
from gateway.model.principal import Principal, User, Workload
from gateway.model.refused import Refused
from gateway.stages.authenticate.issuer import TrustedIssuer
from gateway.stages.authenticate.keys import KeySet


@noun
class Possession:
    """What a request proves besides its token."""

    workload: Workload | None  # by the certificate of its connection
    key: str | None = None  # by a DPoP proof: the thumbprint (RFC 7638) of the key that signed it


# Judges the value of one member of `cnf` (RFC 7800 section 3.1) by what a request proves.
# Raises Refused(BINDING_MISSING | BINDING_MISMATCH).
Confirm: TypeAlias = Callable[[JSON, Possession], None]


@noun
class VerifiedToken:
    """A token whose signature holds; its time, audience and binding are still to be judged."""

    user: User
    issuer: TrustedIssuer
    audiences: frozenset[str]
    begins: float  # seconds since the epoch: nbf and iat, less the clock skew
    ends: float  # seconds since the epoch: exp and the clock skew; no longer valid at this instant
    proofs: tuple[tuple[Confirm, JSON], ...]  # what the caller must prove besides, with the expected value
    key_bound: bool  # `cnf` names a key of the client's, whether or not that must be proved
    marks: tuple[bytes, ...] = ()  # what it could be revoked by; of tokens of revocable issuers only
    issued: float | None = None  # the claim iat, seconds since the epoch
    usual: bool = field(init=False)  # of all that may be asked of it, its time alone is still to be judged

    def __post_init__(self) -> None:
        issuer = self.issuer
        addressed = issuer.audiences is None or not issuer.audiences.isdisjoint(self.audiences)
        usual = addressed and not (self.proofs or self.marks or issuer.shadow)
        object.__setattr__(self, "usual", usual)


class HeldToken:
    """A token that its verifier remembers: verified by keys, and good while its issuer's are this very object."""

    __slots__ = ("begins", "keys", "principal", "source", "token", "until", "usual_until")

    def __init__(self, token: VerifiedToken, keys: KeySet, until: float) -> None:
        """`until`: seconds since the epoch, and no later than the token ends."""
        self.token = token
        self.keys = keys
        self.source = token.issuer.keys
        self.begins = token.begins
        self.until = until
        self.usual_until = until if token.usual else 0.0  # until when its time is all that is still to be judged
        self.principal: Principal | None = None  # whom it proved last where nothing else was sent; no verdict


NONE_HELD: Final[Mapping[bytes, HeldToken]] = MappingProxyType({})


class Shadowed(Exception):  # noqa: N818 - a verdict
    """A token of an issuer in shadow does not hold: it counts as not sent, and why not is told."""

    def __init__(self, issuer: TrustedIssuer, refused: Refused) -> None:
        super().__init__(issuer.name)
        self.issuer = issuer
        self.refused = refused


@contextmanager
def judged_for(issuer: TrustedIssuer) -> Generator[None]:
    """What is refused in here is refused for this issuer: raises Shadowed instead where that one is in shadow."""
    try:
        yield
    except Refused as refused:
        if issuer.shadow:
            raise Shadowed(issuer, refused) from None
        raise


class TokenVerifier(Protocol):
    """Proves a bearer token."""

    def method(self, token: str) -> str:
        """How this token is proved, for the metrics: "jwt" or "introspection"."""
        ...

    @property
    def held(self) -> Mapping[bytes, HeldToken]:
        """By digest what `known` looks into, for who does so by itself; one object for good, empty where it may not."""
        ...

    def known(self, sent: SentToken, now: float) -> VerifiedToken | None:
        """What `verify` would return, where that is known at once: this very JWT was verified before."""
        ...

    async def verify(self, sent: SentToken, now: float) -> VerifiedToken:
        """Raises Refused: 401, or 503 KEYS_UNAVAILABLE or INTROSPECTION_UNAVAILABLE; Shadowed instead in shadow."""
        ...


class CertificateJudge(Protocol):
    """Proves a client certificate."""

    def judge(self, chain: tuple[bytes, ...], now: float) -> Workload:
        """`chain` is DER, leaf first, never empty. Raises Refused(CERTIFICATE_* | SPIFFE_ID_INVALID)."""
        ...
