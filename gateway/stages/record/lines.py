"""The members of a request's two records, composed by hand: contract section 9.

Every member is always there, null where nothing is known. No token, query string or body can come in: none is read.
"""

from functools import lru_cache

from gateway.kernel.patterns.blocks import address_text
from gateway.model.outcome import Outcome
from gateway.model.permit import Permit
from gateway.model.principal import User
from gateway.model.shadow import Shadow
from gateway.model.trace import Trace
from gateway.stages.record.text import quote, quote_or_null

LONGEST_PATH = 2048  # bytes; a normalised path is ASCII
_LONGEST_METHOD = 32
PARTS = tuple(f".{part:03d}" for part in range(1000))  # of a millisecond
NUMBERS = tuple(map(str, range(4096)))  # a look here costs a sixth of writing a number anew
BEYOND = len(NUMBERS)


def ids_text(trace: Trace) -> str:
    """What both records of a request begin with. Our ids, and those that accept has judged, need no escaping."""
    trace_id = "null" if trace.ctx is None else f'"{trace.ctx.trace.trace_id}"'
    return f',"request_id":"{trace.request_id}","trace_id":{trace_id}'


def allowed_members(permit: Permit, route: str, facts: str) -> str:
    """As `decision_members`, where nothing more than a rule allowed it: nearly all that come.

    `facts`: what `facts_text` made. A known method and a host hold nothing that JSON would escape: accept has judged
    them.
    """
    ctx, principal = permit.ctx, permit.principal
    user, workload = principal.user, principal.workload
    allowed = _allowed(
        ctx.connection.listener,
        route,
        permit.rule,
        None if user is None else user.issuer,
        None if user is None else user.subject,
        None if workload is None else workload.id,
    )
    return f"{allowed}{address_text(ctx.client_ip)}{_asked(ctx.method, ctx.host, ctx.path)}{facts}"


@lru_cache(4096)
def _allowed(
    listener: str, route: str, rule: str | None, issuer: str | None, subject: str | None, workload: str | None
) -> str:
    """What is the same whenever a rule allows a caller: from the trace id to the address."""
    user = "null" if issuer is None or subject is None else _named(issuer, subject)
    return (
        f',"effect":"allow","reason":null,"mode":"enforce","listener":{quote(listener)},"route":{route}'
        f',"rule":{quote_or_null(rule)},"shadow":[],"user":{user},"workload":{quote_or_null(workload)}'
        ',"device":null,"client_ip":"'
    )


@lru_cache(1024)
def _asked(method: str, host: str, path: str) -> str:
    """What is the same whenever a target comes again: from the end of the address to the path."""
    return f'","method":"{method}","host":"{host}","path":{quote(path[:LONGEST_PATH])}'


def facts_text(inputs: str, config: str) -> str:
    """The last members of a decision. Both are JSON already."""
    return f',"inputs":{inputs},"config":{config}'


def decision_members(trace: Trace, effect: str, reason: str | None, route: str, facts: str) -> str:
    """Of a `decision`, behind its ids. `route` is JSON already, `facts` what `facts_text` made."""
    ctx, refused, permit = trace.ctx, trace.refused, trace.permit
    principal = trace.principal if refused is None else trace.proved
    device = trace.posture if refused is None else trace.device
    workload = principal.workload if principal is not None else None
    if refused is not None:
        rule, audited = refused.rule, refused.audited
    elif permit is not None:
        rule, audited = permit.rule, permit.audited
    else:
        rule, audited = None, ()
    shadows = trace.shadows
    if ctx is not None:
        method, host = ctx.method, quote(ctx.host)
        client = address_text(ctx.client_ip)
        path = ctx.path
    else:  # refused before it could be read: what the head held, as far as it goes
        method, host = trace.head.method[:_LONGEST_METHOD], "null"
        client = address_text(trace.connection.peer_ip)
        path = trace.head.target.partition(b"?")[0].decode("latin-1")
    return (  # conditions in place of `quote_or_null`: the usual request would pay for five calls that say null
        f',"effect":"{effect}","reason":{"null" if reason is None else quote(reason)},"mode":"enforce"'
        f',"listener":{quote(trace.connection.listener)},"route":{route}'
        f',"rule":{"null" if rule is None else quote(rule)}'
        f',"shadow":{_shadows(shadows) if shadows else "[]"}'
        f"{_audited(audited) if audited else ''}"
        f',"user":{_user(principal.user if principal is not None else None)}'
        f',"workload":{"null" if workload is None else quote(workload.id)}'
        f',"device":{"null" if device is None else quote(device.device)}'
        f',"client_ip":"{client}","method":{quote(method)},"host":{host},"path":{quote(path[:LONGEST_PATH])}{facts}'
    )


def ending(outcome: Outcome) -> tuple[str, str]:
    """The members of an `outcome` before its duration, from the upstream on, and those behind; kept with it."""
    reason, cause = outcome.reason, outcome.cause
    before = (
        f',"upstream":{quote_or_null(outcome.upstream)},"endpoint":{quote_or_null(outcome.endpoint)}'
        f',"status":{outcome.status},"duration_ms":'
    )
    behind = f',"bytes_in":{outcome.bytes_in},"bytes_out":{outcome.bytes_out}'
    behind += f',"reason":{"null" if reason is None else quote(reason.code)}'
    if cause is not None:
        behind += f',"cause":{quote(cause)}'
    if outcome.attempts != 1:
        behind += f',"attempts":{outcome.attempts}'
    written = before, behind
    object.__setattr__(outcome, "written", written)  # it says what its other members say, so it is still the same noun
    return written


def _user(user: User | None) -> str:
    return "null" if user is None else _named(user.issuer, user.subject)


@lru_cache(1024)
def _named(issuer: str, subject: str) -> str:
    return f'{{"issuer":{quote(issuer)},"subject":{quote(subject)}}}'


def _shadows(shadows: tuple[Shadow, ...]) -> str:
    return (
        "["
        + ",".join(f'{{"kind":{quote(s.kind)},"name":{quote(s.name)},"effect":"{s.effect.value}"}}' for s in shadows)
        + "]"
    )


def _audited(rules: tuple[str, ...]) -> str:
    return f',"audited":[{",".join(map(quote, rules))}]'
