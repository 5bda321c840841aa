"""Protobuf's wire format, read by hand: as the official messages write it, and as nobody should."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from spiffe._proto import workload_pb2

from gateway.control.feeds.workload_messages import read_bundles, read_svids

_bytes = st.binary(max_size=400)


@given(st.lists(st.tuples(st.text(max_size=40), _bytes, _bytes, _bytes, st.text(max_size=20)), max_size=4), _bytes)
def test_what_the_official_messages_write_is_read(held: list[tuple[str, bytes, bytes, bytes, str]], crl: bytes) -> None:
    answer = workload_pb2.X509SVIDResponse(
        svids=[
            workload_pb2.X509SVID(spiffe_id=uri, x509_svid=chain, x509_svid_key=key, bundle=bundle, hint=hint)
            for uri, chain, key, bundle, hint in held
        ],
        crl=[crl],
        federated_bundles={"spiffe://other.example": crl},
    )
    read = read_svids(answer.SerializeToString())
    assert [(one.spiffe_id, one.certificates, one.key, one.bundle, one.hint) for one in read] == held


@given(st.dictionaries(st.text(max_size=40), _bytes, max_size=5))
def test_so_are_bundles(held: dict[str, bytes]) -> None:
    answer = workload_pb2.X509BundlesResponse(crl=[b"x"], bundles=held)
    assert read_bundles(answer.SerializeToString()) == held


def test_M23_a_message_that_is_shown_shows_no_key() -> None:
    svid = workload_pb2.X509SVID(spiffe_id="a", x509_svid_key=b"hunter2")
    assert "hunter2" not in repr(read_svids(workload_pb2.X509SVIDResponse(svids=[svid]).SerializeToString()))


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(b"\x0a\x05abc", id="cut-off"),
        pytest.param(b"\x0a", id="no-length"),
        pytest.param(b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", id="endless-number"),
        pytest.param(b"\x0b\x00", id="group"),
        pytest.param(b"\x0f", id="unknown-kind"),
        pytest.param(b"\x09abc", id="fixed-cut-off"),
        pytest.param(b"\x0a\x03\x0a\x01\xff", id="no-text"),
    ],
)
def test_what_is_no_message_is_refused(answer: bytes) -> None:
    with pytest.raises(ValueError, match="answer"):
        read_svids(answer)


@given(st.binary(max_size=200))
def test_no_bytes_do_anything_worse_than_be_refused(answer: bytes) -> None:
    for read in (read_svids, read_bundles):
        with contextlib.suppress(ValueError):
            read(answer)


def test_fields_of_later_versions_are_passed_over() -> None:
    known = workload_pb2.X509BundlesResponse(bundles={"a": b"b"}).SerializeToString()
    assert read_bundles(b"\x50\x01" + b"\x59" + b"x" * 8 + b"\x5d" + b"x" * 4 + b"\x62\x01y" + known) == {"a": b"b"}
