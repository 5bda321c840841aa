"""Accept: the one form in which a request is judged."""

from dataclasses import replace
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.control.build.accept import covering
from gateway.kernel.patterns.blocks import compile_blocks, parse_block
from gateway.kernel.patterns.paths import compile_normaliser
from gateway.model.reason import Reason
from gateway.model.refused import Refused
from gateway.model.request import HeaderSection, Preflight, RepeatedHead, RequestContext, RequestHead
from gateway.model.route import Route
from gateway.stages.accept import Accept, ListenerSettings
from tests.facts import NOW, connection, context, head, trace

EDGE = ListenerSettings(compile_normaliser(), None, None, 1000)
BEHIND = ListenerSettings(compile_normaliser(), compile_blocks([parse_block("10.0.0.0/8")]), None, None)
SEVERAL = ListenerSettings(
    compile_normaliser(), None, covering([("a.example",), ("b.example", "*.wild.example"), ("a.example",)]), None
)
accept = Accept({"edge": EDGE, "behind": BEHIND, "several": SEVERAL}, {1: 10, 2: None}, "gateway-me")


def reason_of(refused_head: RequestHead, **where: str) -> Reason:
    with pytest.raises(Refused) as refused:
        accept(trace(refused_head, connection(**where)))  # type: ignore[arg-type]
    return refused.value.reason


def test_a_head_becomes_a_context() -> None:
    ctx = accept(
        trace(head("/a/%7Eb?q=1", ("X-Tag", "1"), ("x-tag", "2"), ("Cookie", "\xe9"), host="API.Example.com.:8443"))
    )
    assert (ctx.method, ctx.judged_method, ctx.host, ctx.port, ctx.path, ctx.query) == (
        "GET", "GET", "api.example.com", 8443, "/a/~b", "q=1",
    )  # fmt: skip
    assert ctx.authority == "API.Example.com.:8443"
    assert ctx.header("x-tag") == ("1", "2")
    assert ctx.header("cookie") == ("\xe9",)
    assert ctx.header("absent") == ()
    assert (ctx.request_id, ctx.time, ctx.scheme, ctx.preflight) == ("own-id", NOW, "https", None)
    assert ctx.client_ip == ip_address("203.0.113.9")


def test_the_scheme_of_a_plain_connection_is_http() -> None:
    assert accept(trace(head(), replace(connection(), tls=None))).scheme == "http"


def test_a_mapped_peer_is_the_ipv4_client_that_it_is() -> None:
    assert accept(trace(head(), connection(peer="::ffff:10.1.1.1"))).client_ip == ip_address("10.1.1.1")


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        pytest.param(replace(head(), fault=Reason.HEADERS_TOO_LARGE), Reason.HEADERS_TOO_LARGE, id="H9-fault"),
        pytest.param(head(version="0.9"), Reason.BAD_REQUEST, id="H2-version-0.9"),
        pytest.param(head(version="2.0"), Reason.BAD_REQUEST, id="H2-version-2.0-on-h1"),
        pytest.param(head(method="get"), Reason.BAD_REQUEST, id="H19-method-in-lower-case"),
        pytest.param(head(method="FOO"), Reason.BAD_REQUEST, id="H19-unknown-method"),
        pytest.param(head(host=None), Reason.BAD_REQUEST, id="H6-no-host"),
        pytest.param(head(host=""), Reason.BAD_REQUEST, id="H6-empty-host"),
        pytest.param(head("/", ("host", "b")), Reason.BAD_REQUEST, id="H6-two-hosts"),
        pytest.param(head("/", ("host", "api.example.com")), Reason.BAD_REQUEST, id="H6-the-same-host-twice"),
        pytest.param(head(host="a/?x="), Reason.BAD_REQUEST, id="H6-host-with-path"),
        pytest.param(head(host="a@b"), Reason.BAD_REQUEST, id="H6-host-with-userinfo"),
        pytest.param(head(host="a, b"), Reason.BAD_REQUEST, id="H6-host-list"),
        pytest.param(head(host="a b"), Reason.BAD_REQUEST, id="H6-host-with-space"),
        pytest.param(head("http://b.example/", host=None), Reason.BAD_REQUEST, id="H6-absolute-form-without-host"),
        pytest.param(head("http://b.example/", host="a@b"), Reason.BAD_REQUEST, id="H6-absolute-form-with-bad-host"),
        pytest.param(head("http://u@b.example/"), Reason.BAD_REQUEST, id="H6-absolute-form-with-userinfo"),
        pytest.param(head("//evil/x"), Reason.AMBIGUOUS_PATH, id="P3-no-authority-from-slashes"),
        pytest.param(head("/%2e%2e/x"), Reason.AMBIGUOUS_PATH, id="P2-above-the-root"),
        pytest.param(head("/", ("expect", "200-ok")), Reason.EXPECTATION_FAILED, id="H20-another-expectation"),
        pytest.param(head("/", ("via", "1.1 gateway-me")), Reason.LOOP_DETECTED, id="H19-loop"),
        pytest.param(head("/", ("via", "1.0 a, HTTP/1.1 gateway-me (x)")), Reason.LOOP_DETECTED, id="H19-loop-in-list"),
        pytest.param(head("/", ("via", "1.0 a"), ("via", "2 gateway-me")), Reason.LOOP_DETECTED, id="H19-loop-again"),
        pytest.param(
            head("/", ("max-forwards", "0"), method="OPTIONS"), Reason.LOOP_DETECTED, id="H19-max-forwards-used-up"
        ),
        pytest.param(head("/", ("max-forwards", "9" * 5000), method="OPTIONS"), Reason.BAD_REQUEST, id="H19-digits"),
        pytest.param(head("/", ("max-forwards", "x"), method="OPTIONS"), Reason.BAD_REQUEST, id="H19-max-forwards-bad"),
    ],
)  # fmt: skip
def test_what_is_no_request_is_refused(bad: RequestHead, reason: Reason) -> None:
    assert reason_of(bad) is reason


@pytest.mark.parametrize(
    "good",
    [
        pytest.param(head("/", ("expect", "100-Continue")), id="H20-continue"),
        pytest.param(head("/", ("expect", "200-ok"), version="1.0"), id="H20-http10-knows-no-expect"),
        pytest.param(head("/", ("via", "1.1 gateway-me-too, 1.1 other")), id="H19-another-hop"),
        pytest.param(head("/", ("max-forwards", "0")), id="H19-max-forwards-is-for-options"),
        pytest.param(head("/", ("max-forwards", "3"), method="OPTIONS"), id="H19-max-forwards-left"),
        pytest.param(head("/", method="TRACE"), id="H19-trace-is-for-routing-to-refuse"),
        pytest.param(head("b.example:443", method="CONNECT", host="b.example:443"), id="H19-connect-too"),
        pytest.param(head("/", version="2"), id="H33-http2"),
        pytest.param(head(host="[::1]:8443"), id="H6-ipv6-host"),
    ],
)
def test_what_is_a_request_is_taken(good: RequestHead) -> None:
    assert accept(trace(good)).path == "/"


def test_H19_a_section_that_comes_again_is_judged_again_by_each_request() -> None:
    said = (("via", "1.0 a"), ("max-forwards", "0"), ("traceparent", f"00-{'a' * 32}-{'b' * 16}-01"))
    get = replace(head("/", *said), section=HeaderSection())
    for _ in range(2):
        assert accept(trace(get)).trace.trace_id == "a" * 32
        assert reason_of(replace(get, method="OPTIONS")) is Reason.LOOP_DETECTED
    for field, reason in (
        (("via", "1.1 gateway-me"), Reason.LOOP_DETECTED),
        (("expect", "x"), Reason.EXPECTATION_FAILED),
    ):
        again = replace(head("/", field), section=HeaderSection())
        assert [reason_of(again) for _ in range(2)] == [reason, reason]


def test_H7_absolute_form_overrides_host_everywhere() -> None:
    ctx = accept(trace(head("https://B.example:444/x?y", host="a.example")))
    assert (ctx.host, ctx.authority, ctx.port, ctx.path, ctx.query) == ("b.example", "B.example:444", 444, "/x", "y")


def test_H6_asterisk_stays_itself() -> None:
    assert accept(trace(head("*", method="OPTIONS"))).path == "*"


FORGED = (
    ("x-forwarded-for", "198.51.100.7"),
    ("x-forwarded-proto", "http"),
    ("x-forwarded-host", "evil.example"),
    ("forwarded", "for=198.51.100.8;host=evil.example"),
    ("x-real-ip", "198.51.100.9"),
    ("x-request-id", "theirs"),
)


@pytest.mark.parametrize(
    ("listener", "peer"),
    [pytest.param("edge", "10.0.0.1", id="H15-no-proxy-is-trusted-by-default"),
     pytest.param("edge", "127.0.0.1", id="H15-loopback-neither"),
     pytest.param("behind", "203.0.113.9", id="H15-unlisted-peer")],
)  # fmt: skip
def test_forged_forwarding_fields_change_nothing(listener: str, peer: str) -> None:
    ctx = accept(trace(head("/", *FORGED), connection(listener=listener, peer=peer)))
    assert (str(ctx.client_ip), ctx.scheme, ctx.host, ctx.request_id) == (peer, "https", "api.example.com", "own-id")


def test_H15_a_listed_peer_is_believed_in_three_fields_and_no_more() -> None:
    ctx = accept(trace(head("/", *FORGED), connection(listener="behind", peer="10.0.0.1")))
    assert (str(ctx.client_ip), ctx.scheme, ctx.host, ctx.request_id) == (
        "198.51.100.7", "http", "api.example.com", "theirs",
    )  # fmt: skip


@pytest.mark.parametrize(
    "field",
    [
        pytest.param(("x-original-url", "/admin"), id="H16-original-url"),
        pytest.param(("x-rewrite-url", "/admin"), id="H16-rewrite-url"),
        pytest.param(("x-forwarded-uri", "/admin"), id="H16-forwarded-uri"),
        pytest.param(("x-forwarded-prefix", "/admin"), id="H16-forwarded-prefix"),
        pytest.param(("x-envoy-original-path", "/admin"), id="H16-envoy-original-path"),
        pytest.param(("x-http-method-override", "DELETE"), id="H16-method-override"),
        pytest.param(("x-method-override", "DELETE"), id="H16-method-override-short"),
        pytest.param(("x-original-method", "DELETE"), id="H16-original-method"),
        pytest.param(("user-agent", "kube-probe/1.30"), id="H16-health-check-agent"),
    ],
)
def test_no_field_changes_what_is_judged(field: tuple[str, str]) -> None:
    ctx = accept(trace(head("/a", field), connection(listener="behind", peer="10.0.0.1")))
    assert (ctx.path, ctx.judged_method) == ("/a", "GET")


@pytest.mark.parametrize(
    ("sni", "served", "host", "misdirected"),
    [
        pytest.param("a.example", 0, "a.example", False, id="M20-same"),
        pytest.param("a.example", 0, "b.example", True, id="M20-another-entry"),
        pytest.param("b.example", 1, "A.example.:8443", True, id="M20-another-entry-in-disguise"),
        pytest.param("b.example", 1, "x.wild.example", False, id="M20-wildcard-of-the-same-entry"),
        pytest.param("a.example", 0, "x.wild.example", True, id="M20-wildcard-of-another"),
        pytest.param("a.example", 0, "x.y.wild.example", False, id="M20-a-wildcard-is-one-label"),
        pytest.param("a.example", 2, "a.example", False, id="M20-one-of-two-entries-that-cover-it"),
        pytest.param("a.example", 0, "unknown.example", False, id="M20-host-that-nothing-covers"),
        pytest.param("unknown.example", 0, "b.example", False, id="M20-sni-that-nothing-covers"),
        pytest.param(None, 0, "b.example", False, id="M20-no-sni-never"),
    ],
)
def test_sni_and_host_of_different_certificates(sni: str | None, served: int, host: str, misdirected: bool) -> None:
    over = connection(listener="several", sni=sni, served=served)
    if not misdirected:
        assert accept(trace(head(host=host), over)).path == "/"
        return
    with pytest.raises(Refused) as refused:
        accept(trace(head(host=host), over))
    assert refused.value.reason is Reason.MISDIRECTED


ORIGIN = ("origin", "https://app.example.com")
ASKS = ("access-control-request-method", "PUT")


def test_H29_a_preflight_is_an_options_that_asks() -> None:
    asked = ("access-control-request-headers", "X-A, authorization ,")
    ctx = accept(trace(head("/a", ORIGIN, ASKS, asked, method="OPTIONS")))
    assert ctx.preflight == Preflight("https://app.example.com", "PUT", ("x-a", "authorization"))
    assert (ctx.method, ctx.judged_method) == ("OPTIONS", "PUT")


@pytest.mark.parametrize(
    "plain",
    [
        pytest.param(head("/a", ORIGIN, method="OPTIONS"), id="H29-options-that-asks-nothing"),
        pytest.param(head("/a", ASKS, method="OPTIONS"), id="H29-options-without-origin"),
        pytest.param(head("/a", ORIGIN, ASKS), id="H29-get-that-asks"),
    ],
)
def test_every_other_options_is_a_request_like_any(plain: RequestHead) -> None:
    assert accept(trace(plain)).preflight is None


@pytest.mark.parametrize("repeated", [ORIGIN, ASKS], ids=["origin", "method"])
def test_H29_a_preflight_that_asks_twice_is_refused(repeated: tuple[str, str]) -> None:
    assert reason_of(head("/a", ORIGIN, ASKS, repeated, method="OPTIONS")) is Reason.BAD_REQUEST


@pytest.mark.parametrize(
    ("index", "length", "fits"),
    [(0, 1000, True), (0, 1001, False), (1, 10, True), (1, 11, False), (2, 1 << 40, True), (0, None, True)],
)
def test_a_declared_length_is_held_to_the_route_else_the_listener(index: int, length: int | None, fits: bool) -> None:
    ctx = replace(context(), head=head(content_length=length))
    route = Route("r", index, False, None, "")
    if fits:
        accept.body(ctx, route)
    else:
        with pytest.raises(Refused) as refused:
            accept.body(ctx, route)
        assert refused.value.reason is Reason.BODY_TOO_LARGE


NAMES = st.sampled_from(
    ["host", "via", "expect", "max-forwards", "traceparent", "tracestate", "x-forwarded-for", "x-forwarded-proto",
     "x-request-id", "origin", "access-control-request-method", "access-control-request-headers"]
)  # fmt: skip
FIELDS = st.lists(st.tuples(NAMES, st.one_of(st.text("a1.:[]%,; -/*", max_size=12), st.binary(max_size=8))), max_size=4)
TARGETS = st.one_of(st.binary(max_size=16), st.text("/.%2e;?#*:htp@[]", max_size=16).map(str.encode))


@given(st.sampled_from(["GET", "OPTIONS", "CONNECT"]), TARGETS, FIELDS, st.sampled_from(["edge", "behind", "several"]))
def test_H6_whatever_comes_is_a_context_or_a_refusal(
    method: str, target: bytes, fields: list[tuple[str, str | bytes]], listener: str
) -> None:
    raw = [(name.encode(), value if isinstance(value, bytes) else value.encode()) for name, value in fields]
    sent = RequestHead(method, target, "1.1", [(b"host", b"a.example"), *raw], None, False)
    came = connection(listener=listener, peer="10.0.0.1")
    found: RequestContext | Reason
    try:
        found = accept(trace(sent, came))
    except Refused as refused:
        found = refused.reason
        assert reason_of(sent, listener=listener, peer="10.0.0.1") is found  # nothing was remembered of it
    else:
        again = accept(trace(sent, came))
        assert (again.path, again.query, again.host) == (found.path, found.query, found.host)
    if isinstance(found, Reason):
        assert 400 <= found.status < 500 or found is Reason.LOOP_DETECTED
    else:
        assert found.path == "*" or found.path.startswith("/")
        assert found.host == found.host.lower()


def test_P1_a_target_is_remembered_for_its_listener_alone() -> None:
    kept = ListenerSettings(compile_normaliser(merge_slashes=True), None, None, None)
    both = Accept({"edge": EDGE, "merging": kept}, {}, "gateway-me")
    for _ in range(2):
        assert both(trace(head("/a//b"), connection(listener="merging"))).path == "/a/b"
        with pytest.raises(Refused) as refused:
            both(trace(head("/a//b"), connection(listener="edge")))
        assert refused.value.reason is Reason.AMBIGUOUS_PATH


def test_H6_a_form_whose_meaning_hangs_on_the_method_is_not_remembered() -> None:
    asterisk = replace(head("*"), method="OPTIONS")
    assert accept(trace(asterisk, connection())).path == "*"
    assert reason_of(head("*")) is Reason.BAD_REQUEST


def test_R9_a_flood_of_targets_takes_no_more_place_than_is_given() -> None:
    stage = Accept({"edge": EDGE}, {}, "gateway-me")
    for n in range(30_000):
        assert stage(trace(head(f"/{n}"), connection())).path == f"/{n}"
    stage(trace(head("/" + "a" * 5000), connection()))
    assert 0 < len(stage._targets["edge"]) <= 16_384


def test_P3_what_is_kept_of_a_head_holds_for_the_settings_alone_under_which_it_was_read() -> None:
    again = replace(head("/a//b;c"), section=HeaderSection(), again=RepeatedHead())
    merging = replace(EDGE, normalise=compile_normaliser(merge_slashes=True, keep_semicolon=True))
    others = Accept({"edge": merging, "behind": merging}, {}, "gateway-me")
    for _ in range(2):
        assert others(trace(again)).path == "/a/b;c"
        with pytest.raises(Refused) as refused:
            accept(trace(again))
        assert refused.value.reason is Reason.AMBIGUOUS_PATH
        assert others(trace(again, connection(listener="behind"))).path == "/a/b;c"


def test_M20_a_head_that_came_before_is_judged_by_each_connection_that_carries_it() -> None:
    again = replace(head(host="b.example"), section=HeaderSection(), again=RepeatedHead())
    for _ in range(2):
        own = accept(trace(again, connection(listener="several", sni="b.example", served=1)))
        assert own.host == "b.example"
        assert reason_of(again, listener="several", sni="a.example") is Reason.MISDIRECTED


def test_H15_a_head_that_came_before_is_believed_from_trusted_peers_alone() -> None:
    fields = ("X-Forwarded-For", "198.51.100.7"), ("X-Forwarded-Proto", "http")
    again = replace(head("/", *fields), section=HeaderSection(), again=RepeatedHead())
    for _ in range(2):
        trusted = accept(trace(again, connection(listener="behind", peer="10.0.0.1")))
        assert (trusted.client_ip, trusted.scheme) == (ip_address("198.51.100.7"), "http")
        other = accept(trace(again, connection(listener="behind")))
        assert (other.client_ip, other.scheme) == (ip_address("203.0.113.9"), "https")


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        pytest.param(head("/", ("Expect", "a")), Reason.EXPECTATION_FAILED, id="H13-expect"),
        pytest.param(head("/", ("Via", "1.1 gateway-me")), Reason.LOOP_DETECTED, id="H26-loop"),
        pytest.param(head("/", host=None), Reason.BAD_REQUEST, id="H6-no-host"),
        pytest.param(head("/%2e%2e/"), Reason.AMBIGUOUS_PATH, id="P3-dots"),
    ],
)
def test_a_head_that_is_refused_is_refused_each_time(bad: RequestHead, reason: Reason) -> None:
    again = replace(bad, section=HeaderSection(), again=RepeatedHead())
    assert [reason_of(again) for _ in range(3)] == [reason] * 3
