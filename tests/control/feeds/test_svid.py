"""An answer of the Workload API is taken whole or not at all."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from spiffe._proto import workload_pb2

from gateway.control.feeds.svid import choose_svid, judge_bundles
from gateway.testing.ca import Authority
from tests.workload_agent import OWN, bundles, svid, svids

ROOT, OTHER = Authority("cluster.local"), Authority("cluster.local")
GOOD = ROOT.issue(uri=OWN)
LATER = "spiffe://cluster.local/ns/gateway/sa/later"
Message = workload_pb2.X509SVID


def test_the_first_is_chosen_and_so_is_a_hint() -> None:
    below = ROOT.intermediate()
    answer = svids(svid(GOOD, [ROOT]), svid(below.issue(uri=LATER), [OTHER, ROOT], LATER, hint="b"))
    first, hinted = (choose_svid(answer, hint, time.time()) for hint in (None, "b"))
    assert (first.id, hinted.id) == (OWN, LATER)
    assert first.certificates == GOOD.pem()
    assert first.key == GOOD.key_pem()
    assert hinted.certificates.count(b"BEGIN CERTIFICATE") == 2
    assert first.ends == GOOD.cert.not_valid_after_utc.timestamp()
    assert "PRIVATE KEY" not in repr(first)
    with pytest.raises(ValueError, match="hint"):
        choose_svid(answer, "c", time.time())


def expired() -> Message:
    return svid(ROOT.issue(uri=OWN, not_after=datetime.now(UTC) - timedelta(minutes=1)), [ROOT])


@pytest.mark.parametrize(
    ("make", "why"),
    [
        pytest.param(lambda: svid(GOOD, [OTHER]), "does not vouch", id="M6-another-root"),
        pytest.param(lambda: svid(GOOD, []), "does not vouch", id="M7-no-root"),
        pytest.param(expired, "has expired", id="expired"),
        pytest.param(lambda: svid(GOOD, [ROOT], LATER), "another id", id="another-id"),
        pytest.param(lambda: svid(ROOT.issue(uris=[OWN, LATER]), [ROOT]), "more than one URI", id="M2-two-ids"),
        pytest.param(lambda: svid(ROOT.issue(dns=["a"]), [ROOT], ""), "another id", id="no-id"),
        pytest.param(lambda: svid(ROOT.issue(uri="spiffe://cluster.local"), [ROOT]), "without a path", id="M4-no-path"),
        pytest.param(lambda: svid(ROOT.issue(uri=OWN, is_ca=True), [ROOT]), "CA:TRUE", id="M5-ca"),
        pytest.param(lambda: svid(GOOD, [ROOT], key=b"x"), "cannot be read", id="M23-no-key"),
        pytest.param(
            lambda: svid(GOOD, [ROOT], key=svid(ROOT.issue(uri=OWN), [ROOT]).x509_svid_key),
            "not that of its certificate",
            id="M23-another-key",
        ),
        pytest.param(lambda: Message(spiffe_id=OWN), "no certificate", id="empty"),
        pytest.param(lambda: Message(spiffe_id=OWN, x509_svid=GOOD.der[:-1]), "cut off", id="cut-off"),
        pytest.param(lambda: Message(spiffe_id=OWN, x509_svid=b"\x30\x80"), "cannot be read", id="no-length"),
        pytest.param(lambda: Message(spiffe_id=OWN, x509_svid=b"\x30\x03abc"), "cannot be read", id="no-certificate"),
    ],
)
def test_one_that_does_not_hold_refuses_the_whole_answer(make: Callable[[], Message], why: str) -> None:
    bad = make()
    for answer in (svids(bad), svids(svid(GOOD, [ROOT]), bad)):
        with pytest.raises(ValueError, match=why):
            choose_svid(answer, None, time.time())


def test_an_answer_without_an_identity_is_none() -> None:
    with pytest.raises(ValueError, match="no SVID"):
        choose_svid(b"", None, time.time())


def test_bundles_are_read_by_trust_domain() -> None:
    held = judge_bundles(bundles(cluster_local=[ROOT, OTHER], other_example=[]))
    assert held == {"cluster.local": (ROOT.certificate, OTHER.certificate), "other.example": ()}


@pytest.mark.parametrize(("name", "data"), [("spiffe://UPPER", ROOT.der), ("spiffe://a", ROOT.der + b"x")])
def test_bundles_that_cannot_be_read_are_refused_whole(name: str, data: bytes) -> None:
    answer = workload_pb2.X509BundlesResponse(bundles={"spiffe://cluster.local": ROOT.der, name: data})
    with pytest.raises(ValueError):
        judge_bundles(answer.SerializeToString())
