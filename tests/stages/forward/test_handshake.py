"""What asks a backend to leave HTTP, and what counts as its answer. Hostile ones: tests/attacks/test_websockets.py."""

import pytest

from gateway.model.reason import Reason
from gateway.model.refused import Refused
from gateway.stages.forward.handshake import asking, verified
from gateway.stages.forward.streams import AuthorityEnded
from tests.exchange import context, head

KEY = ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
SWITCHED = [
    (b"Upgrade", b"WebSocket"),
    (b"Connection", b"keep-alive, upgrade "),
    (b"sec-websocket-accept", b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
]


def test_the_head_of_a_request_asks_besides() -> None:
    raw = b"GET /a HTTP/1.1\r\nhost: a\r\n\r\n"
    asked = b"GET /a HTTP/1.1\r\nhost: a\r\nconnection: Upgrade\r\nupgrade: websocket\r\n"
    assert asking(raw, context(head(headers=[KEY]))) == asked + b"\r\n"
    offering = context(head(headers=[KEY, ("sec-websocket-protocol", "a"), ("sec-websocket-protocol", "b")]))
    assert asking(raw, offering) == asked + b"sec-websocket-protocol: a, b\r\n\r\n"


def test_an_answer_in_order_passes_without_its_length_and_subprotocol() -> None:
    more = [(b"Content-Length", b"0"), (b"Sec-WebSocket-Protocol", b"a"), (b"X-A", b"a")]
    assert verified([*SWITCHED, *more], context(head(headers=[KEY]))) == [*SWITCHED, (b"X-A", b"a")]


@pytest.mark.parametrize(
    ("chosen", "good"),
    [
        (b"permessage-deflate", True),
        (b"permessage-deflate; server_no_context_takeover, x-a", True),
        (b"x-b", False),
        (b"permessage-deflate, x-b; a=1", False),
    ],
)
def test_only_extensions_that_were_offered_are_used(chosen: bytes, good: bool) -> None:
    offered = ("sec-websocket-extensions", "permessage-deflate; client_max_window_bits, X-A")
    fields = [*SWITCHED, (b"Sec-WebSocket-Extensions", chosen)]
    if good:
        assert verified(fields, context(head(headers=[KEY, offered]))) == fields
    else:
        with pytest.raises(Refused) as refused:
            verified(fields, context(head(headers=[KEY, offered])))
        assert refused.value.reason is Reason.UPSTREAM_PROTOCOL


def test_what_ended_a_stream_is_kept_beside_that_it_ended() -> None:
    ended = AuthorityEnded(Refused(Reason.TOKEN_REVOKED, "by its issuer"))
    assert (ended.reason, ended.cause, ended.detail) == (Reason.AUTHORITY_ENDED, Reason.TOKEN_REVOKED, "by its issuer")
