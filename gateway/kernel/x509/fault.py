"""`CertificateFault`: why a certificate does not hold.

Rule: the libraries' exceptions become this one where they are called.
Invariant: the detail is for logs and explain; it names no key and holds no bytes of a certificate.
"""

from gateway.model.reason import Reason


class CertificateFault(ValueError):  # noqa: N818 - the house's word
    """A certificate, chain or identity is refused; `reason` is what a client certificate is refused with."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail
