"""Facts in an extension of the client certificate."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from cryptography import x509
from cryptography.x509.oid import ObjectIdentifier

from gateway.model.request import RequestContext
from gateway.stages.posture.sources.certificate import CertificateSource, check_oid
from gateway.testing.ca import Authority
from tests.facts import NOW, connection, context, principal, workload

OID = "1.3.6.1.4.1.32473.1"
AUTHORITY = Authority("cluster.local")
SINCE = datetime.fromtimestamp(NOW - 60, UTC)


def request(octets: bytes | None) -> RequestContext:
    extension = x509.UnrecognizedExtension(ObjectIdentifier(OID), octets or b"")
    issued = AUTHORITY.issue(
        uri="spiffe://cluster.local/a",
        not_before=SINCE,
        not_after=datetime.fromtimestamp(NOW + 3600, UTC),
        extensions=[(extension, False)] if octets is not None else [],
    )
    held = connection()
    assert held.tls is not None
    return context(over=replace(held, tls=replace(held.tls, chain=issued.ders)))


CALLER = principal(workload())


def test_facts_are_as_old_as_the_certificate_or_as_they_say() -> None:
    source = CertificateSource(OID)
    found = source.of(request(b'{"encrypted": true}'), CALLER)
    assert found is not None
    assert (found.facts, found.observed) == ({"encrypted": True}, NOW - 60)
    dated = source.of(request(b'{"observed_at": 1700000000}'), CALLER)
    assert dated is not None
    assert dated.observed == 1_700_000_000.0


@pytest.mark.parametrize("octets", [None, b"", b"[]", b"no JSON", b'{"a": 1, "a": 2}'])
def test_what_cannot_be_read_is_not_there(octets: bytes | None) -> None:
    assert CertificateSource(OID).of(request(octets), CALLER) is None


def test_a_certificate_that_proved_nobody_says_nothing() -> None:
    assert CertificateSource(OID).of(request(b"{}"), principal()) is None
    assert CertificateSource(OID).of(context(), CALLER) is None


def test_a_certificate_is_read_once() -> None:
    source, asking = CertificateSource(OID), request(b"{}")
    assert source.of(asking, CALLER) is source.of(asking, CALLER)


@pytest.mark.parametrize(("text", "sound"), [(OID, True), ("2.5", True), ("1", False), ("3.1", False), ("1.02", False)])
def test_an_oid_is_numbers_in_dots(text: str, sound: bool) -> None:
    if sound:
        check_oid(text)
    else:
        with pytest.raises(ValueError, match="no object identifier"):
            check_oid(text)
