"""Requests that ask to leave HTTP: only WebSockets, only on routes that take them (RFC 6455, security rules H27, H28).

Rule: a handshake is judged as the request that it is; a token among its subprotocols counts as one in Authorization.
Invariant: such a token stands in no header that a rule, a record or a backend sees.
"""

import base64
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace

from gateway.model.noun import noun
from gateway.model.reason import Reason
from gateway.model.refused import Refused
from gateway.model.request import RequestContext, RequestHead, UpgradeHead
from gateway.model.route import Route
from gateway.model.trace import Trace
from gateway.stages.accept.accept import Accept, ListenerSettings
from gateway.stages.accept.trace_context import TakeTrace, trace_context

_PROTOCOL = "sec-websocket-protocol"
_TOKEN = frozenset("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
_ENCODED = "base64url."  # of Kubernetes: base64url.bearer.authorization.k8s.io.TOKEN
_ANY = "*"


@noun
class WebSockets:
    """What one route says of WebSockets."""

    origins: frozenset[str]  # whose pages may open one; empty: only pages of the host itself; `*`: all
    token_subprotocol: str | None  # the subprotocol under which a token may come; None: none may


class AcceptUpgrades(Accept):
    """The stage, where some route takes WebSockets."""

    def __init__(
        self,
        listeners: Mapping[str, ListenerSettings],
        max_body: Mapping[int, int | None],
        pseudonym: str,
        websockets: Mapping[int, WebSockets],
        route: Callable[[RequestContext], Route],
        take_trace: TakeTrace = trace_context,
    ) -> None:
        """`websockets`: by route index; `route`: the route stage, which says whose settings a token is read by."""
        super().__init__(listeners, max_body, pseudonym, take_trace)
        self._websockets = dict(websockets)
        self._route = route

    def __call__(self, trace: Trace) -> RequestContext:
        """Raises Refused, as Accept; BAD_REQUEST for a subprotocol that is none."""
        ctx = super().__call__(trace)
        if type(ctx.head) is not UpgradeHead or _PROTOCOL not in ctx.values:
            return ctx
        offered = _offered(ctx.values[_PROTOCOL])
        values = {**ctx.values, _PROTOCOL: offered}
        settings = self._websockets.get(self._route(ctx).index)
        if settings is not None and settings.token_subprotocol is not None:
            values[_PROTOCOL], token = take_token(offered, settings.token_subprotocol)
            if token is not None:  # beside an Authorization field it is one credential too many
                values["authorization"] = (*values.get("authorization", ()), f"Bearer {token}")
        return replace(ctx, values=values)

    def body(self, ctx: RequestContext, route: Route) -> None:
        """Raises Refused: BODY_TOO_LARGE; UPGRADE_REFUSED or CORS_REFUSED for a handshake."""
        if type(ctx.head) is not UpgradeHead:
            super().body(ctx, route)
            return
        settings = self._websockets.get(route.index)
        if settings is None:
            raise Refused(Reason.UPGRADE_REFUSED, "the route takes no WebSockets", where=route.where)
        _judge_origin(ctx, route, settings.origins)

    def _judge_upgrade(self, head: RequestHead) -> None:
        """A handshake that is in order is judged by its route."""
        if type(head) is not UpgradeHead:
            super()._judge_upgrade(head)


def _judge_origin(ctx: RequestContext, route: Route, origins: Collection[str]) -> None:
    """Browsers open WebSockets across origins unasked, with the user's certificate and cookies (section 10.2)."""
    sent = ctx.values.get("origin", ())
    if not sent or _ANY in origins:
        return
    if len(sent) != 1:
        raise Refused(Reason.BAD_REQUEST, "more than one Origin")
    if sent[0] not in origins and (origins or sent[0] != f"{ctx.scheme}://{ctx.authority}".lower()):
        raise Refused(Reason.CORS_REFUSED, "the origin is not listed", where=route.where)


def _offered(fields: tuple[str, ...]) -> tuple[str, ...]:
    """The subprotocols, one by one. Raises Refused(BAD_REQUEST)."""
    offered = tuple(name.strip(" \t") for name in ",".join(fields).split(","))
    if not all(offered) or not all(_TOKEN.issuperset(name) for name in offered):
        raise Refused(Reason.BAD_REQUEST, "a subprotocol is no token")
    return offered


def take_token(offered: tuple[str, ...], name: str) -> tuple[tuple[str, ...], str | None]:
    """What is left of the subprotocols, and the token among them: `NAME, TOKEN`, or `NAME.TOKEN` in one.

    Under a name that begins with `base64url.` the token is encoded. "" stands for a token that is missing or
    unreadable, or of which there are two; None where none was meant.
    """
    rest: list[str] = []
    found: list[str] = []
    entries = iter(offered)
    for entry in entries:
        if entry == name:
            found.append(next(entries, ""))
        elif entry.startswith(name + "."):
            found.append(entry[len(name) + 1 :])
        else:
            rest.append(entry)
    if not found:
        return offered, None
    token = found[0] if len(found) == 1 else ""
    return tuple(rest), _decoded(token) if name.startswith(_ENCODED) else token


def _decoded(text: str) -> str:
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True).decode("ascii")
    except ValueError:
        return ""
