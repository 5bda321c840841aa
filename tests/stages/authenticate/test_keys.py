"""Keys against the public JOSE vectors: joserfc verifies, our reading of keys and tokens lets nothing else near it."""

import base64
import json
from typing import Any

import pytest

from gateway.kernel.strict import NotStrict, decode_base64url, parse_object
from gateway.model.refused import Refused
from gateway.stages.authenticate.jose import take_apart
from gateway.stages.authenticate.keys import ALGORITHMS, parse_key_set
from gateway.testing.issuer import Issuer, SigningKey, base64url
from tests.conformance import vectors
from tests.stages.authenticate.asking import key_set


def groups(file: str) -> list[Any]:
    held: list[Any] = json.loads(vectors(f"jose/{file}").read_text())["testGroups"]
    return held


def public(group: Any) -> Any:
    """The group's keys as a provider would publish them: without what is private."""
    held = group.get("public") or group["private"]
    private = ("d", "p", "q", "dp", "dq", "qi")
    return [{name: jwk[name] for name in jwk if name not in private} for jwk in held.get("keys", [held])]


def accepts(jwks: Any, jws: str) -> bool:
    """Would a key of the set verify these segments? The vectors' payloads are no claims: the signature counts."""
    try:
        keys = parse_key_set(json.dumps({"keys": jwks}).encode())
        header, payload, signature = jws.encode().split(b".")
        members = parse_object(decode_base64url(header))
        decode_base64url(payload)
        alg, kid = members.get("alg"), members.get("kid")
        if not isinstance(alg, str) or alg not in ALGORITHMS or "crit" in members:
            return False
        key = keys.find(kid if isinstance(kid, str) else None, alg)
        return key is not None and key.verifies(header + b"." + payload, decode_base64url(signature))
    except (NotStrict, ValueError):
        return False


def test_J11_json_web_signature_vectors() -> None:
    judged = accepted = 0
    for group in groups("json_web_signature_test.json"):
        keys = public(group)
        symmetric = any(jwk["kty"] == "oct" for jwk in keys)
        usable = [{**jwk, "key_ops": ["verify"]} if "sign" in jwk.get("key_ops", []) else jwk for jwk in keys]
        for test in group["tests"]:
            if not isinstance(test["jws"], str):
                continue
            judged += 1
            verdict = accepts(usable, test["jws"])
            accepted += verdict
            if test["result"] == "invalid" or symmetric:
                assert not verdict, test
            elif alg_of_key_fits(usable, test["jws"]):
                assert verdict, test
    assert judged > 390
    assert accepted > 15


def alg_of_key_fits(jwks: Any, jws: str) -> bool:
    """The vectors hold valid signatures under a key whose `alg` says something else, or nothing known (ES521)."""
    header = json.loads(base64.urlsafe_b64decode(jws.partition(".")[0] + "=="))
    (jwk,) = jwks
    return bool(jwk.get("alg", header["alg"]) == header["alg"] and header.get("kid") == jwk.get("kid"))


def test_J11_json_web_key_vectors() -> None:
    for group in groups("json_web_key_test.json"):
        keys = public(group)
        for test in group["tests"]:
            symmetric = any(jwk["kty"] == "oct" for jwk in keys)
            expected = test["result"] == "valid" and not symmetric
            assert accepts(keys, test["jws"]) is expected, (group["comment"], test)


def test_J18_p1363_signatures() -> None:
    judged = 0
    for group in groups("ecdsa_secp256r1_sha256_p1363_test.json"):
        point = bytes.fromhex(group["publicKey"]["uncompressed"])
        jwk = {"kty": "EC", "crv": "P-256", "kid": "k", "x": base64url(point[1:33]), "y": base64url(point[33:])}
        keys = parse_key_set(json.dumps({"keys": [jwk]}).encode())
        key = keys.find("k", "ES256")
        assert key is not None
        for test in group["tests"]:
            verdict = key.verifies(bytes.fromhex(test["msg"]), bytes.fromhex(test["sig"]))
            assert verdict is (test["result"] == "valid"), test
            judged += 1
    assert judged > 250


def test_a_key_without_alg_serves_every_algorithm_of_its_family_and_no_other() -> None:
    held = SigningKey("RS256")
    jwk = {name: value for name, value in held.public().items() if name != "alg"}
    keys = parse_key_set(json.dumps({"keys": [jwk]}).encode())
    assert {alg for alg in ALGORITHMS if keys.find(held.kid, alg)} == {alg for alg in ALGORITHMS if alg[0] in "RP"}


@pytest.mark.parametrize("alg", ["EdDSA", "Ed25519"])
def test_J19_a_key_under_either_name_of_ed25519_serves_both(alg: str) -> None:
    held = SigningKey("EdDSA")
    keys = parse_key_set(json.dumps({"keys": [{**held.public(), "alg": alg}]}).encode())
    assert {name for name in ALGORITHMS if keys.find(held.kid, name)} == {"EdDSA", "Ed25519"}


def test_J4_alarms_hold_no_values() -> None:
    secret = {**SigningKey("ES256").jwk.as_dict(private=True), "kid": "leaked"}
    keys = parse_key_set(json.dumps({"keys": [secret, SigningKey("ES256").public()]}).encode())
    (alarm,) = keys.alarms
    assert "private" in alarm
    assert str(secret["d"]) not in alarm


def test_it_says_how_many_keys_it_holds() -> None:
    assert repr(key_set(Issuer())) == "KeySet(1 named keys)"


@pytest.mark.parametrize("token", ["", ".", "a.b", "é.b.c", "a.b.c"])
def test_take_apart_refuses_what_is_no_token(token: str) -> None:
    with pytest.raises(Refused):
        take_apart(token)
