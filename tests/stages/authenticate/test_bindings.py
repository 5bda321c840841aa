"""Which proofs a token's `cnf` asks for, under each mode of an issuer's entry."""

from typing import Any

import pytest

from gateway.model.reason import Reason
from gateway.model.refused import Refused
from gateway.stages.authenticate.bindings import CONFIRMATIONS, required_proofs
from gateway.stages.authenticate.evidence import Possession


def asked(cnf: Any, **modes: str) -> list[str]:
    """The names of the members that must be proved; "unknown" for a binding that nobody here can check."""
    held: Any = {"x5t#S256": modes.get("mtls", "optional"), "jkt": modes.get("dpop", "optional")}
    names = {confirm: member for member, confirm in CONFIRMATIONS.items()}
    return [names.get(confirm, "unknown") for confirm, _ in required_proofs(held, cnf)]


@pytest.mark.parametrize(
    ("cnf", "modes", "expected"),
    [
        pytest.param(None, {}, [], id="unbound"),
        pytest.param({"x5t#S256": "a"}, {}, ["x5t#S256"], id="J34-certificate"),
        pytest.param({"jkt": "a"}, {}, ["jkt"], id="J34-key"),
        pytest.param({"jkt": "a", "x5t#S256": "b"}, {}, ["x5t#S256", "jkt"], id="J34-both"),
        pytest.param({"kid": "a"}, {}, ["unknown"], id="J34-unknown-alone"),
        pytest.param({}, {}, ["unknown"], id="J34-empty"),
        pytest.param({"kid": "a", "jkt": "b"}, {}, ["jkt"], id="J34-unknown-beside-known"),
        pytest.param({"x5t#S256": None}, {}, ["x5t#S256"], id="J34-null-is-still-bound"),
        pytest.param(None, {"mtls": "required"}, ["x5t#S256"], id="J34-required"),
        pytest.param({"jkt": "a"}, {"mtls": "required"}, ["x5t#S256", "jkt"], id="J34-required-besides"),
        pytest.param({"x5t#S256": "a"}, {"mtls": "off"}, [], id="J34-off"),
        pytest.param({"kid": "a"}, {"mtls": "off", "dpop": "off"}, ["unknown"], id="J34-unknown-while-off"),
    ],
)
def test_what_must_be_proved(cnf: Any, modes: dict[str, str], expected: list[str]) -> None:
    assert asked(cnf, **modes) == expected


def test_J34_no_way_to_prove_it_passes_without_a_certificate() -> None:
    for confirm in CONFIRMATIONS.values():
        with pytest.raises(Refused) as refused:
            confirm("x", Possession(None))
        assert refused.value.reason is Reason.BINDING_MISSING
