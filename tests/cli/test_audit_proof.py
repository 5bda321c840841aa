"""Proofs of one record: what holds, and everything that does not."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.cli.audit import tree as tree_proof
from gateway.cli.audit.files import lines, streams
from gateway.cli.audit.proof import Unproved, judge, load, make
from gateway.stages.record import record_config
from tests.attacks.test_audit import verifier
from tests.stages.record.scene import open_log

KEY, STRANGER = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
KEYS = [verifier(KEY)]
COUNT = 600  # three leaves


@pytest.fixture(scope="module")
def audit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import asyncio

    directory = tmp_path_factory.mktemp("audit")

    async def write() -> None:
        log = open_log(directory, key=KEY, segment_size=65536)
        log.start()
        for number in range(COUNT):
            record_config(log, digest=f"{number:064x}", ok=True)
            if number == 9:
                log._tick()
            if number % 40 == 9:
                log._flush()
        await log.close()

    asyncio.run(write())
    return directory


def proof(audit: Path, seq: int) -> dict[str, Any]:
    (files,) = streams(audit).values()
    return make(lines(files), lambda line: f'"seq":{seq},'.encode() in line)


@pytest.mark.parametrize("seq", [1, 2, 11, 12, 13, 267, 268, 269, 300, 524, COUNT])
def test_a_record_is_proved_by_its_hash_its_path_and_the_signature_alone(audit: Path, seq: int) -> None:
    made = load(json.dumps(proof(audit, seq)))
    held = judge(made, KEYS)
    assert held.record.seq == seq < held.checkpoint.seq
    assert json.dumps(made).count('\\"config\\":\\"') <= 1  # of the other records nothing but hashes
    assert len(made["leaf"]) <= 256


def test_without_a_tree_over_it_the_chain_proves_it(audit: Path) -> None:
    made = proof(audit, 5)
    (files,) = streams(audit).values()
    everything = list(lines(files))
    at = next(index for index, line in enumerate(everything) if b'"type":"checkpoint"' in line)
    chained = {name: made[name] for name in ("format", "stream", "seq", "record", "checkpoint")}
    chained["chain"] = [line.decode().rstrip("\n") for line in everything[5:at]]
    assert judge(chained, KEYS).record.seq == 5
    for broken in (chained["chain"][:-1], chained["chain"][1:], chained["chain"][::-1], [1], None):
        with pytest.raises(Unproved):
            judge({**chained, "chain": broken}, KEYS)


def test_a_record_that_no_checkpoint_stands_over_yet_is_not_proved(audit: Path) -> None:
    (files,) = streams(audit).values()
    held = [line for line in lines(files) if b'"type":"checkpoint"' not in line]
    with pytest.raises(Unproved, match="no signed checkpoint stands over record 3 yet"):
        make(held, lambda line: b'"seq":3,' in line)
    with pytest.raises(Unproved, match="no such record"):
        make(held, lambda line: False)


def change(**values: Any) -> Any:
    return lambda made: made.update(values)


def in_line(name: str, old: str, new: str) -> Any:
    def attack(made: dict[str, Any]) -> None:
        assert old in made[name]
        made[name] = made[name].replace(old, new)

    return attack


@pytest.mark.parametrize(
    "attack",
    [
        pytest.param(change(format="gateway-audit-proof/2"), id="A8-another-format"),
        pytest.param(change(seq=301), id="A8-another-number"),
        pytest.param(change(stream="there-w0"), id="A8-another-stream"),
        pytest.param(in_line("record", "success", "failure"), id="A8-altered-record"),
        pytest.param(in_line("checkpoint", '"last":', '"last":1'), id="A8-altered-checkpoint"),
        pytest.param(lambda made: made["leaf"].pop(), id="A8-leaf-too-short"),
        pytest.param(lambda made: made["leaf"].append("0" * 64), id="A8-leaf-too-long"),
        pytest.param(lambda made: made["leaf"].__setitem__(0, "0" * 64), id="A8-leaf-altered"),
        pytest.param(lambda made: made["leaf"].reverse(), id="A8-leaf-reordered"),
        pytest.param(lambda made: made["leaf"].__setitem__(0, made["leaf"][0] + "00"), id="A8-leaf-of-other-length"),
        pytest.param(lambda made: made["path"].pop(), id="A8-missing-node"),
        pytest.param(lambda made: made["path"].append("0" * 64), id="A8-extra-node"),
        pytest.param(lambda made: made["path"].reverse(), id="A8-path-reordered"),
        pytest.param(change(path=["no hex"]), id="A8-path-no-hex"),
        pytest.param(change(path=[1]), id="A8-path-no-texts"),
        pytest.param(change(leaf=None), id="A8-no-leaf"),
        pytest.param(change(record=None), id="A8-no-record"),
        pytest.param(change(record="{}"), id="A8-a-record-that-is-none"),
        pytest.param(lambda made: made.update(checkpoint=made["record"]), id="A8-no-checkpoint"),
        pytest.param(change(chain=[]), id="A8-an-empty-chain"),
    ],
)
def test_a_proof_that_was_touched_does_not_hold(audit: Path, attack: Any) -> None:
    made = copy.deepcopy(proof(audit, 300))
    judge(made, KEYS)
    attack(made)
    with pytest.raises(Unproved):
        judge(made, KEYS)


def test_A8_a_proof_by_another_key_or_of_a_record_outside_its_tree_does_not_hold(audit: Path) -> None:
    made = proof(audit, 300)
    with pytest.raises(Unproved, match="not signed by a known key"):
        judge(made, [verifier(STRANGER)])
    early = proof(audit, 5)
    with pytest.raises(Unproved, match="does not cover record 5"):
        judge({**made, "record": early["record"], "seq": 5}, KEYS)


@pytest.mark.parametrize("text", ["", "[", "[]", "7", '"x"', "null", "[" * 100_000])
def test_what_is_no_proof_is_said_to_be_none(text: str) -> None:
    with pytest.raises(Unproved):
        judge(load(text), KEYS)


@pytest.mark.parametrize("size", range(1, 20))
def test_A8_paths_lead_to_the_root_at_every_place_and_nowhere_else(size: int) -> None:
    leaves = [tree_proof.leaf([f"{number:064x}"]) for number in range(size)]
    root = tree_proof.root(leaves)
    for index in range(size):
        path = tree_proof.path(leaves, index)
        assert leads(leaves[index], index, size, path) == root
        wrong = [[*path, root], path[:-1], path[1:], path[::-1]]
        assert all(leads(leaves[index], index, size, one) != root for one in wrong if one != path)
        assert all(leads(leaves[index], at, size, path) != root for at in range(-1, size + 1) if at != index)


def leads(leaf: bytes, index: int, size: int, path: list[bytes]) -> bytes | None:
    try:
        return tree_proof.root_by_path(leaf, index, size, path)
    except ValueError:
        return None
