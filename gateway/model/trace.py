"""The flight recorder of one request: what each stage produced.

Written by the pipeline, and by gates that tell of limits in shadow; read by record, answer and explain. The one seam
for audit, metrics, spans and explain; no stage decides by it.
"""

from collections.abc import Callable
from enum import StrEnum
from typing import TypeAlias

from gateway.model.connection import Connection
from gateway.model.limit import LimitStatus
from gateway.model.permit import Permit
from gateway.model.posture import Posture
from gateway.model.principal import Principal
from gateway.model.refused import Refused
from gateway.model.request import RequestContext, RequestHead
from gateway.model.route import Route
from gateway.model.shadow import Shadow

Release: TypeAlias = Callable[[], None]
"""Gives back what a request holds for as long as it lasts; never raises."""


class Stage(StrEnum):
    """The stages, in the order in which a request meets them."""

    ACCEPT = "accept"
    ROUTE = "route"
    ADDRESS_LIMIT = "ratelimit.address"
    AUTHENTICATE = "authenticate"
    POSTURE = "posture"
    CALLER_LIMIT = "ratelimit.caller"
    AUTHORIZE = "authorize"
    RECORD = "record"
    FORWARD = "forward"


_FIRST = Stage.ACCEPT  # looked up once


class Trace:
    """What is known of one request so far; a member is None until its stage has spoken."""

    __slots__ = (
        "began",
        "connection",
        "ctx",
        "head",
        "held",
        "ids",
        "limit_shadows",
        "limits",
        "own_id",
        "permit",
        "posture",
        "principal",
        "refused",
        "request_id",
        "route",
        "stage",
        "time",
    )

    def __init__(self, connection: Connection, head: RequestHead, request_id: str, time: float, began: float) -> None:
        """`time`: wall clock, seconds since the epoch; `began`: monotonic clock, seconds."""
        self.connection = connection
        self.head = head
        self.request_id = self.own_id = (
            request_id  # which is hex; a trusted proxy's takes its place, and not `own_id`'s
        )
        self.time = time
        self.began = began
        self.ids: str | None = None  # what its records begin with, once it was allowed to act: set by `record`
        self.stage = _FIRST  # each stage is set as it begins; tracers that measure look at it being set
        self.ctx: RequestContext | None = None
        self.route: Route | None = None
        self.limits: list[LimitStatus] = []
        self.held: tuple[Release, ...] = ()  # called once, when the request has ended, however it did
        self.limit_shadows: tuple[Shadow, ...] = ()
        self.principal: Principal | None = None
        self.posture: Posture | None = None
        self.permit: Permit | None = None
        self.refused: Refused | None = None

    @property
    def proved(self) -> Principal | None:
        """Who was proved, also where more is wanted than that."""
        if self.principal is None and self.refused is not None:
            return self.refused.principal
        return self.principal

    @property
    def device(self) -> Posture | None:
        """What is known of the caller's device, also where it is refused for it."""
        if self.posture is None and self.refused is not None:
            return self.refused.posture
        return self.posture

    @property
    def shadows(self) -> tuple[Shadow, ...]:
        """What things in shadow would have done: limits, then the rest in the order of the stages."""
        before = self.limit_shadows
        if self.principal is not None:
            before += self.principal.shadows
        if self.posture is not None:
            before += self.posture.shadows
        last = self.refused if self.refused is not None else self.permit
        return before + last.shadows if last is not None else before

    def release(self) -> None:
        """Give back what is held."""
        held, self.held = self.held, ()
        for each in held:
            each()
