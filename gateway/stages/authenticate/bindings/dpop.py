"""Tokens bound to a key of the client's (RFC 9449 section 6.1): `cnf` member `jkt`.

No proof of possession is taken by this build, so such a token is never accepted, least of all as Bearer.
"""

from gateway.model.json import JSON
from gateway.model.principal import Workload
from gateway.model.reason import Reason
from gateway.model.refused import Refused

MEMBER = "jkt"


def confirm(_expected: JSON, _workload: Workload | None) -> None:
    """Raises Refused(BINDING_MISSING)."""
    raise Refused(Reason.BINDING_MISSING, "the token needs a DPoP proof")
