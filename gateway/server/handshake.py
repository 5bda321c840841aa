"""Why a TLS handshake failed: OpenSSL's many words folded into a few that a metric can carry.

Rule: what the client did wrong is told apart; the client itself learns nothing but a closed connection.
Invariant: every failure has exactly one of `REASONS`.
"""

import ssl

# X509_V_ERR_* of OpenSSL (x509_vfy.h)
_EXPIRED = 10

REASONS = (
    "certificate_required",
    "certificate_expired",
    "certificate_untrusted",
    "protocol",  # no common version, cipher or signature; not TLS at all
    "proxy_header",  # a trusted proxy did not say in order whom it speaks for
    "timeout",
    "closed",  # the client went away
    "overloaded",  # too many connections or handshakes
)


def reason_of(error: BaseException) -> tuple[str, str]:
    """The reason, and OpenSSL's own words for the record."""
    if isinstance(error, ssl.SSLCertVerificationError):
        name = "certificate_expired" if error.verify_code == _EXPIRED else "certificate_untrusted"
        return name, error.verify_message
    if isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError):
        return "closed", "the client closed the connection"
    if isinstance(error, ssl.SSLError):
        if error.reason == "PEER_DID_NOT_RETURN_A_CERTIFICATE":
            return "certificate_required", "no certificate was sent"
        return "protocol", (error.reason or "unknown").lower().replace("_", " ")
    if isinstance(error, TimeoutError):
        return "timeout", "the handshake took too long"
    return "closed", "the client closed the connection"
