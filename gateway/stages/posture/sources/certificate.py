"""Facts in an extension of the client certificate: a JSON object, as old as the certificate.

Rule: only of a certificate that proved who the caller is; what cannot be read is not there.
"""

import re
from functools import lru_cache

from gateway.kernel.strict import NotStrict, parse_object
from gateway.model.principal import Principal
from gateway.model.request import RequestContext
from gateway.stages.posture.source import Known, known

_REMEMBERED = 4096  # certificates
_OID = re.compile(r"[0-2](?:\.(?:0|[1-9][0-9]{0,18})){1,32}", re.ASCII)


def check_oid(text: str) -> None:
    """Raises ValueError unless it is an object identifier in dots (RFC 5280 section 4.1)."""
    if _OID.fullmatch(text) is None:
        raise ValueError(f"{text!r} is no object identifier: write one like 1.3.6.1.4.1.32473.1")


class CertificateSource:
    """One extension. What a certificate says never changes, so it is read once."""

    def __init__(self, oid: str) -> None:
        self._oid = oid
        self._read = lru_cache(_REMEMBERED)(self._facts)

    def of(self, ctx: RequestContext, principal: Principal) -> Known | None:
        """What the caller's certificate says of its device; None where it has none, or nothing to say."""
        tls = ctx.connection.tls
        if principal.workload is None or tls is None or not tls.chain:
            return None
        return self._read(tls.chain[0])

    def _facts(self, der: bytes) -> Known | None:
        from gateway.kernel.x509.extension import read_extension  # takes 50 ms to load, and checks need it not

        held = read_extension(der, self._oid)
        if held is None:
            return None
        text, since = held
        try:
            return known(parse_object(text), since)
        except NotStrict:
            return None
