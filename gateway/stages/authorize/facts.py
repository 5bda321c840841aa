"""What a rule may ask of: everything known of a request when it is judged.

One value per request, so that a condition of any kind is a function of this alone.
"""

from collections.abc import Callable
from typing import TypeAlias

from gateway.model.json import Claims
from gateway.model.posture import Posture
from gateway.model.principal import Principal
from gateway.model.request import RequestContext
from gateway.model.route import Route

_NONE: Claims = {}


class Facts:
    """The product of the stages before. Never changes."""

    __slots__ = ("ctx", "method", "posture", "principal", "route")

    def __init__(self, ctx: RequestContext, route: Route, principal: Principal, posture: Posture | None) -> None:
        self.ctx = ctx
        self.route = route
        self.principal = principal
        self.posture = posture
        self.method = ctx.method if ctx.preflight is None else ctx.judged_method

    @property
    def claims(self) -> Claims:
        """Of the token; empty without one."""
        user = self.principal.user
        return _NONE if user is None else user.claims

    @property
    def path(self) -> str:
        """The normalised path."""
        return self.ctx.path

    @property
    def request_principal(self) -> tuple[str] | None:
        """`iss/sub`; absent unless both are there and not empty (Z6)."""
        user = self.principal.user
        return None if user is None or user.named is None else (user.named,)


Test: TypeAlias = Callable[[Facts], bool]
