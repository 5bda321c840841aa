"""The requests of the demo, each with the answer that it should get.

Rule: a case is data; the curl line, `--try` and `--check` are made from it, so they cannot say different things.
Invariant: every refusal names the one reason that the gateway must give.
"""

import ssl
from dataclasses import dataclass

from gateway.cli.demo.place import Place
from gateway.testing.client import Answer, send

INVENTORY = "/api/v1/inventory/42"
PAYMENTS = "/api/v1/payments/quote"


@dataclass(frozen=True, slots=True)
class Case:
    """One request (or several in a row) and what the last of them should be answered."""

    name: str
    title: str
    status: int
    reason: str | None = None  # of a refusal
    backend: str | None = None  # that answers
    method: str = "GET"
    target: str = INVENTORY
    certificate: str | None = "web"
    bearer: str | None = "token"
    times: int = 1
    why: str = ""

    @property
    def expected(self) -> str:
        """In words."""
        return f"{self.status} {self.reason or (f'from {self.backend}' if self.backend else 'from the gateway')}"

    def curl(self, place: Place) -> str:
        """A line to paste into a shell in which D is the demo's folder."""
        parts = ["curl -isS --cacert $D/ca.pem"]
        if self.certificate:
            parts.append(f"--cert $D/{self.certificate}.pem")
        if self.bearer:
            parts.append(f"-H @$D/{self.bearer}")
        if self.method != "GET":
            parts.append(f"-X {self.method}")
        if ".." in self.target:
            parts.append("--path-as-is")
        parts.append(f"https://localhost:{place.edge}{self.target}")
        line = " ".join(parts)
        return f"for i in $(seq {self.times}); do {line}; done" if self.times > 1 else line

    async def send(self, place: Place) -> Answer:
        """Send it with our own client; the last answer. Raises OSError, EOFError, TimeoutError."""
        tls = place.tls(self.certificate)
        headers = [("Authorization", place.token(self.bearer))] if self.bearer else []
        for _ in range(self.times - 1):
            await self._once(place, tls, headers)
        return await self._once(place, tls, headers)

    async def _once(self, place: Place, tls: ssl.SSLContext, headers: list[tuple[str, str]]) -> Answer:
        authority = f"localhost:{place.edge}"
        return await send(place.edge, self.method, self.target, tls=tls, authority=authority, headers=headers)

    def judge(self, answer: Answer) -> str | None:
        """What is wrong with the answer; None when it is the expected one."""
        if (answer.status, answer.reason) != (self.status, self.reason):
            return f"{answer.status} {answer.reason or repr(answer.body[:80])}"
        if self.backend is None:
            return None
        seen = answer.json()
        told = {name.lower() for name in seen["headers"]}
        if seen["backend"] != self.backend:
            return f"answered by {seen['backend']}"
        if seen["caller"] != "spiffe://cluster.local/ns/gateway/sa/gateway":
            return f"the backend was called by {seen['caller']}"
        if "authorization" in told or "x-forwarded-client-cert" not in told:
            return f"the backend was sent {sorted(told)}"
        return None


CASES: tuple[Case, ...] = (
    Case("allowed-read", "a token and a certificate, both in order", 200, backend="inventory"),
    Case(
        "allowed-write",
        "the checkout service may write",
        200,
        backend="inventory",
        method="POST",
        certificate="checkout",
    ),
    Case(
        "allowed-payment",
        "another backend, over mTLS too",
        200,
        backend="payments",
        method="POST",
        target="/api/v1/payments/charge",
    ),
    Case("health", "a public route asks for nothing", 200, target="/health", certificate=None, bearer=None),
    Case(
        "forbidden-write",
        "the web service may read, not write",
        403,
        "no_rule_allows",
        method="POST",
        why="no rule of the route allows POST to this workload, and nothing is allowed by default",
    ),
    Case(
        "no-token",
        "neither token nor certificate",
        401,
        "credentials_missing",
        certificate=None,
        bearer=None,
        why="the route is not public",
    ),
    Case("expired-token", "a token of an hour ago", 401, "token_expired", bearer="token-expired"),
    Case("wrong-audience", "a token meant for another service", 401, "token_audience", bearer="token-audience"),
    Case(
        "tampered-token",
        "a token whose scopes were edited",
        401,
        "token_signature",
        bearer="token-tampered",
        why="the signature no longer fits what it signs",
    ),
    Case(
        "wrong-trust-domain",
        "a partner's certificate that claims an id of cluster.local",
        401,
        "certificate_untrusted",
        certificate="impostor",
        why="the partner's root is trusted, but not for ids of cluster.local",
    ),
    Case(
        "certificate-alone",
        "a good certificate where a token is needed too",
        401,
        "credentials_missing",
        bearer=None,
        why="the route requires an audience, which only a token has",
    ),
    Case(
        "rate-limit",
        "six requests where five are allowed",
        429,
        "rate_limited",
        target=PAYMENTS,
        certificate="batch",
        bearer="token-batch",
        times=6,
        why="the last answer carries Retry-After; wait, and it is answered again",
    ),
    Case(
        "path-trick",
        "a path that reads in two ways",
        400,
        "ambiguous_path",
        target="/api/v1/inventory/..%2f..%2fadmin",
        why="the path that is judged must be the path that the backend reads",
    ),
)
