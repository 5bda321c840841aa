import pytest

from gateway.model.json import JSON
from gateway.stages.posture import compile_device
from tests.facts import principal, user, workload

WEB = principal(workload("spiffe://cluster.local/ns/default/sa/web"))


def test_a_certificate_names_a_device() -> None:
    assert compile_device("certificate.fingerprint")(WEB) == "f"
    assert compile_device("certificate.uri")(WEB) == "spiffe://cluster.local/ns/default/sa/web"
    assert compile_device("certificate.uri")(principal(workload("dns:a.example"))) is None
    assert compile_device("certificate.uri")(principal()) is None
    assert compile_device("certificate.fingerprint")(principal()) is None


@pytest.mark.parametrize(
    ("claim", "device"),
    [
        ("laptop-1", "laptop-1"),
        ("a/b", "a/b"),
        ("x" * 256, "x" * 256),
        ("x" * 257, None),
        ("ä" * 129, None),
        ("", None),
        (".", None),
        ("..", None),
        (1, None),
        (["laptop-1"], None),
        (None, None),
    ],
)
def test_a_claim_names_a_device_if_a_segment_can_hold_it(claim: JSON, device: str | None) -> None:
    assert compile_device("claims.device_id")(principal(None, user(device_id=claim))) == device


@pytest.mark.parametrize("text", ["", "claims.", "certificate", "header.x-device", "certificate.serial"])
def test_nothing_else_names_a_device(text: str) -> None:
    with pytest.raises(ValueError, match=r"certificate\.fingerprint, certificate\.uri or claims\.NAME"):
        compile_device(text)
