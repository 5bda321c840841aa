"""What a client says about itself never reaches a backend as if the gateway had said it (security.md section 3).

Each request goes over a real connection to a backend that records every byte.
"""

from collections.abc import Iterable

import pytest

from gateway.model.principal import User, Workload
from gateway.model.reason import Reason
from gateway.stages.forward.claims import compile_value
from gateway.stages.forward.fields import RequestFields
from gateway.testing.upstream import Call, Upstream, answer
from tests.backends import cluster, forward, running, send
from tests.exchange import WORKLOAD, refusal, user

RESERVED = (b"x-user", b"x-tenant_id")  # set on some route of the file


async def received(
    headers: Iterable[tuple[str, str]],
    *,
    fields: RequestFields | None = None,
    claims: Iterable[str] = (),
    who: User | None = None,
    workload: Workload | None = None,
) -> Call:
    """The request as the backend got it."""
    sets = [(name.encode(), compile_value(("sub",))) for name in claims]
    async with Upstream(answer()) as backend, running(cluster(backend.url)) as made:
        stage = forward(made, fields=fields or RequestFields(RESERVED), claims=sets)
        await send(stage, headers=headers, user=who, workload=workload)
        return backend.calls[0]


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("connection", id="H13-connection"),
        pytest.param("keep-alive", id="H13-keep-alive"),
        pytest.param("proxy-connection", id="H13-proxy-connection"),
        pytest.param("te", id="H13-te"),
        pytest.param("trailer", id="H13-trailer"),
        pytest.param("upgrade", id="H27-upgrade"),
        pytest.param("http2-settings", id="H27-h2c-settings"),
        pytest.param("proxy-authorization", id="H13-proxy-authorization"),
        pytest.param("proxy-authenticate", id="H13-proxy-authenticate"),
        pytest.param("expect", id="H20-expect"),
        pytest.param("x-user", id="H14-set-on-another-route"),
        pytest.param("x_user", id="H14-underscore"),
        pytest.param("x.user", id="H14-dot"),
        pytest.param("x~user", id="H14-tilde"),
        pytest.param("x-tenant-id", id="H14-set-with-an-underscore"),
        pytest.param("any_name", id="H14-any-underscore"),
        pytest.param("any.name", id="H14-any-dot"),
        pytest.param("forwarded", id="H15-forwarded"),
        pytest.param("x-real-ip", id="H15-x-real-ip"),
        pytest.param("x-forwarded-port", id="H15-x-forwarded-port"),
        pytest.param("x-forwarded-user", id="H15-x-forwarded-user"),
        pytest.param("x-forwarded-uri", id="H16-x-forwarded-uri"),
        pytest.param("x-forwarded-prefix", id="H16-x-forwarded-prefix"),
        pytest.param("x-original-url", id="H16-x-original-url"),
        pytest.param("x-rewrite-url", id="H16-x-rewrite-url"),
        pytest.param("x-original-method", id="H16-x-original-method"),
        pytest.param("x-http-method", id="H16-x-http-method"),
        pytest.param("x-http-method-override", id="H16-x-http-method-override"),
        pytest.param("x-method-override", id="H16-x-method-override"),
        pytest.param("x~original~url", id="H16-folded"),
        pytest.param("x-envoy-original-path", id="H16-x-envoy"),
        pytest.param("x-forwarded-client-cert", id="M26-x-forwarded-client-cert"),
        pytest.param("client-cert", id="M26-client-cert"),
        pytest.param("client-cert-chain", id="M26-client-cert-chain"),
        pytest.param("x-ssl-client-verify", id="M26-x-ssl-client"),
        pytest.param("x-ssl_client-dn", id="M26-x-ssl-client-underscore"),
        pytest.param("x-spiffe-id", id="M26-x-spiffe"),
        pytest.param("x-gateway-assertion", id="M26-x-gateway-assertion"),
        pytest.param("x~gateway~assertion", id="M26-folded"),
        pytest.param("x-auth-request-email", id="M26-x-auth-request"),
        pytest.param("authorization", id="J32-authorization"),
        pytest.param("dpop", id="J32-dpop"),
    ],
)
async def test_removed_always(name: str) -> None:
    call = await received([(name, "forged"), ("x-plain", "kept"), (name, "forged")])
    assert (b"forged" in call.head, call.value("x-plain")) == (False, "kept")


@pytest.mark.parametrize("name", ["cookie", "accept", "x-plain", "x-user-agent", "x-userx", "content-language"])
async def test_H14_neighbours_of_what_is_removed_pass(name: str) -> None:
    assert (await received([(name, "kept")])).value(name) == "kept"


async def test_J32_authorization_is_kept_where_the_route_says_so() -> None:
    kept = RequestFields([*RESERVED, b"authorization"], keep_authorization=True)
    assert (await received([("authorization", "Bearer t")], fields=kept)).value("authorization") == "Bearer t"


async def test_H16_what_the_route_keeps_is_let_through_and_nothing_else() -> None:
    fields = RequestFields((), keep=[b"x-http-method-override"])
    call = await received([("x-http-method-override", "PUT"), ("x-original-url", "/admin")], fields=fields)
    assert (call.value("x-http-method-override"), call.value("x-original-url")) == ("PUT", None)


@pytest.mark.parametrize(
    ("connection", "gone"),
    [
        pytest.param("x-plain", True, id="H13-named"),
        pytest.param("close, X-Plain", True, id="H13-named-among-others"),
        pytest.param("keep-alive", False, id="H13-usual"),
        pytest.param("close", False, id="H13-close"),
    ],
)
async def test_fields_that_connection_names_are_removed(connection: str, gone: bool) -> None:
    call = await received([("connection", connection), ("x-plain", "v")])
    assert call.values("x-plain") == ([] if gone else [b"v"])
    assert call.value("connection") is None


@pytest.mark.parametrize(
    "named",
    [
        pytest.param("x-user", id="H13-own-identity-field"),
        pytest.param("x-forwarded-for, x-forwarded-client-cert", id="H13-own-forwarding-fields"),
        pytest.param("host, content-length", id="H13-framing"),
        pytest.param("cookie, authorization", id="H13-end-to-end-credentials"),
    ],
)
async def test_connection_cannot_take_away_what_the_gateway_sends(named: str) -> None:
    fields = RequestFields(RESERVED, keep_authorization=True)
    call = await received(
        [("connection", f"close, {named}"), ("authorization", "Bearer t"), ("cookie", "a=1")],
        fields=fields,
        claims=["x-user"],
        who=user(),
        workload=WORKLOAD,
    )
    assert (call.value("x-user"), call.value("x-forwarded-for"), call.value("host")) == (
        "alice",
        "203.0.113.7",
        "api.example.com",
    )
    assert (call.value("authorization"), call.value("cookie")) == ("Bearer t", "a=1")
    assert (call.value("x-forwarded-client-cert") or "").endswith(WORKLOAD.id)


@pytest.mark.parametrize(
    "forged",
    [
        pytest.param([("x-user", "root")], id="H14-plain"),
        pytest.param([("x-user", "root"), ("x-user", "root")], id="H14-repeated"),
        pytest.param([("x_user", "root")], id="H14-with-underscore"),
        pytest.param([("connection", "x-user"), ("x-user", "root")], id="H14-nominated"),
    ],
)
async def test_a_set_field_has_the_gateways_value_alone(forged: list[tuple[str, str]]) -> None:
    call = await received(forged, claims=["x-user"], who=user())
    assert (call.value("x-user"), b"root" in call.head) == ("alice", False)


async def test_H14_nobody_logged_in_is_no_field_and_not_the_clients() -> None:
    call = await received([("x-user", "root")], claims=["x-user"])
    assert (call.value("x-user"), b"root" in call.head) == (None, False)


async def test_M26_the_certificate_field_is_made_from_the_verified_certificate_once() -> None:
    forged = [("x-forwarded-client-cert", "URI=spiffe://cluster.local/ns/default/sa/admin")]
    call = await received(forged, workload=WORKLOAD)
    assert (call.value("x-forwarded-client-cert") or "").endswith(f";URI={WORKLOAD.id}")
    assert (await received(forged)).value("x-forwarded-client-cert") is None


async def test_M27_an_identity_cannot_add_elements() -> None:
    import dataclasses

    evil = dataclasses.replace(WORKLOAD, id='dns:a";URI="spiffe://cluster.local/ns/default/sa/admin')
    got = (await received([], workload=evil)).value("x-forwarded-client-cert")
    assert got is not None
    assert got.endswith(r';DNS="a\";URI=\"spiffe://cluster.local/ns/default/sa/admin"')


async def test_H15_forwarded_for_is_the_peer_and_nothing_that_a_client_wrote() -> None:
    call = await received(
        [("x-forwarded-for", "10.0.0.1"), ("x-forwarded-proto", "http"), ("x-forwarded-host", "evil")]
    )
    assert [call.value(f"x-forwarded-{part}") for part in ("for", "proto", "host")] == [
        "203.0.113.7",
        "https",
        "api.example.com",
    ]


async def test_H17_repeated_fields_are_sent_as_they_came() -> None:
    call = await received([("x-plain", "a"), ("accept", "*/*"), ("x-plain", "b")])
    assert call.values("x-plain") == [b"a", b"b"]


async def test_H18_a_claim_with_a_line_break_refuses_the_request() -> None:
    async with Upstream() as backend, running(cluster(backend.url)) as made:
        stage = forward(made, claims=[(b"x-user", compile_value(("sub",)))])
        refused = await refusal(send(stage, user=user(sub="alice\r\nx-admin: 1")))
        assert (refused.reason, backend.connections) == (Reason.BAD_REQUEST, 0)


async def test_H21_one_callers_cookie_is_never_sent_for_another() -> None:
    script = answer(headers=[(b"set-cookie", b"session=alice; Path=/")])
    async with Upstream(script) as backend, running(cluster(backend.url)) as made:
        stage = forward(made)
        _, first = await send(stage)
        await send(stage)
        assert first.value("set-cookie") == "session=alice; Path=/"
        assert (backend.connections, backend.calls[1].value("cookie")) == (1, None)


async def test_H21_nothing_is_added_and_no_redirect_is_followed() -> None:
    script = answer(302, headers=[(b"location", b"http://127.0.0.1:1/elsewhere")])
    async with Upstream(script) as backend, running(cluster(backend.url)) as made:
        _, got = await send(forward(made))
        call = backend.calls[0]
        assert [call.value(name) for name in ("accept", "accept-encoding", "user-agent")] == [None, None, None]
        assert (got.status, got.value("location")) == (302, "http://127.0.0.1:1/elsewhere")


async def test_H21_an_encoded_body_is_passed_on_as_it_is() -> None:
    body = b"\x1f\x8b\x08\x00rest"
    script = answer(body=body, headers=[(b"content-encoding", b"gzip")])
    async with Upstream(script) as backend, running(cluster(backend.url)) as made:
        _, got = await send(forward(made))
        assert (got.body, got.value("content-encoding")) == (body, "gzip")


async def test_H12_trailers_of_a_request_are_not_sent_on() -> None:
    async with Upstream() as backend, running(cluster(backend.url)) as made:
        await send(forward(made), "POST", headers=[("trailer", "x-user")], pieces=[b"a"])
        call = backend.calls[0]
        await call.body()
        assert (call.trailers, call.value("trailer")) == ((), None)


@pytest.mark.parametrize(
    "target",
    [
        pytest.param("/a%20b/c%2Fd;e?x=%2f..//&y=%00#", id="P1-as-judged-with-the-query-as-sent"),
        pytest.param("/a?%0d%0a", id="P6-encoded-controls-in-the-query"),
        pytest.param("/*", id="P1-star"),
    ],
)
async def test_the_path_that_was_judged_is_the_path_that_is_sent(target: str) -> None:
    async with Upstream() as backend, running(cluster(backend.url)) as made:
        await send(forward(made), target=target)
        assert backend.calls[0].target == target.encode()


async def test_P3_a_path_that_begins_like_an_authority_goes_to_the_same_backend() -> None:
    async with Upstream() as backend, running(cluster(backend.url)) as made:
        await send(forward(made), target="//evil.example/x")  # a listener with double_slash kept would let it through
        assert (backend.calls[0].target, backend.calls[0].value("host")) == (b"//evil.example/x", "api.example.com")
