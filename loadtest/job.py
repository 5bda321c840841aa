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
BODY = 1024  # bytes of the backend's answer
CONNECTIONS = 64
ISSUER = "https://issuer.bench.example"
AUDIENCE = "api-service"
BACKEND_ID = "spiffe://bench.local/ns/bench/sa/backend"
GATEWAY_ID = "spiffe://bench.local/ns/bench/sa/gateway"
LIMIT = 10_000_000  # requests a second and caller: counted, never reached


class Scenario(StrEnum):
    """What is asked."""

    FULL = "full job"
    FORWARD = "forward only"


@dataclass(frozen=True)
class Variant:
    """One way in which a peer does a scenario."""

    scenario: Scenario
    name: str = ""  # "" for the only or usual way
    note: str = ""  # what of the job it does not do, or does besides


@dataclass(frozen=True)
class Place:
    """What a peer is given for one variant."""

    port: int  # to listen on, on loopback
    directory: Path  # of its own
    certificates: Path  # edge, gateway and backend (.pem and .key), ca.pem, jwks.json, issuer.pem (public key)
    backend: int  # the backend's port, on loopback
    redis: Path | None = None  # socket of a Redis server


def path_of(route: int) -> str:
    """The prefix of one of the routes."""
    return f"/api/v1/s{route}/"
