"""Nonces for DPoP proofs (RFC 9449 section 8): an HMAC of the time under a key that all workers share.

Rule: nothing is remembered; a nonce is good in the period in which it was given, and in the next.
Invariant: who does not hold the key can make none, so a proof cannot be signed long before it is used.
"""

import hmac
from hashlib import sha256

from gateway.kernel.strict import encode_base64url
from gateway.model.json import JSON

PERIOD = 120  # seconds
_LABEL = b"gateway-dpop-nonce/1\n"
_LENGTH = 18  # bytes: 144 bits, and no padding to cut


class Nonces:
    """Gives nonces and knows its own again."""

    def __init__(self, key: bytes) -> None:
        """`key`: at least 32 secret bytes."""
        self._key = key

    def current(self, now: float) -> str:
        """The nonce to use now."""
        return self._of(int(now) // PERIOD)

    def good(self, nonce: JSON, now: float) -> bool:
        """True when a gateway with this key gave it, in this period or the one before."""
        if not isinstance(nonce, str) or not nonce.isascii():
            return False
        period = int(now) // PERIOD
        return hmac.compare_digest(nonce, self._of(period)) or hmac.compare_digest(nonce, self._of(period - 1))

    def _of(self, period: int) -> str:
        mac = hmac.digest(self._key, _LABEL + b"%d" % period, sha256)
        return encode_base64url(mac[:_LENGTH]).decode("ascii")
