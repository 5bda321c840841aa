"""Certificate-bound tokens (RFC 8705 section 3.1): `cnf` member `x5t#S256`."""

from hmac import compare_digest

from gateway.model.json import JSON
from gateway.model.reason import Reason
from gateway.model.refused import Refused
from gateway.stages.authenticate.evidence import Possession

MEMBER = "x5t#S256"


def confirm(expected: JSON, possession: Possession) -> None:
    """The token must be bound to the certificate of this very connection, which must itself be trusted.

    Raises Refused: BINDING_MISSING for an unbound token or a request without a certificate, else BINDING_MISMATCH.
    """
    if expected is None:
        raise Refused(Reason.BINDING_MISSING, "the token is not bound to a certificate")
    workload = possession.workload
    if workload is None:
        raise Refused(Reason.BINDING_MISSING, "the token is bound to a certificate and none was sent")
    if not isinstance(expected, str) or not compare_digest(expected.encode(), workload.thumbprint.encode()):
        raise Refused(Reason.BINDING_MISMATCH, "the token is bound to another certificate")
