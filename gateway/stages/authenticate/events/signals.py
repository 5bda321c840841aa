"""Security events of the Shared Signals Framework: CAEP's session-revoked, credential-change, device-compliance-change.

Rule: an event ends what its subject (RFC 9493) was issued until then; a kind that is not understood ends nothing.
Invariant: an event that means nobody whom this issuer may speak of is refused, for whoever sent it would believe that
it took effect.
"""

from collections.abc import Iterator, Mapping

from gateway.model.json import JSON, Claims
from gateway.model.reason import Reason
from gateway.model.refused import Refused
from gateway.stages.authenticate.claims import instant
from gateway.stages.authenticate.events.statement import Ended, Statement, malformed, read_statement, text
from gateway.stages.authenticate.issuer import TrustedIssuer
from gateway.stages.authenticate.revoked import WHENEVER, Kind, Revocation, mark

_CAEP = "https://schemas.openid.net/secevent/caep/event-type/"
_ENDING = {f"{_CAEP}{kind}": kind for kind in ("session-revoked", "credential-change", "device-compliance-change")}
_DEVICE = "device-compliance-change"
_TYPES = ("secevent+jwt",)
_ALIASES = 16  # at most
_Found = Iterator[tuple[Kind, str]]


async def read_signal(issuer: TrustedIssuer, audience: str, token: str, now: float, *, keep: float) -> Ended:
    """What a security event token ends, to be remembered for `keep` seconds.

    Raises Refused: 401, or 503 KEYS_UNAVAILABLE.
    """
    said = await read_statement(issuer, token, now, types=_TYPES, audience=audience, age=keep)
    revocations: list[Revocation] = []
    kinds, about = [], None
    for uri, event in said.events.items():
        kind = _ENDING.get(uri)
        if kind is None or not isinstance(event, Mapping):
            continue
        kinds.append(kind)
        if kind == _DEVICE and _compliant(event):
            continue
        subject = _subject(said.claims, event)
        found = dict.fromkeys(_meant(subject, issuer))
        if not found:
            raise Refused(Reason.TOKEN_ISSUER, "its subject is none that this issuer's tokens show")
        about = about or next((value for which, value in found if which in (Kind.SUBJECT, Kind.SESSIONLESS)), None)
        before = _before(said, event)
        for which, value in found:
            at = WHENEVER if which is Kind.TOKEN else before
            revocations.append(Revocation(mark(which, issuer.issuer, value), at, now + keep))
    return Ended(tuple(revocations), said.name, keep + 2 * issuer.clock_skew, tuple(kinds), about)


def _compliant(event: Claims) -> bool:
    """True for a device that is in order now. Raises Refused."""
    match event.get("current_status"):
        case "compliant":
            return True
        case "not-compliant":
            return False
    raise malformed("current_status is neither compliant nor not-compliant")


def _before(said: Statement, event: Claims) -> float:
    """Until when what was issued is ended, by the issuer's clock alone: when it happened, never after it was told."""
    happened = instant(event, "event_timestamp")
    return said.issued if happened is None else min(happened, said.issued)


def _subject(claims: Claims, event: Claims) -> Claims:
    """`sub_id` of the token (CAEP 1.0), or `subject` of the event (earlier drafts). Raises Refused."""
    held = event.get("subject", claims.get("sub_id"))
    if not isinstance(held, Mapping):
        raise malformed("it has no subject")
    return held


def _meant(subject: Claims, issuer: TrustedIssuer) -> _Found:
    """By what the tokens of a subject are known. Raises Refused."""
    if subject.get("format", "complex") != "complex":
        yield from _simple(subject, issuer)
        return
    users = [value for which, value in _part(subject, "user", issuer) if which is Kind.SUBJECT]
    session = _part(subject, "session", issuer)
    if session:
        for which, value in session:  # an opaque id or iss_sub of a session is its sid
            yield (Kind.SESSION if which is Kind.SUBJECT else which), value
        for user in users:
            yield Kind.SESSIONLESS, user
    elif "user" in subject:
        yield from _part(subject, "user", issuer)
    else:
        for which, value in _part(subject, "device", issuer):
            yield (Kind.DEVICE if which is Kind.SUBJECT else which), value


def _part(subject: Claims, name: str, issuer: TrustedIssuer) -> list[tuple[Kind, str]]:
    part = subject.get(name)
    if name not in subject:
        return []
    if not isinstance(part, Mapping):
        raise malformed(f"the subject's {name} is no object")
    return list(_simple(part, issuer))


def _simple(subject: Claims, issuer: TrustedIssuer) -> _Found:
    """RFC 9493 section 3.2. Formats that no token shows mean nothing here."""
    match text(subject, "format"):
        case "iss_sub":
            if _required(subject, "iss") == issuer.issuer:
                yield Kind.SUBJECT, _required(subject, "sub")
        case "jwt_id":
            if _required(subject, "iss") == issuer.issuer:
                yield Kind.TOKEN, _required(subject, "jti")
        case "opaque":
            yield Kind.SUBJECT, _required(subject, "id")
        case "email":
            yield Kind.EMAIL, _required(subject, "email").casefold()
        case "aliases":
            yield from _aliases(subject.get("identifiers"), issuer)


def _aliases(identifiers: JSON, issuer: TrustedIssuer) -> _Found:
    if not isinstance(identifiers, list) or not 0 < len(identifiers) <= _ALIASES:
        raise malformed("the subject's identifiers are no short list")
    for each in identifiers:
        if not isinstance(each, Mapping) or each.get("format") == "aliases":
            raise malformed("one of the subject's identifiers is none")
        yield from _simple(each, issuer)


def _required(subject: Claims, name: str) -> str:
    value = text(subject, name)
    if value is None:
        raise malformed(f"the subject has no {name}")
    return value
