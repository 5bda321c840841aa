"""Why handshakes failed, in a closed set of words."""

import ssl

import pytest

from gateway.server.handshake import REASONS, reason_of


def verification(code: int, message: str) -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(1, "[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed")
    error.verify_code, error.verify_message = code, message
    return error


def of_ssl(reason: str) -> ssl.SSLError:
    error = ssl.SSLError(1, reason)
    error.reason = reason
    return error


@pytest.mark.parametrize(
    ("error", "reason", "detail"),
    [
        (verification(10, "certificate has expired"), "certificate_expired", "certificate has expired"),
        (verification(9, "certificate is not yet valid"), "certificate_untrusted", "certificate is not yet valid"),
        (verification(20, "unable to get local issuer"), "certificate_untrusted", "unable to get local issuer"),
        (of_ssl("PEER_DID_NOT_RETURN_A_CERTIFICATE"), "certificate_required", "no certificate was sent"),
        (of_ssl("UNSUPPORTED_PROTOCOL"), "protocol", "unsupported protocol"),
        (ssl.SSLEOFError(8, "EOF"), "closed", "the client closed the connection"),
        (ConnectionResetError(), "closed", "the client closed the connection"),
        (TimeoutError(), "timeout", "the handshake took too long"),
    ],
)
def test_every_failure_has_one_reason(error: OSError, reason: str, detail: str) -> None:
    assert reason_of(error) == (reason, detail)
    assert reason in REASONS
