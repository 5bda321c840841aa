"""Nonces without a memory."""

from gateway.stages.authenticate.bindings.nonces import PERIOD, Nonces

KEY = b"k" * 32


def test_two_workers_with_one_key_give_and_take_the_same_nonces() -> None:
    one, other = Nonces(KEY), Nonces(KEY)
    assert other.good(one.current(1000.0), 1000.0)
    assert one.current(1000.0) == other.current(1000.0)
    assert not Nonces(b"x" * 32).good(one.current(1000.0), 1000.0)


def test_a_nonce_is_good_for_one_period_at_least_and_two_at_most() -> None:
    nonces = Nonces(KEY)
    given = 10 * PERIOD + 1.0
    nonce = nonces.current(given)
    assert nonces.good(nonce, given + PERIOD)
    assert nonces.good(nonce, 12 * PERIOD - 0.5)
    assert not nonces.good(nonce, 12 * PERIOD)
    assert not nonces.good(nonce, 10 * PERIOD - 0.5)
    assert nonces.current(given + PERIOD) != nonce


def test_a_nonce_needs_no_quoting() -> None:
    nonce = Nonces(KEY).current(0.0)
    assert len(nonce) == 24
    assert nonce.replace("-", "").replace("_", "").isalnum()
