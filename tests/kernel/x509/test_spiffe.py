"""SPIFFE ids, against the public vectors."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from gateway.kernel.x509.spiffe import parse_leaf_id, parse_spiffe_id, parse_trust_domain
from tests.conformance import vectors


def cases(file: str, *groups: str) -> list[Any]:
    held = json.loads(vectors(f"spiffe/{file}").read_text())
    return [case for group in groups for case in held[group]]


def refuses(parse: Callable[[str], object], text: str) -> bool:
    try:
        parse(text)
    except ValueError:
        return True
    return False


def test_M3_every_id_of_the_vectors_is_judged_as_they_say() -> None:
    judged = cases("spiffe_id_cases.json", "from_go_spiffe", "from_spec")
    assert len(judged) > 500
    for case in judged:
        if not case["valid"]:
            assert refuses(parse_spiffe_id, case["input"]), case
            continue
        parsed = parse_spiffe_id(case["input"])
        assert parsed.id == case["input"]
        assert parsed.trust_domain == case.get("trust_domain", parsed.trust_domain)
        assert parsed.path == case.get("path", parsed.path)


def test_M9_every_trust_domain_of_the_vectors_is_judged_as_they_say() -> None:
    judged = cases("trust_domain_cases.json", "cases")
    assert len(judged) > 200
    for case in judged:
        if case["valid"]:
            assert parse_trust_domain(case["input"]) == case["name"]
            continue
        assert refuses(parse_trust_domain, case["input"]), case


def test_path_segments_of_the_vectors() -> None:
    for case in cases("path_segment_cases.json", "cases"):
        text = "spiffe://td" + "".join(f"/{segment}" for segment in case["segments"])
        if case["valid"]:
            assert parse_spiffe_id(text).id == text
        else:
            assert refuses(parse_spiffe_id, text), case


def test_M4_only_an_id_with_a_path_is_a_peers() -> None:
    for case in cases("spiffe_id_cases.json", "leaf_rule"):
        parse_spiffe_id(case["input"])
        if case["valid_as_leaf_identity"]:
            parse_leaf_id(case["input"])
        else:
            with pytest.raises(ValueError, match="without a path"):
                parse_leaf_id(case["input"])


@pytest.mark.parametrize(
    ("path", "namespace", "account"),
    [
        ("/ns/default/sa/web", "default", "web"),
        ("/ns/default/sa", None, None),
        ("/ns/default/sa/web/extra", None, None),
        ("/NS/default/sa/web", None, None),
        ("/a", None, None),
    ],
)
def test_namespace_and_service_account(path: str, namespace: str | None, account: str | None) -> None:
    parsed = parse_spiffe_id(f"spiffe://td{path}")
    assert (parsed.namespace, parsed.service_account) == (namespace, account)


def test_no_message_holds_the_input() -> None:
    for text in ("spiffe://td/se cret", "spiffe://secr$t/a", "secret://td/a"):
        with pytest.raises(ValueError, match=r".+") as refused:
            parse_spiffe_id(text)
        assert "secr" not in str(refused.value)
        assert "se cret" not in str(refused.value)
