"""Routes that the gateway answers by itself: `respond`, `redirect`, a preflight.

Rule: built once, the same bytes for everybody.
Invariant: nothing of the request stands in the answer.
"""

from collections.abc import Callable

from gateway.model.exchange import Exchange
from gateway.model.outcome import Outcome
from gateway.model.permit import Permit
from gateway.model.request import RawHeaders

_NO_CONTENT = frozenset({204, 304})


class LocalAnswer:
    """One fixed answer."""

    def __init__(self, status: int, body: bytes = b"", headers: RawHeaders | None = None) -> None:
        """`headers` without Content-Length."""
        self._status = status
        self._body = b"" if status in _NO_CONTENT else body
        self._headers: RawHeaders = list(headers or ())
        if status not in _NO_CONTENT:
            self._headers.append((b"content-length", b"%d" % len(body)))

    async def __call__(self, permit: Permit, exchange: Exchange, answer_headers: RawHeaders) -> Outcome:
        headers = self._headers + answer_headers
        if exchange.head.has_body:
            headers.append((b"connection", b"close"))  # it is left unread
        body = b"" if exchange.head.method == "HEAD" else self._body
        await exchange.send_head(self._status, headers, body, end=True)
        return Outcome(self._status, None, None, 0, len(body))


class LiveAnswer:
    """An answer whose body is asked for each time: what is published and changes while the config does not."""

    def __init__(self, body: Callable[[], bytes], headers: RawHeaders) -> None:
        """`headers` without Content-Length."""
        self._body = body
        self._headers = headers

    async def __call__(self, permit: Permit, exchange: Exchange, answer_headers: RawHeaders) -> Outcome:
        return await LocalAnswer(200, self._body(), self._headers)(permit, exchange, answer_headers)


def respond(status: int, body: str, headers: RawHeaders) -> LocalAnswer:
    """`respond:`; text unless `headers` name another type."""
    fields = list(headers)
    if body and all(name != b"content-type" for name, _ in fields):
        fields.append((b"content-type", b"text/plain; charset=utf-8"))
    return LocalAnswer(status, body.encode(), fields)


def redirect(to: str, status: int, headers: RawHeaders) -> LocalAnswer:
    """`redirect:`. Raises ValueError when `to` is no URL reference in visible ASCII."""
    if not to.isascii() or not to.isprintable() or " " in to:
        raise ValueError(f"redirect to {to!r}: write a URL, percent-encoded where it is not plain ASCII")
    return LocalAnswer(status, b"", [(b"location", to.encode("ascii")), *headers])
