"""What a rule may ask of: everything known of a request when it is judged.

One value per request, so that a condition of any kind is a function of this alone.
What many rules read is taken out once, here.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import TypeAlias

from gateway.model.json import Claims
from gateway.model.posture import Posture
from gateway.model.principal import Principal
from gateway.model.request import RequestContext
from gateway.model.route import Route

_NONE: Claims = {}


class Facts:
    """The product of the stages before. Never changes."""

    __slots__ = ("claims", "ctx", "method", "path", "posture", "principal", "request_principal", "route")

    def __init__(self, ctx: RequestContext, route: Route, principal: Principal, posture: Posture | None) -> None:
        self.ctx = ctx
        self.route = route
        self.principal = principal
        self.posture = posture
        self.method = ctx.method if ctx.preflight is None else ctx.judged_method
        self.path = ctx.path
        user = principal.user
        self.claims: Claims = _NONE if user is None else user.claims
        # `iss/sub`; absent unless both are there and not empty (Z6)
        self.request_principal = None if user is None else _request_principal(user.issuer, user.subject)


@lru_cache(1024)
def _request_principal(issuer: str, subject: str) -> tuple[str] | None:
    return (f"{issuer}/{subject}",) if issuer and subject else None


Test: TypeAlias = Callable[[Facts], bool]
