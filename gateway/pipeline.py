"""The path of a request, on one screen. The order of the stages is the product's promise.

`decide` is all that can refuse; serving, explain, test and replay run this same function.
A stage is called by the name of its method, `__call__`: Python runs that in its own loop, where calling the object
goes through C and costs as much as twenty steps.
"""

import asyncio
import logging
from collections.abc import Awaitable

from gateway.model.exchange import ClientGone, Exchange
from gateway.model.outcome import Outcome
from gateway.model.permit import Permit
from gateway.model.posture import Posture
from gateway.model.principal import Principal
from gateway.model.reason import Reason
from gateway.model.refused import Refused
from gateway.model.request import RequestContext
from gateway.model.trace import Stage, Trace
from gateway.snapshot import Snapshot

log = logging.getLogger(__name__)

# By their names: to look one up in its enum takes as long as a call.
ACCEPT, ROUTE, ADDRESS_LIMIT, AUTHENTICATE, POSTURE, CALLER_LIMIT, AUTHORIZE, RECORD, FORWARD = Stage
_GONE = Outcome(0, None, None, 0, 0, Reason.CLIENT_GONE)


async def decide(ctx: RequestContext, gw: Snapshot, trace: Trace) -> Permit:
    """All that can refuse a request. Nothing reaches an upstream before this returns. Raises Refused."""
    trace.stage = ROUTE
    route = trace.route = gw.route.__call__(ctx)  # first: every later setting hangs on it
    trace.stage = ADDRESS_LIMIT
    # also where no route was found: a flood of 404s is a flood
    spent = gw.ratelimit.by_address(ctx, route, trace)
    if spent:  # an awaitable is true too
        trace.limits = spent if isinstance(spent, list) else await spent
    if route.index < 0:  # no route of the file
        if route.refusal is not None:
            raise Refused(route.refusal)
        gw.accept.body(ctx, route)
        return gw.authorize.own(ctx, route)
    if ctx.preflight is not None:
        return gw.authorize.preflight(ctx, route)  # browsers send no credentials with it
    gw.accept.body(ctx, route)
    trace.stage = AUTHENTICATE
    try:
        proved = gw.authenticate.__call__(ctx, route)
        principal = trace.principal = proved if isinstance(proved, Principal) else await proved
    except Refused as refused:
        if refused.failed_credential:
            await gw.ratelimit.failed_credential(ctx, route, trace)  # to the address, never to whom it names
        raise
    trace.stage = POSTURE
    posture = None
    if gw.posture is not None:
        known = gw.posture.__call__(ctx, route, principal)
        posture = trace.posture = known if known is None or isinstance(known, Posture) else await known
    trace.stage = CALLER_LIMIT
    spent = gw.ratelimit.by_caller(ctx, route, principal, trace)
    if spent:
        own = spent if isinstance(spent, list) else await spent
        trace.limits = trace.limits + own if trace.limits else own
    trace.stage = AUTHORIZE
    return gw.authorize.__call__(ctx, route, principal, posture)  # pure: same facts, same answer


async def handle(exchange: Exchange, gw: Snapshot) -> None:
    """One request from its head to its outcome. Never raises: what fails is answered 500 and recorded."""
    trace = gw.record.begin(exchange)
    outcome = _GONE
    try:
        try:
            ctx = trace.ctx = gw.accept.__call__(trace)
            trace.request_id = ctx.request_id
            permit = trace.permit = await decide(ctx, gw, trace)
            trace.stage = RECORD
            await gw.record.decision(trace)  # no line, no backend
            trace.stage = FORWARD
            outcome = await gw.forward.__call__(permit, exchange, gw.answer.headers(trace))
        except Refused as refused:
            ended = _refuse(exchange, gw, trace, refused)
            outcome = ended if isinstance(ended, Outcome) else await ended
        except (ClientGone, asyncio.CancelledError):
            raise
        except Exception:
            log.exception("request %s failed at %s", trace.request_id, trace.stage)
            ended = _refuse(exchange, gw, trace, Refused(Reason.INTERNAL))
            outcome = ended if isinstance(ended, Outcome) else await ended
    except ClientGone:
        pass
    finally:
        if trace.held:
            trace.release()
        gw.record.outcome(trace, outcome)


def _refuse(exchange: Exchange, gw: Snapshot, trace: Trace, refused: Refused) -> Outcome | Awaitable[Outcome]:
    """Record and answer a refusal. One that comes after the permit (a dead backend) is an outcome, not a decision."""
    refused.settle()
    trace.refused = refused
    if trace.stage is not FORWARD:
        try:
            gw.record.refusal(trace, refused)
        except Refused as unrecorded:
            unrecorded.settle()
            trace.refused = refused = unrecorded
    if exchange.started:
        exchange.abort()
        return Outcome(0, None, None, 0, 0, refused.reason)
    return gw.answer.refuse(exchange, trace, refused)
