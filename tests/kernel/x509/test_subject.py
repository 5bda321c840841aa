"""Who a certificate claims to be: for people, whatever the bytes."""

import pytest

from gateway.kernel.x509.subject import claimed_subject
from gateway.testing.ca import Authority

ROOT = Authority("cluster.local")


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ({"uri": "spiffe://a/b", "dns": ["c.example"], "common_name": "d"}, "spiffe://a/b"),
        ({"dns": ["c.example"], "common_name": "d"}, "c.example"),
        ({"common_name": "d"}, "O=gateway testing,CN=d"),
        ({"uri": "spiffe://a/" + "b" * 1000}, ("spiffe://a/" + "b" * 1000)[:256]),
    ],
)
def test_the_most_telling_name_is_said(names: dict[str, object], expected: str) -> None:
    said = claimed_subject(ROOT.issue(**names).der)  # type: ignore[arg-type]
    assert sorted(said.split(",")) == sorted(expected.split(","))


@pytest.mark.parametrize("der", [b"", b"\x30", b"\x00" * 100, ROOT.der[:-5]])
def test_what_cannot_be_read_is_said_to_be_so(der: bytes) -> None:
    assert claimed_subject(der) == "a certificate that cannot be read"
