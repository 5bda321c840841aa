"""WWW-Authenticate: what would be enough (RFC 6750 section 3, RFC 9449 section 7.1, RFC 9470 section 3).

Rule: no error code when no credential was sent; the codes tell classes of failure, never which check (J33).
Invariant: every 401 carries a challenge (RFC 9110 section 15.5.2).
"""

from gateway.model.reason import Reason
from gateway.model.refused import Challenge, Refused

_CERTIFICATE = b"TLS-Client-Certificate"
_CERTIFICATE_REASONS = frozenset(
    {
        Reason.CERTIFICATE_REQUIRED,
        Reason.CERTIFICATE_UNTRUSTED,
        Reason.CERTIFICATE_EXPIRED,
        Reason.CERTIFICATE_REVOKED,
        Reason.SPIFFE_ID_INVALID,
    }
)
_BINDING = {
    Reason.BINDING_MISSING: "invalid_token",
    Reason.BINDING_MISMATCH: "invalid_token",
    Reason.DPOP_INVALID: "invalid_dpop_proof",
}
_REALM = 'realm="gateway"'


class Challenges:
    """The challenges that this gateway's settings make sense of."""

    def __init__(self, *, tokens: bool, dpop_algorithms: tuple[str, ...] = (), dpop_only: bool = False) -> None:
        """`tokens`: some issuer is configured; `dpop_algorithms`: of proofs, () where DPoP is off.

        `dpop_only`: every issuer requires a proof, so that a bearer token would never do.
        """
        self._tokens = tokens
        self._dpop = " ".join(dpop_algorithms)
        only = f'DPoP {_REALM}, algs="{self._dpop}"' if dpop_only and self._dpop else f"Bearer {_REALM}"
        self._nothing_sent = only.encode("ascii")

    def of(self, refused: Refused, *, dpop: bool = False) -> bytes | None:
        """The field's value; None where the refusal asks for no credential. `dpop`: it came under that scheme."""
        reason, challenge = refused.reason, refused.challenge
        algorithms = self._dpop if dpop or reason in _BINDING else ""
        if reason is Reason.SCOPE_MISSING:
            return _token("insufficient_scope", challenge, algorithms)
        if reason.status != 401:
            return None
        only_certificate = challenge is not None and challenge.certificate
        if only_certificate or reason in _CERTIFICATE_REASONS or not self._tokens:
            return _CERTIFICATE
        if reason is Reason.CREDENTIALS_MISSING:
            return self._nothing_sent + _login(challenge)  # no error, for nothing was wrong
        if reason is Reason.STEP_UP_REQUIRED:
            return _token("insufficient_user_authentication", challenge, algorithms)
        if challenge is not None and challenge.nonce is not None:
            return _token("use_dpop_nonce", None, algorithms)
        return _token(_BINDING[reason] if algorithms and reason in _BINDING else "invalid_token", None, algorithms)


def _token(error: str, challenge: Challenge | None, algorithms: str) -> bytes:
    """Under the DPoP scheme where `algorithms` says of which a proof may be, else Bearer."""
    parts = [_REALM, f'error="{error}"']
    if challenge is not None and challenge.scopes:
        parts.append(f'scope="{_quotable(challenge.scopes)}"')
    if algorithms:
        parts.append(f'algs="{algorithms}"')
    return (("DPoP " if algorithms else "Bearer ") + ", ".join(parts)).encode("ascii") + _login(challenge)


def _login(challenge: Challenge | None) -> bytes:
    """What kind of login would be enough (RFC 9470 section 3), to stand behind other parameters."""
    if challenge is None:
        return b""
    acr = f', acr_values="{_quotable(challenge.acr)}"' if challenge.acr else ""
    return (acr + (f", max_age={challenge.max_age}" if challenge.max_age is not None else "")).encode("ascii")


def _quotable(values: tuple[str, ...]) -> str:
    """Scope tokens hold neither quotes nor backslashes (RFC 6750 section 3); what does is left out."""
    return " ".join(v for v in values if v.isascii() and v.isprintable() and '"' not in v and "\\" not in v)
