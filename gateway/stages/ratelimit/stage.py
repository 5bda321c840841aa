"""The gates ahead of and behind authentication.

Where a limit is judged hangs on its key alone (contract section 4). A failed credential is charged to the address;
while that budget is empty, whatever presents a credential from there is refused before anything is verified.
"""

from collections.abc import Awaitable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from gateway.model.exchange import DONE
from gateway.model.principal import Principal
from gateway.model.refused import Refused
from gateway.model.request import RequestContext
from gateway.model.route import Route
from gateway.model.trace import Trace
from gateway.stages.ratelimit.gate import Entrance, Spent

_SCHEMES = ("Bearer ", "DPoP ")  # as they are mostly written


@dataclass(frozen=True, slots=True)
class Gates:
    """What a request of one listener meets on one route."""

    address: Entrance
    address_with_credential: Entrance  # the same, and the budget of failed credentials must not be empty
    caller: Entrance
    failed: Entrance


class RateLimit:
    """Fulfils `RateLimitStage`. With buckets in this process nothing here suspends."""

    def __init__(self, gates: Mapping[str, Sequence[Gates]]) -> None:
        """`gates`: by listener; first those of a request without a route, then by `route.index`."""
        # What stands first is put last, where the index of no route, -1, finds it.
        self._gates = {listener: (*found[1:], found[0]) for listener, found in gates.items()}
        self._address = {
            listener: [
                gates if gates.address_with_credential.charges or gates.address.charges else None for gates in found
            ]
            for listener, found in self._gates.items()
        }
        every = {gates for found in gates.values() for gates in found}
        enter = {gates: gates.caller.enter if gates.caller.charges else None for gates in every}  # one of all alike
        self._caller = {listener: [enter[gates] for gates in found] for listener, found in self._gates.items()}

    def by_address(self, ctx: RequestContext, route: Route, trace: Trace) -> Spent:
        gates = self._address[ctx.connection.listener][route.index]
        if gates is None:
            return []
        gate = gates.address
        if gates.address_with_credential.charges and presents_credential(ctx):
            gate = gates.address_with_credential
        return gate.enter(ctx, None, trace) if gate.charges else []

    def failed_credential(self, ctx: RequestContext, route: Route, trace: Trace) -> Awaitable[None]:
        gate = self._gates[ctx.connection.listener][route.index].failed
        return _charged(gate, ctx, trace) if gate.charges else DONE

    def by_caller(self, ctx: RequestContext, route: Route, principal: Principal, trace: Trace) -> Spent:
        enter = self._caller[ctx.connection.listener][route.index]
        return [] if enter is None else enter(ctx, principal, trace)


async def _charged(gate: Entrance, ctx: RequestContext, trace: Trace) -> None:
    with suppress(Refused):  # an empty budget cannot be charged; the refusal of the credential stands
        spent = gate.enter(ctx, None, trace)
        if not isinstance(spent, list):
            await spent


def presents_credential(ctx: RequestContext) -> bool:
    """True when `authenticate` would have something to verify: a client certificate, a Bearer or a DPoP token."""
    if ctx.preflight is not None:
        return False
    tls = ctx.connection.tls
    if tls is not None and tls.chain:
        return True
    for value in ctx.values.get("authorization", ()):
        if value.startswith(_SCHEMES) or value[:7].lower() == "bearer " or value[:5].lower() == "dpop ":
            return True
    return False
