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

    def __init__(self, *, tokens: bool, dpop_algorithms: tuple[str, ...] = ()) -> None:
        """`tokens`: some issuer is configured; `dpop_algorithms`: of proofs, () where DPoP is off."""
        self._tokens = tokens
        self._dpop = " ".join(dpop_algorithms)

    def of(self, refused: Refused) -> bytes | None:
        """The field's value; None where the refusal asks for no credential."""
        reason = refused.reason
        if reason is Reason.SCOPE_MISSING:
            return _bearer("insufficient_scope", refused.challenge)
        if reason.status != 401:
            return None
        only_certificate = refused.challenge is not None and refused.challenge.certificate
        if only_certificate or reason in _CERTIFICATE_REASONS or not self._tokens:
            return _CERTIFICATE
        if reason is Reason.CREDENTIALS_MISSING:
            return f"Bearer {_REALM}".encode("ascii")
        if reason is Reason.STEP_UP_REQUIRED:
            return _bearer("insufficient_user_authentication", refused.challenge)
        if reason in _BINDING and self._dpop:
            return f'DPoP {_REALM}, error="{_BINDING[reason]}", algs="{self._dpop}"'.encode("ascii")
        return _bearer("invalid_token", None)


def _bearer(error: str, challenge: Challenge | None) -> bytes:
    parts = [_REALM, f'error="{error}"']
    if challenge is not None:
        if challenge.scopes:
            parts.append(f'scope="{_quotable(challenge.scopes)}"')
        if challenge.acr:
            parts.append(f'acr_values="{_quotable(challenge.acr)}"')
        if challenge.max_age is not None:
            parts.append(f"max_age={challenge.max_age}")
    return ("Bearer " + ", ".join(parts)).encode("ascii")


def _quotable(values: tuple[str, ...]) -> str:
    """Scope tokens hold neither quotes nor backslashes (RFC 6750 section 3); what does is left out."""
    return " ".join(v for v in values if v.isascii() and v.isprintable() and '"' not in v and "\\" not in v)
