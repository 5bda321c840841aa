"""Made-up connections and heads are as a client would make them."""

from pathlib import Path

import pytest

from gateway.control.evidence import CannotJudge
from gateway.control.made_up import Url, choose_listener, make_connection, make_head, parse_url
from gateway.model.reason import Reason
from gateway.model.request import UpgradeHead
from tests.control.policy_config import config

ROUTES = "- {name: r, match: {paths: [/r], listeners: [edge]}, public: true, respond: {}}"
LISTENERS = """
plain: {address: "127.0.0.1:8080"}
away: {address: "127.0.0.1:80", redirect: https}
none:
  address: "127.0.0.1:8444"
  tls:
    certificates: [{certificate: edge.pem, key: edge.key}, {certificate: other.pem, key: other.key}]
    client_certificate: none
"""


@pytest.mark.parametrize(
    ("url", "parsed", "port"),
    [
        ("https://a.example/x?y", Url("https", "a.example", "/x?y"), 443),
        ("HTTP://a.example:81", Url("http", "a.example:81", "/"), 81),
        ("https://a.example?y#z", Url("https", "a.example", "/?y#z"), 443),
        ("/x//y", Url(None, "localhost", "/x//y"), None),
        ("https://u@a/x", Url("https", "u@a", "/x"), 443),
    ],
)
def test_a_url_is_taken_as_written(url: str, parsed: Url, port: int | None) -> None:
    assert parse_url(url) == parsed
    assert parsed.port == port


@pytest.mark.parametrize("url", ["x", "ftp://a/x", "", "a.example/x"])
def test_what_is_no_url_says_what_to_write(url: str) -> None:
    with pytest.raises(CannotJudge, match="write one like"):
        parse_url(url)


def test_the_listener_is_the_named_one_else_by_port_else_by_scheme(tmp_path: Path) -> None:
    loaded = config(tmp_path, routes=ROUTES, listeners=LISTENERS)

    def chosen(url: str, named: str | None = None) -> str:
        return choose_listener(loaded, parse_url(url), named).name

    assert chosen("https://a/x") == "edge"
    assert chosen("https://a:8444/x") == "none"
    assert chosen("http://a/x") == "plain"
    assert chosen("/x") == "edge"
    assert chosen("https://a:8444/x", "plain") == "plain"
    for named, says in (("nowhere", "no listener is named"), ("away", "redirects")):
        with pytest.raises(CannotJudge, match=says):
            chosen("/x", named)


def test_a_connection_carries_what_its_listener_would_see(tmp_path: Path) -> None:
    listeners = config(tmp_path, routes=ROUTES, listeners=LISTENERS).listeners
    edge = make_connection(listeners["edge"], "API.example.com:8443", chain=(b"x",)).tls
    assert edge is not None
    assert (edge.sni, edge.served, edge.chain) == ("api.example.com", 0, (b"x",))
    none = make_connection(listeners["none"], "other.example", chain=(b"x",)).tls
    assert none is not None
    assert (none.sni, none.served, none.chain) == ("other.example", 1, ())
    to_address = make_connection(listeners["edge"], "127.0.0.1").tls
    assert to_address is not None
    assert to_address.sni is None
    assert make_connection(listeners["plain"], "a").tls is None


def test_a_host_among_the_headers_takes_the_urls_place() -> None:
    head = make_head("GET", parse_url("https://a/x"), [("Host", "b"), ("X-A", "ü")])
    assert head.headers == [(b"host", b"b"), (b"x-a", "ü".encode())]
    assert make_head("GET", parse_url("https://a/x"), []).headers == [(b"host", b"a")]


def test_an_upgrade_becomes_a_whole_handshake_and_one_that_cannot_be_is_refused() -> None:
    url = parse_url("https://api.example.com/chat")
    asked = make_head("GET", url, [("Upgrade", "websocket"), ("Sec-WebSocket-Protocol", "chat")])
    assert type(asked) is UpgradeHead
    assert (asked.fault, (b"sec-websocket-protocol", b"chat") in asked.headers) == (None, True)
    assert make_head("POST", url, [("Upgrade", "websocket")]).fault is Reason.UPGRADE_REFUSED
    assert make_head("GET", url, [("upgrade", "h2c")]).fault is Reason.UPGRADE_REFUSED
