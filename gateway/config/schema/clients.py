"""What proves the gateway to an issuer that it asks: introspection, token exchange."""

from typing import Literal

from gateway.config.schema.base import Node
from gateway.config.schema.scalars import FilePath, NonEmpty, Secret

AuthMethod = Literal["client_secret_basic", "client_secret_post", "private_key_jwt", "tls_client_auth"]


class OAuthClient(Node):
    """One endpoint of an issuer, and the client that asks there."""

    url: NonEmpty | None = None
    """Default: discovery."""
    client_id: NonEmpty
    client_secret: Secret | None = None
    auth_method: AuthMethod | None = None
    """Default: by what is given: a certificate, else a key, else the secret as client_secret_basic."""
    client_key: FilePath | None = None
    """PEM: of the assertion (private_key_jwt), or of the certificate (tls_client_auth)."""
    client_key_id: NonEmpty | None = None
    """The `kid` of assertions."""
    client_certificate: FilePath | None = None

    @property
    def method(self) -> AuthMethod:
        """How the gateway proves who it is."""
        if self.auth_method is not None:
            return self.auth_method
        if self.client_certificate is not None:
            return "tls_client_auth"
        return "private_key_jwt" if self.client_key is not None else "client_secret_basic"
