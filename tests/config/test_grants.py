"""grants.yaml: what is believed, and what is refused whole."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gateway.config.grants import load_with_grants, read_grants, still_granted, with_grants
from gateway.config.problem import ConfigInvalid
from gateway.config.schema.grants import Grants, plain, signed_bytes
from tests.config.sample import changed, loaded, write
from tests.facts import NOW
from tests.granting import BOB, Signer, write_grants

HOUR = 3600.0


@pytest.fixture
def alice(tmp_path: Path) -> Signer:
    return Signer(tmp_path, "alice")


def settings(*signers: Signer, max_duration: float = 24 * HOUR) -> Grants:
    named = Grants(signers={signer.name: signer.public for signer in signers})
    return named.replace(max_duration=max_duration)


def refused(path: Path, held: Grants) -> list[str]:
    with pytest.raises(ConfigInvalid) as invalid:
        read_grants(path, held)
    return [problem.message for problem in invalid.value.errors]


def test_a_signed_grant_is_a_rule_with_an_end(tmp_path: Path, alice: Signer) -> None:
    path = write_grants(tmp_path, alice.grant(NOW, NOW + HOUR))
    (found,) = read_grants(path, settings(alice))
    assert (found.rule.name, found.routes, found.by, found.reason) == ("grant:g1", ("api",), "alice", "INC-1")
    assert (found.begins, found.ends) == (NOW, NOW + HOUR)
    assert found.rule.from_[0].request_principals == ("*/bob",)
    assert (found.rule.where.file, found.rule.where.line) == (str(path), 2)


def test_no_file_grants_nothing_and_so_does_an_empty_list(tmp_path: Path, alice: Signer) -> None:
    assert read_grants(tmp_path / "grants.yaml", settings(alice)) == ()
    assert read_grants(write_grants(tmp_path), settings(alice)) == ()


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"name": "g2"}, id="name"),
        pytest.param({"routes": ["*"]}, id="routes"),
        pytest.param({"rule": {**BOB, "to": {"methods": ["*"]}}}, id="rule"),
        pytest.param({"rule": {"from": BOB["from"]}}, id="rule-less"),
        pytest.param({"reason": "INC-2"}, id="reason"),
        pytest.param({"issued": "2027-01-15T07:00:01Z"}, id="issued"),
        pytest.param({"until": "2027-01-15T09:00:01Z"}, id="until"),
        pytest.param({"signature": "A" * 86}, id="signature"),
        pytest.param({"signature": "="}, id="no-signature"),
    ],
)
def test_whatever_is_changed_breaks_the_signature(tmp_path: Path, alice: Signer, change: dict[str, Any]) -> None:
    path = write_grants(tmp_path, {**alice.grant(NOW, NOW + HOUR), **change})
    assert refused(path, settings(alice)) == ["the signature of alice does not hold: the grant was changed"]


def _by_mallory(alice: Signer, mallory: Signer) -> dict[str, Any]:
    return mallory.grant(NOW, NOW + HOUR, by="alice")


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        pytest.param(_by_mallory, "the signature of alice does not hold", id="in-anothers-name"),
        pytest.param(lambda a, m: m.grant(NOW, NOW + HOUR), "'mallory' is none of grants.signers", id="no-signer"),
        pytest.param(lambda a, m: a.grant(NOW, NOW + 25 * HOUR), "lasts 24h at most", id="too-long"),
        pytest.param(lambda a, m: a.grant(NOW, NOW), "a grant ends after it begins", id="over-at-once"),
        pytest.param(lambda a, m: a.grant(NOW, NOW - 1), "a grant ends after it begins", id="over-before"),
        pytest.param(
            lambda a, m: a.grant(NOW, NOW + 1, until="2027-01-15T09:00:00"), "write a time with its zone", id="no-zone"
        ),
        pytest.param(lambda a, m: a.grant(NOW, NOW + 1, until=1.8e9), "write a time with its zone", id="number"),
        pytest.param(lambda a, m: a.grant(NOW, NOW + 1, rule={}), "'from' is missing", id="everybody"),
        pytest.param(lambda a, m: a.grant(NOW, NOW + 1, rule={"from": {}}), "from: {} asks nothing", id="anybody"),
        pytest.param(
            lambda a, m: a.grant(NOW, NOW + 1, rule={**BOB, "mode": "shadow"}), "unknown key 'mode'", id="shadow"
        ),
        pytest.param(lambda a, m: a.grant(NOW, NOW + 1, rule={**BOB, "when": ["1"]}), "true or false", id="cel"),
        pytest.param(
            lambda a, m: a.grant(NOW, NOW + 1, rule={"from": {"principals": ["web"]}}), "principals are", id="pattern"
        ),
        pytest.param(lambda a, m: a.grant(NOW, NOW + 1, routes=["a*b"]), "a*b", id="routes"),
        pytest.param(lambda a, m: a.grant(NOW, NOW + 1, extra=1), "unknown key 'extra'", id="unknown-key"),
    ],
)
def test_what_cannot_be_granted(
    tmp_path: Path, alice: Signer, make: Callable[[Signer, Signer], dict[str, Any]], reason: str
) -> None:
    found = refused(write_grants(tmp_path, make(alice, Signer(tmp_path, "mallory"))), settings(alice))
    assert any(reason in each for each in found), found


def test_one_bad_grant_refuses_the_file_and_says_all_that_is_wrong(tmp_path: Path, alice: Signer) -> None:
    good = alice.grant(NOW, NOW + HOUR)
    long = alice.grant(NOW, NOW + 30 * HOUR, name="g2")
    assert len(refused(write_grants(tmp_path, good, {**good, "reason": "x"}, long), settings(alice))) == 2
    assert refused(write_grants(tmp_path, good, good), settings(alice)) == ["two grants are named 'g1'"]


def test_what_has_ended_is_still_verified(tmp_path: Path, alice: Signer) -> None:
    over = alice.grant(0, HOUR)
    assert read_grants(write_grants(tmp_path, over), settings(alice))[0].ends == HOUR
    assert refused(write_grants(tmp_path, {**over, "reason": "x"}), settings(alice))


def test_a_variable_is_a_text_like_any(tmp_path: Path, alice: Signer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WHO", "mallory")
    path = write_grants(tmp_path, alice.grant(NOW, NOW + HOUR, reason="${WHO}"))
    assert read_grants(path, settings(alice))[0].reason == "${WHO}"


def test_the_last_good_grants_hold_only_while_their_signer_may_grant(tmp_path: Path, alice: Signer) -> None:
    good = read_grants(write_grants(tmp_path, alice.grant(NOW, NOW + HOUR)), settings(alice))
    bob = Signer(tmp_path, "bob")
    assert still_granted(good, settings(alice, bob)) == good
    assert still_granted(good, settings(bob)) == ()
    assert still_granted(good, settings(alice, max_duration=60)) == ()
    assert still_granted(good, None) == ()
    Signer(tmp_path, "alice")  # another key under the same name
    assert still_granted(good, settings(alice)) == ()


def test_signed_bytes_are_the_same_however_the_file_is_written() -> None:
    one = {"b": ["x", 1, True], "a": {"d": "ä", "c": 1.5}, "signature": "s"}
    assert signed_bytes(one) == signed_bytes(dict(reversed(one.items())))
    assert signed_bytes(one) == b'gateway-grant/1\n{"a":{"c":1.5,"d":"\xc3\xa4"},"b":["x",1,true]}'
    assert plain({"a": (1, None)}) == {"a": [1, None]}


SIGNERS = ("upstreams:", "grants: {signers: {alice: alice.pub}}\nupstreams:")


def test_a_config_and_its_grants(folder: Path) -> None:
    alice = Signer(folder, "alice")
    write_grants(folder, alice.grant(NOW, NOW + HOUR), alice.grant(NOW, NOW + HOUR, name="g2", routes=["gone"]))
    config = load_with_grants(write(folder, changed(SIGNERS)))
    assert [each.rule.name for each in config.granted] == ["grant:g1", "grant:g2"]
    assert [str(each) for each in config.warnings if "grant" in each.where.file] == [
        f"no route is named like {name!r}: the grant covers nothing by it" for name in ("api", "gone")
    ]
    unnamed = with_grants(loaded(folder, changed()))
    assert unnamed.granted == ()
    assert "nobody is named who may grant: the file is not read" in unnamed.warnings[-1].message
    write_grants(folder, {**alice.grant(NOW, NOW + HOUR), "name": "g3"})
    with pytest.raises(ConfigInvalid) as invalid:
        load_with_grants(write(folder, changed(SIGNERS)))
    assert [each.where.file for each in invalid.value.errors] == [str(folder / "grants.yaml")]


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("{signers: {}}", "nothing stands in it"),
        ("{}", "'signers' is missing"),
        ("{signers: {a: none.pub}}", "cannot read"),
        ("{signers: {a: certs/edge.key}}", "holds no Ed25519 public key in PEM"),
        ("{signers: {a: alice.key}}", "holds no Ed25519 public key in PEM"),
        ("{signers: {a: alice.pub}, max_duration: 0s}", "more than 0 is wanted"),
    ],
)
def test_signers_are_keys_that_can_be_read(folder: Path, text: str, error: str) -> None:
    Signer(folder, "alice")
    with pytest.raises(ConfigInvalid, match=error):
        loaded(folder, changed(("upstreams:", f"grants: {text}\nupstreams:")))
