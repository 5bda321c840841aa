"""How the addresses of logouts and events answer; what they take and end is in the tests of events and attacks."""

from pathlib import Path

import pytest

from gateway.control.receivers import Failures, LogoutDialect, SignalDialect
from gateway.model.exchange import ClientGone
from gateway.model.reason import Reason
from gateway.model.refused import Refused
from tests.control.receiving import FORM, members, receiving
from tests.exchange import Recorder, head, permit
from tests.facts import context


async def test_every_reason_has_an_answer_in_the_words_of_the_protocol() -> None:
    errors = {"invalid_request", "invalid_key", "invalid_issuer", "invalid_audience"}
    for reason in Reason:
        assert SignalDialect().error(reason)["err"] in errors
        assert LogoutDialect().error(reason)["error"] == "invalid_request"
    assert SignalDialect().repeated() is None
    assert LogoutDialect().repeated() is not None


async def test_an_answer_is_in_one_language_and_never_stored(tmp_path: Path) -> None:
    async with receiving(tmp_path) as held:
        answer = await held.signal("x")
        assert answer.value("content-language") == "en"
        assert answer.value("cache-control") == "no-store"
        assert set(members(answer)) == {"err", "description"}


async def test_a_body_in_pieces_is_one(tmp_path: Path) -> None:
    async with receiving(tmp_path) as held:
        sent = head("POST", "/x", [("content-type", FORM)], chunked=True)
        body = f"logout_token={held.logout_token()}".encode()
        exchange = Recorder(sent).give(body[:10], body[10:], b"")
        ctx = context("/x", method="POST", headers={"content-type": (FORM,)})
        await held.logout(permit(ctx, index=-1), exchange, [(b"x-request-id", b"r")])
        assert (exchange.status, exchange.value("x-request-id")) == (200, "r")


async def test_a_client_that_goes_away_has_sent_nothing(tmp_path: Path) -> None:
    async with receiving(tmp_path) as held:
        sent = head("POST", "/x", [("content-type", FORM)], length=100)
        exchange = Recorder(sent)
        exchange.leave()
        with pytest.raises(ClientGone):
            await held.logout(permit(context("/x"), index=-1), exchange, [])
        assert len(held.feed.tokens) == 0


def test_failures_are_counted_by_network_and_forgotten_in_a_calm_minute() -> None:
    failures = Failures()
    client = context("/").client_ip
    for second in range(30):
        failures.check(client, float(second))
        failures.count(client, float(second))
    with pytest.raises(Refused):
        failures.check(client, 30.0)
    failures.check(client, 29.0 + 60.0)
