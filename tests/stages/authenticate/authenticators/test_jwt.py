"""The verified-token cache: what it holds, for how long, and how much."""

import pytest

from gateway.model.refused import Refused
from gateway.stages.authenticate.authenticators.jwt import JwtVerifier
from gateway.stages.authenticate.credentials import sent_token
from gateway.testing.clock import Clock
from gateway.testing.issuer import Issuer
from tests.stages.authenticate.asking import NOW, Held, key_set, trusted

ISSUER = Issuer(clock=Clock(NOW))


class Counting(Held):
    """Counts how often a verification looked for a key."""

    def __init__(self) -> None:
        super().__init__(None)
        self.looked = 0
        real = key_set(ISSUER)
        outer = self

        class Watched:
            def knows(self, kid: str) -> bool:
                return real.knows(kid)

            def find(self, kid: str | None, alg: str) -> object:
                outer.looked += 1
                return real.find(kid, alg)

        self.current = Watched()


async def test_a_token_is_verified_once_in_its_minute() -> None:
    source = Counting()
    verifier = JwtVerifier([trusted(ISSUER, keys=source)])
    token = ISSUER.token()
    first = await verifier.verify(sent_token(token), NOW)
    assert await verifier.verify(sent_token(token), NOW + 59.9) is first
    assert source.looked == 1
    assert await verifier.verify(sent_token(token), NOW + 60) is not first
    assert source.looked == 2


async def test_an_entry_ends_with_its_token() -> None:
    source = Counting()
    verifier = JwtVerifier([trusted(ISSUER, keys=source, clock_skew=0.0)])
    token = ISSUER.token(exp=int(NOW) + 10)
    await verifier.verify(sent_token(token), NOW)
    with pytest.raises(Refused):
        await verifier.verify(sent_token(token), NOW + 10)


async def test_a_refused_token_takes_no_place() -> None:
    verifier = JwtVerifier([trusted(ISSUER)], capacity=2)
    good = ISSUER.token()
    held = await verifier.verify(sent_token(good), NOW)
    for n in range(20):
        with pytest.raises(Refused):
            await verifier.verify(sent_token(ISSUER.token(sign=lambda _: bytes(64), jti=str(n))), NOW)
    assert await verifier.verify(sent_token(good), NOW) is held


async def test_R9_the_oldest_makes_room() -> None:
    verifier = JwtVerifier([trusted(ISSUER)], capacity=2)
    tokens = [ISSUER.token(jti=str(n)) for n in range(3)]
    first, second, third = [await verifier.verify(sent_token(token), NOW) for token in tokens]
    assert await verifier.verify(sent_token(tokens[2]), NOW) is third
    assert await verifier.verify(sent_token(tokens[1]), NOW) is second
    assert await verifier.verify(sent_token(tokens[0]), NOW) is not first


async def test_J36_the_digest_is_of_the_whole_token() -> None:
    verifier = JwtVerifier([trusted(ISSUER)])
    token = ISSUER.token()
    await verifier.verify(sent_token(token), NOW)
    for position in range(0, len(token), 7):
        changed = token[:position] + ("A" if token[position] != "A" else "B") + token[position + 1 :]
        with pytest.raises(Refused):
            await verifier.verify(sent_token(changed), NOW)
