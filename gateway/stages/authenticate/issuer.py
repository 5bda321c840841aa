"""One issuer whose tokens are believed, as the verifier needs it."""

from collections.abc import Mapping
from typing import Literal, Protocol, TypeAlias

from gateway.model.noun import noun
from gateway.model.place import Place
from gateway.stages.authenticate.keys import KeySet

BindingMode: TypeAlias = Literal["off", "optional", "required"]


class KeySource(Protocol):
    """Where an issuer's keys come from; a feed fulfils it."""

    @property
    def current(self) -> KeySet | None:
        """The keys in force: one object as long as they do not change; None while none can be relied on."""
        ...

    async def refetch(self) -> bool:
        """Ask again for an unknown kid, at most once a cooldown and once at a time. Never raises.

        False where its source does not answer: then nobody knows whether there is such a key.
        """
        ...


@noun
class TrustedIssuer:
    """What one entry of `issuers` says about its tokens."""

    name: str  # in routes.yaml
    issuer: str  # the iss claim, compared by code points
    audiences: frozenset[str] | None  # None: any
    algorithms: frozenset[str]  # header values of alg that may pick a key
    clock_skew: float  # seconds, the same for exp, nbf and iat
    profile: bool  # True: only `at+jwt`, with all claims that RFC 9068 section 2.2 requires
    bindings: Mapping[str, BindingMode]  # by member of `cnf`
    keys: KeySource
    dpop_age: float = 60.0  # seconds for which a DPoP proof is good
    dpop_nonce: bool = False  # a DPoP proof has to hold a nonce of ours
    shadow: bool = False  # its tokens are judged and count as not sent
    where: Place | None = None  # in routes.yaml
    revocable: bool = False  # it tells of logouts and security events: its tokens may be revoked
    device_claims: tuple[str, ...] = ()  # claims that name a device, by which such events may mean tokens
