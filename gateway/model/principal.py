"""Who asks: the workload of a certificate, the user of a token, both, or neither."""

from dataclasses import field

from gateway.model.connection import IPAddress
from gateway.model.json import Claims
from gateway.model.noun import noun
from gateway.model.shadow import Shadow


@noun
class Workload:
    """The identity that a verified client certificate proves (Istio: source principal)."""

    id: str  # "spiffe://…" or "dns:…"
    trust_domain: str | None  # None for a dns: identity
    namespace: str | None  # of /ns/NAMESPACE/sa/ACCOUNT
    service_account: str | None
    fingerprint: str  # SHA-256 of the DER, hex (XFCC Hash)
    thumbprint: str  # SHA-256 of the DER, base64url without padding (RFC 8705 x5t#S256)
    not_after: float  # seconds since the epoch, of the first certificate of the chain to end
    subject: str  # RFC 4514; for people, never an identity
    dns_names: tuple[str, ...]


@noun
class User:
    """The identity that a verified token proves (Istio: request principal)."""

    issuer: str  # the iss claim
    issuer_name: str  # its name in routes.yaml
    subject: str
    claims: Claims
    expires: float  # seconds since the epoch
    key: tuple[str, str] = field(init=False)  # issuer and subject: who it is, whatever else is claimed
    named: str | None = field(init=False)  # `id`; None unless both of its parts are there and not empty (Z6)

    def __post_init__(self) -> None:
        object.__setattr__(self, "key", (self.issuer, self.subject))
        object.__setattr__(self, "named", self.id if self.issuer and self.subject else None)

    @property
    def id(self) -> str:
        """`iss/sub`, as request_principals match it."""
        return f"{self.issuer}/{self.subject}"


@noun
class Principal:
    """The caller of one request, with its proofs."""

    workload: Workload | None
    user: User | None
    client_ip: IPAddress
    shadows: tuple[Shadow, ...] = ()  # tokens of issuers in shadow: judged, and counted as not sent

    @property
    def anonymous(self) -> bool:
        """True when neither a certificate nor a token was proved."""
        return self.workload is None and self.user is None

    @property
    def caller(self) -> str:
        """The user, else the workload, else the client address: the key of limits, metrics and reports."""
        if self.user is not None:
            return self.user.id
        if self.workload is not None:
            return self.workload.id
        return str(self.client_ip)
