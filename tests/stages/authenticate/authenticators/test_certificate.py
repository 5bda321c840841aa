"""The verdicts that are remembered, and what ends them."""

import time
from typing import Any

import pytest

from gateway.kernel.x509 import identity
from gateway.model.refused import Refused
from gateway.stages.authenticate.authenticators import certificate
from gateway.stages.authenticate.authenticators.certificate import CertificateAuthenticator
from gateway.testing.ca import Authority
from tests.stages.authenticate.asking import Held, trust

AUTHORITY = Authority("cluster.local")
NOW = time.time()


@pytest.fixture
def judged(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Every chain that was really judged."""
    seen: list[Any] = []
    real = identity.prove_client

    def counting(chain: Any, trust: Any, now: float) -> Any:
        seen.append(chain)
        return real(chain, trust, now)

    monkeypatch.setattr(certificate, "prove_client", counting)
    return seen


def issue() -> tuple[bytes, ...]:
    return AUTHORITY.issue(uri="spiffe://cluster.local/a").ders


def test_a_chain_is_judged_once(judged: list[Any]) -> None:
    authenticator = CertificateAuthenticator(Held(trust(AUTHORITY)))
    chain = issue()
    first = authenticator.judge(chain, NOW)
    assert authenticator.judge(tuple(bytes(part) for part in chain), NOW + 1) is first
    assert len(judged) == 1


def test_M16_new_trust_judges_again(judged: list[Any]) -> None:
    source = Held(trust(AUTHORITY))
    authenticator = CertificateAuthenticator(source)
    chain = issue()
    authenticator.judge(chain, NOW)
    source.current = trust(AUTHORITY)
    authenticator.judge(chain, NOW)
    assert len(judged) == 2


def test_the_same_leaf_with_other_company_is_judged_apart(judged: list[Any]) -> None:
    authenticator = CertificateAuthenticator(Held(trust(AUTHORITY)))
    below = AUTHORITY.intermediate().issue(uri="spiffe://cluster.local/a")
    with pytest.raises(Refused):
        authenticator.judge((below.der,), NOW)
    authenticator.judge(below.ders, NOW)
    with pytest.raises(Refused):
        authenticator.judge((below.der,), NOW)
    assert len(judged) == 3


def test_the_oldest_makes_room_and_refused_ones_take_none(judged: list[Any]) -> None:
    authenticator = CertificateAuthenticator(Held(trust(AUTHORITY)), capacity=2)
    chains = [issue() for _ in range(3)]
    stranger = Authority("cluster.local").issue(uri="spiffe://cluster.local/a").ders
    for chain in chains:
        authenticator.judge(chain, NOW)
    with pytest.raises(Refused):
        authenticator.judge(stranger, NOW)
    judged.clear()
    authenticator.judge(chains[2], NOW)
    authenticator.judge(chains[1], NOW)
    assert judged == []
    authenticator.judge(chains[0], NOW)
    assert len(judged) == 1
