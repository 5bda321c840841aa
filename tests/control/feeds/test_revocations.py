"""The feed of revocations: at once here, soon everywhere, and nothing is forgotten because a store is down."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from gateway.control.feeds.revocation_logs import FileLog
from gateway.control.feeds.revocations import RevocationFeed
from gateway.kernel.store import StoreUnavailable
from gateway.model.reason import Reason
from gateway.model.refused import Refused
from gateway.stages.authenticate.revoked import Revocation, RevokedTokens
from gateway.testing.clock import Clock
from gateway.testing.wait import until
from tests.control.feeds.test_revocation_logs import CLOCK, NOW, event, revocation


class Failing(FileLog):
    """A log that can be out of reach."""

    down = False

    async def read(self) -> list[Revocation]:
        if self.down:
            raise StoreUnavailable("down")
        return await super().read()

    async def append(self, revocations: Sequence[Revocation], event: str, life: float, now: float) -> bool:
        if self.down:
            raise StoreUnavailable("down")
        return await super().append(revocations, event, life, now)


def feed(folder: Path, clock: Clock = CLOCK) -> RevocationFeed:
    return RevocationFeed(RevokedTokens(), Failing(folder, clock), clock=clock)


async def test_what_one_process_ends_the_others_know_soon_and_itself_at_once(tmp_path: Path) -> None:
    one, other = feed(tmp_path), feed(tmp_path)
    for each in (one, other):
        each.start()
        await each.tried()
        assert each.tokens.known
    assert await one.end([revocation(1)], event(1), 60)
    assert len(one.tokens) == 1
    await until(lambda: len(other.tokens) == 1, what="the other to know")
    assert not await other.end([revocation(2)], event(1), 60)  # the same event again
    assert len(other.tokens) == 1
    await one.close()
    await other.close()
    later = feed(tmp_path)
    later.start()
    await later.tried()
    assert len(later.tokens) == 1
    await later.close()


async def test_while_the_log_is_down_what_is_known_stays_and_what_comes_holds_here(tmp_path: Path) -> None:
    held = feed(tmp_path)
    held.start()
    await held.tried()
    await held.end([revocation(1)], event(1), 60)
    assert isinstance(held.shared, Failing)
    held.shared.down = True
    await until(lambda: held.trouble is not None, what="the feed to notice")
    assert (held.tokens.known, len(held.tokens)) == (True, 1)
    with pytest.raises(Refused) as refused:
        await held.end([revocation(2)], event(2), 60)
    assert refused.value.reason is Reason.STORE_UNAVAILABLE
    assert len(held.tokens) == 2  # here it holds, though it was not acknowledged
    held.shared.down = False
    await until(lambda: held.trouble is None, what="the feed to go on")
    assert await held.end([revocation(2)], event(2), 60)  # the issuer tries again, and all know
    await held.close()


async def test_a_log_that_was_never_read_leaves_the_list_unknown(tmp_path: Path) -> None:
    held = feed(tmp_path)
    assert isinstance(held.shared, Failing)
    held.shared.down = True
    held.start()
    await held.tried()
    assert not held.tokens.known
    held.shared.down = False
    await until(lambda: held.tokens.known, what="the list")
    await held.close()


async def test_what_is_over_is_dropped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.control.feeds.revocations._SWEEP", 1)
    clock = Clock(NOW)
    held = feed(tmp_path, clock)
    held.start()
    await held.end([revocation(1)], event(1), 60)
    clock.now += 7200
    await until(lambda: not len(held.tokens), what="it to be dropped")
    await held.close()
