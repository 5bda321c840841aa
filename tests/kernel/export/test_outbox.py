"""Never waits, never grows, tries again: the outbox."""

import logging
import threading
import time
from collections import Counter
from collections.abc import Generator

import pytest

from gateway.kernel.export import Outbox, Rejected, Told
from gateway.testing.wait import wait_for


class Side:
    """The other side: takes batches while it is open and up."""

    def __init__(self) -> None:
        self.taken: list[list[int]] = []
        self.tries = 0
        self.open = threading.Event()
        self.open.set()
        self.trouble: Exception | None = None
        self.part = False  # one is taken before the trouble
        self.counts: Counter[str] = Counter()
        self.ups: list[float] = []

    def __call__(self, batch: list[int]) -> None:
        self.tries += 1
        self.open.wait(10)
        if self.part and len(batch) > 1:
            self.taken.append([batch.pop(0)])
        if self.trouble is not None:
            raise self.trouble
        self.taken.append(batch)

    @property
    def items(self) -> list[int]:
        return [item for batch in self.taken for item in batch]

    def told(self) -> Told:
        def count(name: str, amount: float) -> None:
            self.counts[name] += int(amount)

        return Told(
            self.ups.append,
            lambda n: count("delivered", n),
            lambda n: count("dropped", n),
            lambda n: count("rejected", n),
        )


@pytest.fixture
def side() -> Generator[Side]:
    made = Side()
    yield made
    made.open.set()


def outbox(side: Side, capacity: int = 4, batch: int = 2) -> "Outbox[int]":
    return Outbox("logs", side, side.told(), capacity=capacity, batch=batch)


def test_items_are_delivered_in_order_and_in_batches(side: Side) -> None:
    box = outbox(side, capacity=9)
    for item in range(5):
        assert box.offer([item])
    box.start()
    wait_for(lambda: len(side.taken) == 3)
    assert side.taken == [[0, 1], [2, 3], [4]]
    assert box.offer([5])
    wait_for(lambda: side.taken[-1] == [5])
    box.close()
    assert side.counts == {"delivered": 6, "dropped": 0}
    assert set(side.ups) == {1}


def test_a_slow_side_costs_the_newest_and_never_time(side: Side, caplog: pytest.LogCaptureFixture) -> None:
    side.open.clear()
    box = outbox(side)
    box.start()
    assert box.offer([0])
    wait_for(lambda: side.tries == 1)
    began = time.monotonic()
    assert [box.offer([item]) for item in range(1, 8)] == [True] * 4 + [False] * 3
    assert time.monotonic() - began < 0.5
    assert box.room == 0
    side.open.set()
    wait_for(lambda: side.items == [0, 1, 2, 3, 4])
    assert box.room == 4
    box.close()
    assert side.counts == {"delivered": 5, "dropped": 3}
    assert [record.levelno for record in caplog.records] == [logging.WARNING]  # of three, one is told


def test_what_could_not_be_sent_is_sent_later_with_one_warning(side: Side, caplog: pytest.LogCaptureFixture) -> None:
    side.trouble = ConnectionRefusedError(111, "Connection refused")
    box = outbox(side)
    box.start()
    box.offer([1])
    wait_for(lambda: side.tries >= 3)
    box.offer([2])
    side.trouble = None
    wait_for(lambda: side.items == [1, 2])
    box.close()
    assert [record.getMessage() for record in caplog.records] == [
        "logs: cannot send: Connection refused; tried again until it can",
        "logs: sends again",
    ]
    assert side.ups[0] == 1
    assert side.ups[1] == 0
    assert side.ups[-1] == 1


def test_what_the_other_side_will_never_take_is_given_up(side: Side) -> None:
    side.trouble = Rejected("the collector answered 400")
    box = outbox(side)
    box.start()
    box.offer([1])
    wait_for(lambda: side.counts["rejected"] == 1)
    side.trouble = None
    box.offer([2])
    wait_for(lambda: side.taken == [[2]])
    box.close()


def test_closing_sends_what_waits(side: Side) -> None:
    box = outbox(side)
    box.offer([1])
    box.offer([2])
    box.offer([3])
    box.start()
    box.close()
    assert side.items == [1, 2, 3]


def test_closing_gives_up_on_a_side_that_is_down_and_says_how_many_were_lost(side: Side) -> None:
    side.trouble = ConnectionRefusedError(111, "Connection refused")
    box = outbox(side)
    box.start()
    for item in range(3):
        box.offer([item])
    wait_for(lambda: side.tries)
    began = time.monotonic()
    box.close(patience=0.3)
    assert time.monotonic() - began < 5
    assert side.counts == {"dropped": 3, "delivered": 0}


def test_an_outbox_that_was_never_started_closes(side: Side) -> None:
    box = outbox(side)
    box.offer([1])
    box.close()
    assert side.counts == {"dropped": 1}


def test_what_was_taken_before_the_trouble_is_not_sent_again(side: Side) -> None:
    side.trouble, side.part = ConnectionResetError(104, "reset"), True
    box = outbox(side)
    box.offer([1, 2])
    box.start()
    wait_for(lambda: side.tries >= 2)
    side.trouble = None
    wait_for(lambda: side.counts["delivered"] == 2)
    assert side.items == [1, 2]
    box.close()


def test_of_several_at_once_as_many_are_taken_as_there_is_room_for(side: Side) -> None:
    box = outbox(side)
    assert not box.offer([1, 2, 3, 4, 5, 6])
    assert not box.offer([7])
    assert side.counts == {"dropped": 3}
    box.start()
    box.close()
    assert side.items == [1, 2, 3, 4]


def test_only_a_small_batch_is_waited_for_to_grow(side: Side) -> None:
    box = Outbox("logs", side, side.told(), capacity=100, batch=2, gather=3600)
    box.offer(list(range(40)))
    box.start()
    wait_for(lambda: len(side.items) == 40)
    box.offer([40])
    box.close()
    assert side.items == list(range(41))
    assert len(side.taken) == 21
