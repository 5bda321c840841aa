"""A fault says why, in words that may be logged."""

from gateway.kernel.x509.fault import CertificateFault
from gateway.model.reason import Reason


def test_it_has_a_reason_and_a_detail() -> None:
    fault = CertificateFault(Reason.CERTIFICATE_REVOKED, "it is on the list")
    assert (fault.reason, fault.detail, str(fault)) == (Reason.CERTIFICATE_REVOKED, "it is on the list", fault.detail)
    assert isinstance(fault, ValueError)
