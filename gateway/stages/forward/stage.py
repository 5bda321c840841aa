"""The forward stage: takes a permit, and nothing less.

Rule: each route's way is chosen when the snapshot is built; here it is one look into a table.
Invariant: a preflight is answered here and never forwarded (H29).
"""

from collections.abc import Awaitable, Mapping, Sequence
from typing import Protocol

from gateway.model.exchange import Exchange
from gateway.model.outcome import Outcome
from gateway.model.permit import Permit
from gateway.model.request import RawHeaders
from gateway.stages.forward.local import LocalAnswer


class Way(Protocol):
    """How the requests of a route go on."""

    def __call__(self, permit: Permit, exchange: Exchange, answer_headers: RawHeaders, /) -> Awaitable[Outcome]: ...


class Forward:
    """See gateway.snapshot.ForwardStage."""

    def __init__(self, ways: Sequence[Way], own: Mapping[str, Way] | None = None) -> None:
        """`ways`: a Proxy or LocalAnswer for each route, by its index; `own`: for the gateway's own addresses."""
        self.own = dict(own or {})
        # their methods: see gateway.pipeline; one for all routes that share a way, which thousands do
        methods = {id(way): way.__call__ for way in ways}
        # the last is the one under -1: no route of the file
        self._ways = (*(methods[id(way)] for way in ways), self._at_own_address)
        self._preflight = LocalAnswer(204)

    def __call__(self, permit: Permit, exchange: Exchange, answer_headers: RawHeaders) -> Awaitable[Outcome]:
        """Raises Refused while no head was sent; afterwards breaks the answer off and says why in the Outcome."""
        if permit.ctx.preflight is not None:
            return self._preflight(permit, exchange, answer_headers)
        return self._ways[permit.route.index](permit, exchange, answer_headers)

    def _at_own_address(self, permit: Permit, exchange: Exchange, answer_headers: RawHeaders) -> Awaitable[Outcome]:
        return self.own[permit.ctx.path](permit, exchange, answer_headers)
