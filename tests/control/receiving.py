"""An issuer that tells a receiver of logouts and events, without a network."""

import contextlib
import json
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

from gateway.control.feeds.revocation_logs import KEEP, FileLog
from gateway.control.feeds.revocations import RevocationFeed
from gateway.control.receivers import Failures, LogoutDialect, Receiver, SignalDialect
from gateway.kernel.cells import Metrics
from gateway.model.exchange import Exchange
from gateway.model.reason import Reason
from gateway.model.refused import Refused
from gateway.stages.authenticate.events.logout import read_logout
from gateway.stages.authenticate.events.signals import read_signal
from gateway.stages.authenticate.revoked import RevokedTokens
from gateway.testing.clock import Clock
from gateway.testing.issuer import Issuer, SigningKey
from tests.exchange import Recorder, context, head, permit
from tests.stages.authenticate.asking import NO_TRUST, NOW, Held, key_set, reason, request, stage, trusted
from tests.stages.record.scene import lines, open_log

LOGGED_OUT: dict[str, dict[str, str]] = {"http://schemas.openid.net/event/backchannel-logout": {}}
CAEP = "https://schemas.openid.net/secevent/caep/event-type/"
CLIENT_ID, AUDIENCE = "gateway", "https://gateway.example/signals"
FORM, SET = "application/x-www-form-urlencoded", "application/secevent+jwt"


@cache
def _rsa() -> SigningKey:
    """One for all: it takes 50 ms to make, and none of them changes it."""
    return SigningKey("RS256")


@dataclass
class Receiving:
    """Both addresses of one issuer, and the gateway that its tokens are for."""

    folder: Path
    clock: Clock = field(default_factory=lambda: Clock(NOW))
    metrics: Metrics = field(default_factory=Metrics)

    def __post_init__(self) -> None:
        self.issuer = Issuer("https://auth.example.com", clock=self.clock)
        self.issuer.keys.append(_rsa())
        self.keys = Held(key_set(self.issuer))
        self.trusted = trusted(self.issuer, keys=self.keys, revocable=True, device_claims=("device",))
        self.audit = open_log(self.folder / "audit", clock=self.clock)
        self.feed = RevocationFeed(RevokedTokens(), FileLog(self.folder / "state", self.clock), clock=self.clock)
        failures, events = Failures(), self.metrics.security_events
        logout = partial(read_logout, self.trusted, CLIENT_ID, keep=KEEP)
        signals = partial(read_signal, self.trusted, AUDIENCE, keep=KEEP)
        self.logout = Receiver("corp", LogoutDialect(), logout, self.feed, failures, self.audit, events)
        self.signals = Receiver("corp", SignalDialect(), signals, self.feed, failures, self.audit, events)

    def logout_token(self, *, headers: Mapping[str, Any] | None = None, **claims: Any) -> str:
        """A right one, but for what is changed."""
        values: dict[str, Any] = {"sub": "alice", "aud": CLIENT_ID, "events": LOGGED_OUT, **claims}
        return self.issuer.token(values.pop("sub"), headers={"typ": "logout+jwt", **(headers or {})}, **values)

    def event_token(
        self, kind: str = "session-revoked", *, headers: Mapping[str, Any] | None = None, **claims: Any
    ) -> str:
        """A right one about alice, but for what is changed. `event`: more of the event."""
        event = {"event_timestamp": int(self.clock()), **claims.pop("event", {})}
        subject = {"format": "iss_sub", "iss": self.issuer.url, "sub": "alice"}
        values = {"aud": AUDIENCE, "exp": None, "sub_id": subject, "events": {CAEP + kind: event}, **claims}
        return self.issuer.token(values.pop("sub", None), headers={"typ": "secevent+jwt", **(headers or {})}, **values)

    async def log_out(self, token: str | bytes, *, kind: str = FORM, client: str = "203.0.113.7") -> Recorder:
        body = token if isinstance(token, bytes) else f"logout_token={token}".encode()
        return await self.post(self.logout, body, kind, client)

    async def signal(self, token: str | bytes, *, kind: str = SET, client: str = "203.0.113.7") -> Recorder:
        return await self.post(self.signals, token if isinstance(token, bytes) else token.encode(), kind, client)

    async def post(self, receiver: Receiver, body: bytes, kind: str, client: str) -> Recorder:
        """What was answered; a refusal by the pipeline has no head but its status."""
        sent = head("POST", "/x", [("content-type", kind)], length=len(body))
        exchange = Recorder(sent).give(body, b"")
        ctx = replace(context(sent, client_ip=client), time=self.clock())
        try:
            await receiver(permit(ctx, index=-1), _exchange(exchange), [])
        except Refused as refused:
            exchange.status = refused.reason.status
        return exchange

    async def judged(self, **claims: Any) -> Reason | None:
        """What becomes of a token of the issuer: one of alice's, issued now, but for what is changed."""
        served = stage([self.trusted], NO_TRUST, revoked=self.feed.tokens)
        return await reason(served, request(f"Bearer {self.issuer.token(**claims)}", now=self.clock()))

    async def records(self) -> list[dict[str, Any]]:
        """The admin records; the log is closed by it."""
        await self.audit.close()
        return [record for record in lines(self.folder / "audit") if record["type"] == "admin"]


def _exchange(recorder: Recorder) -> Exchange:
    return recorder


@contextlib.asynccontextmanager
async def receiving(folder: Path) -> AsyncGenerator[Receiving]:
    held = Receiving(folder)
    held.audit.start()
    held.feed.start()
    await held.feed.tried()
    yield held
    await held.feed.close()


def members(answer: Recorder) -> dict[str, str]:
    """The JSON of an answer."""
    found: dict[str, str] = json.loads(answer.body)
    return found
