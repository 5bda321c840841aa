"""The small world of the demo and of docker-compose.yml: who is in it, and what they may ask the provider for.

Rule: names here are the names in routes.yaml.
Invariant: secrets here are no secrets: they are for a provider that believes everybody.
"""

from gateway.testing.issuer import User
from gateway.testing.provider import Client

WORKLOADS = "spiffe://cluster.local/ns/default/sa/"  # + name
BACKENDS = ("inventory", "payments")
BROWSER_APP = "browser-app"
USERS = (
    User("alice", frozenset({"inventory:read"}), {}),
    User("bob", frozenset({"inventory:read"}), {"employment": "contractor"}),
)
_SERVICES = {"web": ("inventory:read", "payments:write"), "batch": ("payments:write",)}


def secret(service: str) -> str:
    """The client secret of a service."""
    return f"{service}-secret"


def clients(app_origin: str | None = None) -> list[Client]:
    """The services, and the browser application where there is one."""
    services = [Client(name, secret(name), (), frozenset(scopes)) for name, scopes in _SERVICES.items()]
    if app_origin is None:
        return services
    return [*services, Client(BROWSER_APP, None, (f"{app_origin}/",), frozenset({"inventory:read"}), app_origin)]
