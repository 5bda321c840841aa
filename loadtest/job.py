"""The job: what is asked of every gateway alike, and where things lie. Standard library only: peers are fetched bare.

Full: TLS 1.3 in, an RS256 token validated, the policy of one of 100 routes, a rate limit per caller, a JSON line in the
log, mTLS out over kept connections, 1 kB back. Forward: TLS in and mTLS out, nothing judged.
"""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
WORK = ROOT / "loadtest" / ".work"
RESULTS = ROOT / "loadtest" / "results"

ROUTES = 100
CALLERS = 64
MIXED = 2000  # different requests of a mix at most, where there are more routes
BODY = 1024  # bytes of the backend's answer
CONNECTIONS = 64
ISSUER = "https://issuer.bench.example"
AUDIENCE = "api-service"
BACKEND_ID = "spiffe://bench.local/ns/bench/sa/backend"
GATEWAY_ID = "spiffe://bench.local/ns/bench/sa/gateway"
CLIENT_ID = "spiffe://bench.local/ns/bench/sa/client"
TRUST_DOMAIN = "bench.local"
ALGORITHMS = ("RS256", "ES256")
REMEMBERED = 4096  # tokens that gateway and Envoy remember at most
SIZES = (65_536, 10_485_760)  # bytes of the answers that the backend has besides
LIMIT = 10_000_000  # requests a second and caller: counted, never reached


class Scenario(StrEnum):
    """What is asked."""

    FULL = "full job"
    FORWARD = "forward only"


class How(StrEnum):
    """How a row is loaded."""

    KEPT = "kept connections"
    NEW = "a new connection each"
    RESUMED = "a new connection each, resumed"
    PACED = "at a steady rate"
    IDLE = "idle connections"


class Token(StrEnum):
    """What is sent where a token belongs."""

    GOOD = "good"
    NONE = "none"
    FORGED = "forged"  # right but for its signature


@dataclass(frozen=True)
class Work:
    """What a row is asked for, and how."""

    how: How = How.KEPT
    connections: int = CONNECTIONS
    tokens: int = CALLERS
    token: Token = Token.GOOD
    method: str = "GET"
    sent: int = 0  # bytes of each request's body
    answer: int = BODY  # bytes of each answer's
    status: int = 200  # of every answer
    fresh: bool = False  # each request asks for another target: no head comes twice
    heads: int = 0  # so many different requests, whatever the routes; 0: one a route, or a caller, but 2,000 at most


USUAL_WORK = Work()
DENIALS = {  # what is refused, by its kind
    "no token": Work(token=Token.NONE, status=401),
    "a forged token": Work(token=Token.FORGED, status=401),
    "no rule allows": Work(method="DELETE", status=403),
}


@dataclass(frozen=True)
class Setting:
    """Where the job differs from the usual one, for every peer alike."""

    routes: int = ROUTES
    algorithm: str = "RS256"  # of the tokens
    clients: bool = False  # client certificates are required and verified
    workers: int = 1


USUAL = Setting()


@dataclass(frozen=True)
class Variant:
    """One way in which a peer does a scenario."""

    scenario: Scenario
    name: str = ""  # "" for the only or usual way
    note: str = ""  # what of the job it does not do, or does besides
    setting: Setting = USUAL


@dataclass(frozen=True)
class Place:
    """What a peer is given for one variant."""

    port: int  # to listen on, on loopback
    directory: Path  # of its own
    certificates: Path  # edge, gateway, client and backend (.pem and .key), ca.pem; of each algorithm: `jwks`, `key`
    backend: int  # the backend's port, on loopback
    redis: Path | None = None  # socket of a Redis server
    plain: int = 0  # the backend without TLS, which takes anything

    def jwks(self, variant: Variant) -> Path:
        """The issuer's key set."""
        return self.certificates / f"jwks-{variant.setting.algorithm}.json"

    def key(self, variant: Variant) -> Path:
        """The issuer's public key, PEM."""
        return self.certificates / f"issuer-{variant.setting.algorithm}.pem"


def path_of(route: int) -> str:
    """The prefix of one of the routes."""
    return f"/api/v1/s{route}/"
