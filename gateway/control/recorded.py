"""One recorded request as the stages take it: what the record shows, and whether it would show what is asked for.

Its credentials are taken as proved, as they were; whom the file no longer trusts is refused by the stage that serves.
"""

from collections.abc import Mapping
from functools import cache

from gateway.config.schema import Config, Listener
from gateway.control.build.authorize import build_inputs
from gateway.control.build.posture import offline_posture
from gateway.control.evidence import (
    CertificateEvidence,
    TokenEvidence,
    assumed_certificate,
    keyless_issuers,
    no_certificate,
)
from gateway.control.made_up import make_tls
from gateway.control.records import Decision, InputNames, readable
from gateway.control.unsure import Need, Undecidable
from gateway.model.connection import Connection, TlsFacts
from gateway.model.credential import SentToken
from gateway.model.json import JSON
from gateway.model.posture import Posture
from gateway.model.principal import Principal, User, Workload
from gateway.model.reason import Reason
from gateway.model.refused import Refused
from gateway.model.request import RequestContext, RequestHead
from gateway.model.route import Route
from gateway.stages.authenticate.claims import FOREVER
from gateway.stages.authenticate.evidence import NONE_HELD, VerifiedToken

_PROXIED = ("x-forwarded-", "x-request-id")  # what a trusted proxy says is in the record's own members already
_PROVED = ("allow", "deny")


class RecordedToken:
    """The proof of a token that was proved when it was recorded."""

    held = NONE_HELD

    def __init__(self, token: VerifiedToken | None) -> None:
        """None: its issuer is not trusted any more."""
        self._token = token

    def method(self, token: str) -> str:
        return "jwt"

    def known(self, sent: SentToken, now: float) -> VerifiedToken | None:
        return self._token

    async def verify(self, sent: SentToken, now: float) -> VerifiedToken:
        """Raises Refused(TOKEN_ISSUER)."""
        if self._token is None:
            raise Refused(Reason.TOKEN_ISSUER, "the issuer of the recorded user is not one of the file")
        return self._token


class Recorded:
    """One decision, and what its record shows."""

    def __init__(self, source: "Sources", decision: Decision) -> None:
        self.decision = decision
        self.headers = {
            name: tuple(value) if isinstance(value, list) else (value,)
            for name, value in decision.group("headers").items()
            if _text(value)
        }
        self.token = source.token(decision)
        self.certificate = source.certificate(decision.workload)
        self._names = source.names

    @property
    def unproved(self) -> bool:
        """True when credentials may have been sent of which the record does not say whose they were."""
        decision = self.decision
        if decision.subject is not None or decision.workload is not None or decision.effect in _PROVED:
            return False
        return decision.reason != Reason.CREDENTIALS_MISSING.code

    @property
    def maybe_preflight(self) -> bool:
        """True when it may have been a preflight, whose Origin is not recorded."""
        decision = self.decision
        asked = decision.allowed or decision.reason == Reason.CORS_REFUSED.code
        return asked and decision.method == "OPTIONS" and decision.subject is None and decision.workload is None

    def head(self, listener: Listener) -> RequestHead:
        """The head as far as it is known."""
        decision = self.decision
        fields = [(b"host", (decision.host or "").encode())]
        for name, values in self.headers.items():
            if not (listener.trusted_proxies and name.startswith(_PROXIED)):
                fields += [(name.encode("latin-1"), value.encode("utf-8")) for value in values]
        if self.token.sent is not None:
            fields.append((b"authorization", f"Bearer {self.token.sent}".encode()))
        return RequestHead(decision.method, decision.path.encode(), "1.1", fields, None, False)

    def shows(self, need: Need, listener: Listener) -> bool:
        """True when the value, or that there is none, is known."""
        match need.kind:
            case "header":
                if listener.trusted_proxies and need.name.startswith(_PROXIED):
                    return False
                return need.name in self.headers or self._lacks_header(need.name)
            case "claim":
                return self.decision.subject is None or self._shows_claim(need.path)
            case "token":
                return self.decision.subject is None
            case "certificate":
                return self.decision.workload is None
            case "device":
                held = self.decision.group("device")
                return need.name in held and readable(held[need.name])
            case "peer":
                return not listener.trusted_proxies
        return False

    def _lacks_header(self, name: str) -> bool:
        decision = self.decision
        return name not in decision.group("headers") and self._names.header(decision, name)

    def _shows_claim(self, path: tuple[str, ...]) -> bool:
        if path in (("iss",), ("sub",)):
            return True
        recorded = self.decision.group("claims")
        for end in range(1, len(path) + 1):
            label = ".".join(path[:end])
            if label in recorded:
                return readable(recorded[label])
            if self._names.claim(self.decision, label):
                return True
        return False


class RecordedDevice:
    """The posture stage over the facts that a record shows, as fresh as they were then."""

    recorded: Recorded

    def __init__(self, config: Config) -> None:
        self._config = config
        self._facts = {index: inputs.device for index, inputs in build_inputs(config).items()}

    async def __call__(self, ctx: RequestContext, route: Route, principal: Principal) -> Posture | None:
        """Raises Refused as serving does, and Undecidable where the record does not show every fact."""
        requires = self._config.routes[route.index].requires
        if requires is None or requires.posture is None:
            return None
        if self._config.posture[requires.posture].mode == "shadow":
            return Posture("", {}, ctx.time)
        held = self.recorded.decision.group("device")
        for name in sorted(self._facts[route.index]):
            if name not in held or not readable(held[name]):
                raise Undecidable(f"the fact {name} about the device is not recorded")
        judging = offline_posture(self._config, held)(ctx, route, principal)
        return await judging if judging is not None else None


class Who:
    """Whoever the record names, proved as it was then."""

    held = NONE_HELD  # who is proved hangs on the record
    recorded: Recorded  # set for each record

    def method(self, token: str) -> str:
        return "jwt"

    def known(self, sent: SentToken, now: float) -> VerifiedToken | None:
        verifier = self.recorded.token.verifier
        return verifier.known(sent, now) if verifier is not None else None

    async def verify(self, sent: SentToken, now: float) -> VerifiedToken:
        verifier = self.recorded.token.verifier
        if verifier is None:
            raise Refused(Reason.TOKEN_ISSUER, "no issuer is configured")
        return await verifier.verify(sent, now)

    def judge(self, chain: tuple[bytes, ...], now: float) -> Workload:
        return self.recorded.certificate.judge.judge(chain, now)


class Sources:
    """What recorded requests of one config are made from; made once for many records."""

    def __init__(self, config: Config, names: InputNames) -> None:
        self.names = names
        self._config = config
        self._issuers = {issuer.issuer: issuer for issuer in keyless_issuers(config).values()}
        self._paths: dict[str, tuple[str, ...]] = {}
        for index, inputs in build_inputs(config).items():
            labels = {".".join(path): path for path in inputs.claims}
            self._paths |= labels
            if config.audit.inputs != "none":
                names.add(config.digest, config.routes[index].name, inputs.headers, labels)
        self.certificate = cache(self._certificate)
        self._tls = cache(lambda listener, sni, sent: make_tls(config.listeners[listener], sni, sent))

    def connection(self, listener: Listener, recorded: Recorded) -> Connection:
        """A connection to `listener` from the recorded client; its server name is the host."""
        decision = recorded.decision
        tls: TlsFacts | None = self._tls(listener.name, decision.host, recorded.certificate.sent)
        return Connection(listener.name, decision.client_ip, 0, decision.client_ip, listener.address.port, tls)

    def _certificate(self, workload: str | None) -> CertificateEvidence:
        return no_certificate(self._config) if workload is None else assumed_certificate(self._config, workload)

    def token(self, decision: Decision) -> TokenEvidence:
        """The user's token, with the claims that are known."""
        if decision.issuer is None or decision.subject is None:
            return TokenEvidence(RecordedToken(None))
        issuer = self._issuers.get(decision.issuer)
        if issuer is None:
            return TokenEvidence(RecordedToken(None), "recorded")
        claims = self._claims(decision)
        user = User(issuer.issuer, issuer.name, decision.subject, claims, FOREVER)
        held = _names_in(claims.get("aud")) or issuer.audiences or frozenset("*")
        verified = VerifiedToken(user, issuer, held, 0.0, FOREVER, (), key_bound=False)
        return TokenEvidence(RecordedToken(verified), "recorded", user)

    def _claims(self, decision: Decision) -> Mapping[str, JSON]:
        claims: dict[str, JSON] = {"iss": decision.issuer, "sub": decision.subject}
        recorded = [(self._paths.get(label, (label,)), value) for label, value in decision.group("claims").items()]
        for path, value in sorted(recorded, key=lambda each: len(each[0])):
            if readable(value):
                here = claims
                for name in path[:-1]:
                    inner = here.setdefault(name, {})
                    if not isinstance(inner, dict):
                        break
                    here = inner
                else:
                    here.setdefault(path[-1], value)
        return claims


def _text(value: JSON) -> bool:
    values = value if isinstance(value, list) else [value]
    return readable(value) and all(isinstance(each, str) and readable(each) for each in values)


def _names_in(aud: JSON) -> frozenset[str]:
    values = aud if isinstance(aud, list) else [aud]
    return frozenset(each for each in values if isinstance(each, str) and each)
