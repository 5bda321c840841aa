"""Only what a rule names is recorded, cut, and never a credential."""

import json
from typing import Any

import pytest

from gateway.model.posture import Posture
from gateway.model.principal import Principal, User
from gateway.model.trace import Trace
from gateway.stages.record import Inputs
from tests.stages.record.scene import ANONYMOUS, CONNECTION, NOW, PRINCIPAL, Asked, context, redaction


def facts(
    inputs: Inputs,
    *,
    principal: Principal | None = PRINCIPAL,
    posture: Posture | None = None,
    headers: dict[str, tuple[str, ...]] | None = None,
) -> Any:
    trace = Trace(CONNECTION, Asked().head, request_id="r", time=NOW, began=0.0)
    return json.loads(inputs.text(context(trace, values=headers or {}), principal, posture))


def test_no_rule_names_a_fact_and_nothing_is_written() -> None:
    assert facts(Inputs(redaction()), headers={"x-tenant": ("acme",)}) is None


def test_named_facts_that_are_there_are_written() -> None:
    inputs = Inputs(
        redaction(),
        headers=["X-Tenant", "x-none", "x-two"],
        claims=[("groups",), ("org", "unit"), ("gone", "x")],
        facts=["os"],
    )
    posture = Posture("laptop-1", {"os": 7, "other": True}, NOW)
    assert facts(inputs, posture=posture, headers={"x-tenant": ("acme",), "x-two": ("a", "b"), "x-other": ("no",)}) == {
        "headers": {"x-tenant": "acme", "x-two": ["a", "b"]},
        "claims": {"groups": ["a", "b"], "org.unit": "x"},
        "device": {"os": 7},
    }


def test_without_a_token_there_are_no_claims() -> None:
    assert facts(Inputs(redaction(), claims=[("groups",)]), principal=ANONYMOUS) == {}


@pytest.mark.parametrize(
    ("value", "written"),
    [("a" * 257, "a" * 256), ("é" * 200, "é" * 128), (["a" * 300], '["' + "a" * 254), ({"a": 1}, {"a": 1})],
)
def test_a_value_is_cut_at_256_bytes(value: Any, written: Any) -> None:
    user = User("i", "corp", "s", {"c": value}, NOW)
    found = facts(Inputs(redaction(), claims=[("c",)]), principal=Principal(None, user, ANONYMOUS.client_ip))
    assert found == {"claims": {"c": written}}


@pytest.mark.parametrize("name", ["authorization", "cookie", "dpop", "x-secret"])
def test_a_credential_and_what_is_redacted_is_only_an_hmac(name: str) -> None:
    inputs = Inputs(redaction(names=("X-Secret",)), headers=[name])
    (digest,) = facts(inputs, headers={name: ("Bearer hunter2",)})["headers"].values()
    assert digest.startswith("hmac-sha256:")
    assert "hunter2" not in digest
    (other,) = facts(inputs, headers={name: ("Bearer hunter3",)})["headers"].values()
    assert digest != other


def test_a_redacted_claim_hides_all_below_it() -> None:
    inputs = Inputs(redaction(names=("org",)), claims=[("org", "unit")])
    assert facts(inputs)["claims"]["org.unit"].startswith("hmac-sha256:")


def test_digests_hide_every_value_and_equal_values_look_equal() -> None:
    inputs = Inputs(redaction("digests"), headers=["x-a", "x-b"], claims=[("sub",)])
    found = facts(inputs, headers={"x-a": ("same",), "x-b": ("same",)})
    assert found["headers"]["x-a"] == found["headers"]["x-b"]
    assert found["claims"]["sub"].startswith("hmac-sha256:")
