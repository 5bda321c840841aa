"""Handshakes are judged by their route, and a token among their subprotocols becomes a credential and nothing else."""

import base64
from typing import Any

import pytest

from gateway.kernel.framing import judge
from gateway.kernel.patterns.paths import compile_normaliser
from gateway.model.reason import Reason
from gateway.model.refused import Refused
from gateway.model.request import RequestContext, RequestHead, UpgradeHead
from gateway.model.route import Route
from gateway.stages.accept import Accept, AcceptUpgrades, ListenerSettings, WebSockets
from gateway.stages.accept.upgrade import take_token
from tests.facts import trace

LISTENERS = {"edge": ListenerSettings(compile_normaliser(), None, None, 10)}
ROUTE, OTHER = Route("chat", 0, False, None, ""), Route("other", 1, False, None, "")
KUBERNETES = "base64url.bearer.authorization.k8s.io"
ENCODED = base64.urlsafe_b64encode(b"a.b.c>?").decode().rstrip("=")


def handshake(*fields: tuple[str, str]) -> RequestHead:
    asks = [("upgrade", "websocket"), ("connection", "Upgrade"), ("sec-websocket-version", "13")]
    named = {name for name, _ in fields}
    asks = [(n, v) for n, v in asks if n not in named] + [("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")]
    raw = [(n.encode(), v.encode()) for n, v in (("host", "api.example.com"), *asks, *fields)]
    head = judge("GET", b"/chat", "1.1", raw).head
    assert type(head) is UpgradeHead, head.fault
    return head


def accepted(head: RequestHead, route: Route = ROUTE, token: str | None = "bearer", **values: Any) -> RequestContext:
    """Through the stage and its route's judgement. Raises Refused."""
    settings = WebSockets(frozenset(values.get("origins", ())), token)
    stage = AcceptUpgrades(LISTENERS, {}, "gateway-test", {0: settings}, lambda _: route)
    ctx = stage(trace(head))
    stage.body(ctx, route)
    return ctx


def refusal(head: RequestHead, **values: Any) -> Reason:
    with pytest.raises(Refused) as refused:
        accepted(head, **values)
    return refused.value.reason


def test_a_handshake_on_its_route_is_a_request_like_any() -> None:
    assert accepted(handshake()).path == "/chat"


def test_H27_a_route_that_takes_none_refuses_it() -> None:
    assert refusal(handshake(), route=OTHER) is Reason.UPGRADE_REFUSED


def test_H27_where_no_route_takes_any_it_is_refused_before_it_has_one() -> None:
    with pytest.raises(Refused) as refused:
        Accept(LISTENERS, {}, "gateway-test")(trace(handshake()))
    assert refused.value.reason is Reason.UPGRADE_REFUSED


def test_H27_what_is_no_handshake_is_refused_also_where_the_driver_did_not_judge_it() -> None:
    raw = [(b"host", b"a"), (b"upgrade", b"websocket"), (b"connection", b"upgrade")]
    assert refusal(RequestHead("GET", b"/", "1.1", raw, None, False)) is Reason.UPGRADE_REFUSED


def test_other_requests_are_judged_as_ever() -> None:
    head = RequestHead("POST", b"/", "1.1", [(b"host", b"a")], 11, True)
    assert refusal(head) is Reason.BODY_TOO_LARGE


ORIGINS = [
    pytest.param("https://app.example.com", ("https://app.example.com",), True, id="H28-listed"),
    pytest.param("https://app.example.com:8443", ("https://app.example.com",), False, id="H28-other-port"),
    pytest.param("http://app.example.com", ("https://app.example.com",), False, id="H28-other-scheme"),
    pytest.param("https://app.example.com.evil.example", ("https://app.example.com",), False, id="H28-suffix"),
    pytest.param("https://evil.example", ("https://app.example.com",), False, id="H28-not-listed"),
    pytest.param("https://api.example.com", ("https://app.example.com",), False, id="H28-own-host-not-listed"),
    pytest.param("null", ("https://app.example.com",), False, id="H28-null"),
    pytest.param("", ("https://app.example.com",), False, id="H28-empty"),
    pytest.param("https://evil.example", ("*",), True, id="H28-any"),
    pytest.param("https://api.example.com", (), True, id="H28-own-host"),
    pytest.param("https://evil.example", (), False, id="H28-another-host"),
    pytest.param("http://api.example.com", (), False, id="H28-own-host-by-http"),
]


@pytest.mark.parametrize(("origin", "origins", "good"), ORIGINS)
def test_an_origin_is_compared_whole(origin: str, origins: tuple[str, ...], good: bool) -> None:
    head = handshake(("origin", origin))
    if good:
        accepted(head, origins=origins)
    else:
        assert refusal(head, origins=origins) is Reason.CORS_REFUSED


def test_H28_who_names_no_origin_is_no_browser() -> None:
    accepted(handshake(), origins=("https://app.example.com",))


def test_H28_two_origins_are_none() -> None:
    head = handshake(("origin", "https://app.example.com"), ("origin", "https://evil.example"))
    assert refusal(head, origins=("https://app.example.com",)) is Reason.BAD_REQUEST


def test_a_token_among_the_subprotocols_is_a_credential_and_stands_nowhere_else() -> None:
    ctx = accepted(handshake(("sec-websocket-protocol", "chat.v1, bearer, a.b.c, chat.v2")))
    assert ctx.values["authorization"] == ("Bearer a.b.c",)
    assert ctx.values["sec-websocket-protocol"] == ("chat.v1", "chat.v2")


def test_without_the_setting_it_is_a_subprotocol_like_any() -> None:
    ctx = accepted(handshake(("sec-websocket-protocol", "bearer, a.b.c")), token=None)
    assert "authorization" not in ctx.values
    assert ctx.values["sec-websocket-protocol"] == ("bearer", "a.b.c")


def test_beside_an_authorization_field_it_is_one_credential_too_many() -> None:
    head = handshake(("authorization", "Bearer x"), ("sec-websocket-protocol", "bearer, a.b.c"))
    assert accepted(head).values["authorization"] == ("Bearer x", "Bearer a.b.c")  # which authenticate refuses


@pytest.mark.parametrize("value", ["", "a,,b", "a b", 'a, "b"', "a;b", "a/b"])
def test_a_subprotocol_that_is_no_token_is_refused(value: str) -> None:
    assert refusal(handshake(("sec-websocket-protocol", value))) is Reason.BAD_REQUEST


@pytest.mark.parametrize(
    ("offered", "name", "rest", "token"),
    [
        (("bearer", "t"), "bearer", (), "t"),
        (("a", "bearer", "t", "b"), "bearer", ("a", "b"), "t"),
        (("bearer.t.u.v", "b"), "bearer", ("b",), "t.u.v"),
        (("a", "b"), "bearer", ("a", "b"), None),
        (("bearers", "t"), "bearer", ("bearers", "t"), None),
        (("Bearer", "t"), "bearer", ("Bearer", "t"), None),
        (("a", "bearer"), "bearer", ("a",), ""),
        (("bearer", "t", "bearer", "u"), "bearer", (), ""),
        (("bearer.t", "bearer", "u"), "bearer", (), ""),
        ((f"{KUBERNETES}.{ENCODED}", "base64.binary.k8s.io"), KUBERNETES, ("base64.binary.k8s.io",), "a.b.c>?"),
        ((f"{KUBERNETES}.!", "b"), KUBERNETES, ("b",), ""),
        ((f"{KUBERNETES}.4pi6", "b"), KUBERNETES, ("b",), ""),
    ],
)
def test_how_a_token_is_found(offered: tuple[str, ...], name: str, rest: tuple[str, ...], token: str | None) -> None:
    assert take_token(offered, name) == (rest, token)
