"""One judge of framing, whichever server carried the head."""

import pytest

from gateway.kernel.framing import judge, names_token
from gateway.model.reason import Reason
from gateway.model.request import RawHeaders, RequestHead, UpgradeHead

HOST = (b"host", b"a")


def fault(*fields: tuple[bytes, bytes], method: str = "POST", version: str = "1.1") -> Reason | None:
    return judge(method, b"/", version, [HOST, *fields]).head.fault


@pytest.mark.parametrize("value", [b"", b"+1", b"-1", b"1 ", b"0x1", b"1,1", b"1.0", b"\xb2", b"9" * 19])
def test_H3_a_length_is_digits_and_fits(value: bytes) -> None:
    assert fault((b"content-length", value)) is Reason.AMBIGUOUS_FRAMING


def test_H3_a_length_at_the_bound_is_taken() -> None:
    head = judge("POST", b"/", "1.1", [HOST, (b"content-length", b"9" * 18)]).head
    assert (head.fault, head.content_length, head.has_body) == (None, int("9" * 18), True)


def test_H1_length_and_chunks_exclude_each_other_in_either_order() -> None:
    length, chunks = (b"content-length", b"1"), (b"transfer-encoding", b"chunked")
    assert fault(length, chunks) is fault(chunks, length) is Reason.AMBIGUOUS_FRAMING
    assert fault(chunks) is fault(length) is None


def test_a_chunked_body_has_no_length() -> None:
    head = judge("POST", b"/", "1.1", [HOST, (b"transfer-encoding", b"Chunked")]).head
    assert (head.content_length, head.has_body) == (None, True)


@pytest.mark.parametrize("version", ["1.0", "2"])
def test_H2_only_http11_has_transfer_codings(version: str) -> None:
    assert fault((b"transfer-encoding", b"chunked"), version=version) is Reason.AMBIGUOUS_FRAMING


def test_H2_a_http2_body_needs_no_length() -> None:
    assert judge("POST", b"/", "2", [HOST]).head.has_body
    assert not judge("POST", b"/", "1.1", [HOST]).head.has_body


@pytest.mark.parametrize(
    ("hosts", "version", "good"),
    [(1, "1.1", True), (0, "1.1", False), (2, "1.1", False), (0, "1.0", True), (2, "1.0", False)],
)
def test_H6_exactly_one_host(hosts: int, version: str, good: bool) -> None:
    headers: RawHeaders = [HOST] * hosts
    assert (judge("GET", b"/", version, headers).head.fault is None) is good


def test_the_gravest_fault_is_told() -> None:
    upgrade, twice = (b"upgrade", b"foo"), (b"content-length", b"x")
    assert fault(upgrade) is Reason.UPGRADE_REFUSED
    assert fault(upgrade, HOST) is Reason.BAD_REQUEST
    assert fault(upgrade, HOST, twice) is Reason.AMBIGUOUS_FRAMING
    assert fault(upgrade, method="CONNECT") is Reason.METHOD_NOT_ALLOWED


WEBSOCKET = [
    HOST,
    (b"upgrade", b"websocket"),
    (b"connection", b"keep-alive, Upgrade"),
    (b"sec-websocket-version", b"13"),
    (b"sec-websocket-key", b"dGhlIHNhbXBsZSBub25jZQ=="),
]


def changed(name: bytes, *values: bytes) -> RawHeaders:
    """The handshake with a field changed, left out or repeated."""
    return [field for field in WEBSOCKET if field[0] != name] + [(name, value) for value in values]


def test_the_opening_handshake_of_a_websocket_is_an_upgrade_in_order() -> None:
    framing = judge("GET", b"/", "1.1", WEBSOCKET)
    assert type(framing.head) is UpgradeHead
    assert (framing.head.fault, framing.head.has_body, framing.persistent, framing.expects) == (None,) + (False,) * 3
    assert type(judge("GET", b"/", "1.1", changed(b"upgrade", b"WebSocket")).head) is UpgradeHead


@pytest.mark.parametrize(
    ("headers", "method", "version"),
    [
        pytest.param(WEBSOCKET, "POST", "1.1", id="H27-method"),
        pytest.param(WEBSOCKET, "GET", "1.0", id="H27-http-1.0"),
        pytest.param(changed(b"upgrade", b"h2c"), "GET", "1.1", id="H27-h2c"),
        pytest.param(changed(b"upgrade", b"websocket, h2c"), "GET", "1.1", id="H27-two-protocols"),
        pytest.param(changed(b"upgrade", b"websocket", b"h2c"), "GET", "1.1", id="H27-two-upgrades"),
        pytest.param(changed(b"upgrade", b""), "GET", "1.1", id="H27-empty"),
        pytest.param(changed(b"connection"), "GET", "1.1", id="H27-not-nominated"),
        pytest.param(changed(b"connection", b"keep-alive"), "GET", "1.1", id="H27-nominates-another"),
        pytest.param(changed(b"sec-websocket-version"), "GET", "1.1", id="H27-no-version"),
        pytest.param(changed(b"sec-websocket-version", b"8"), "GET", "1.1", id="H27-old-version"),
        pytest.param(changed(b"sec-websocket-version", b"13", b"13"), "GET", "1.1", id="H27-two-versions"),
        pytest.param(changed(b"sec-websocket-key"), "GET", "1.1", id="H27-no-key"),
        pytest.param(changed(b"sec-websocket-key", b"c2hvcnQ="), "GET", "1.1", id="H27-short-key"),
        pytest.param(changed(b"sec-websocket-key", b"!" * 24), "GET", "1.1", id="H27-key-not-base64"),
        pytest.param([*WEBSOCKET, WEBSOCKET[-1]], "GET", "1.1", id="H27-two-keys"),
        pytest.param([*WEBSOCKET, (b"content-length", b"5")], "GET", "1.1", id="H27-length"),
        pytest.param([*WEBSOCKET, (b"content-length", b"0")], "GET", "1.1", id="H27-length-0"),
        pytest.param([*WEBSOCKET, (b"transfer-encoding", b"chunked")], "GET", "1.1", id="H27-chunked"),
        pytest.param([*WEBSOCKET, (b"expect", b"100-continue")], "GET", "1.1", id="H27-expect"),
    ],
)
def test_a_handshake_that_is_not_in_order_is_refused(headers: RawHeaders, method: str, version: str) -> None:
    framing = judge(method, b"/", version, headers)
    assert framing.head.fault is Reason.UPGRADE_REFUSED
    assert type(framing.head) is RequestHead


@pytest.mark.parametrize(
    ("value", "version", "persistent"),
    [
        (b"keep-alive", "1.1", True),
        (b"Close", "1.1", False),
        (b"x-a,  close ", "1.1", False),
        (b"closed", "1.1", True),
        (b"keep-alive", "1.0", False),
    ],
)
def test_connection_close_is_a_token(value: bytes, version: str, persistent: bool) -> None:
    assert judge("GET", b"/", version, [HOST, (b"connection", value)]).persistent is persistent
    assert names_token(value, b"close") is (not persistent and version == "1.1")


def test_H20_only_http11_waits_for_100_continue() -> None:
    expect = (b"expect", b"100-Continue")
    assert judge("POST", b"/", "1.1", [HOST, expect]).expects
    assert not judge("POST", b"/", "1.0", [HOST, expect]).expects
    assert not judge("POST", b"/", "1.1", [HOST, (b"expect", b"200-ok")]).expects
