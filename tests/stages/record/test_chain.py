"""Lines are sealed into a chain, and a checkpoint signs it: bytes as the format says."""

import json
from base64 import urlsafe_b64decode
from hashlib import sha256

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.stages.record.chain import GENESIS, Chain, Root

TIME = "2026-11-22T02:10:21.000001Z"


def test_the_hash_covers_the_bytes_before_it_and_prev_the_line_before() -> None:
    chain = Chain("here-w0", 0, GENESIS, None)
    first = chain.seal("config", TIME, ',"a":1')
    second = chain.seal("config", TIME, "")
    body = first.rpartition(b',"hash":"')[0]
    assert body == (
        b'{"type":"config","time":"2026-11-22T02:10:21.000001Z","seq":1,"stream":"here-w0","a":1,"prev":"%b"'
        % GENESIS.encode()
    )
    assert first == body + b',"hash":"' + sha256(body).hexdigest().encode() + b'"}\n'
    assert json.loads(second)["prev"] == sha256(body).hexdigest()
    assert json.loads(second)["seq"] == 2


def test_a_checkpoint_signs_label_stream_seq_head_and_time() -> None:
    key = Ed25519PrivateKey.generate()
    chain = Chain("here-w0", 6, "ab" * 32, key.sign)
    record = json.loads(chain.seal_checkpoint(TIME, None))
    assert record["head"] == record["prev"] == "ab" * 32
    assert "=" not in record["signature"]
    said = b"gateway-audit-checkpoint/1\nhere-w0\n7\n" + b"ab" * 32 + b"\n" + TIME.encode() + b"\n"
    key.public_key().verify(urlsafe_b64decode(record["signature"] + "=="), said)


def test_without_a_key_a_checkpoint_is_unsigned_and_still_there() -> None:
    record = json.loads(Chain("here-w0", 0, GENESIS, None).seal_checkpoint(TIME, None))
    assert (record["type"], record["signature"]) == ("checkpoint", None)


def test_a_checkpoint_signs_the_tree_apart() -> None:
    key = Ed25519PrivateKey.generate()
    chain = Chain("here-w0", 6, "ab" * 32, key.sign)
    record = json.loads(chain.seal_checkpoint(TIME, Root(3, 6, "cd" * 32)))
    tree = record["tree"]
    assert (tree["first"], tree["last"], tree["root"]) == (3, 6, "cd" * 32)
    said = b"gateway-audit-tree/1\nhere-w0\n7\n3\n6\n" + b"cd" * 32 + b"\n" + TIME.encode() + b"\n"
    key.public_key().verify(urlsafe_b64decode(tree["signature"] + "=="), said)
    unsigned = Chain("here-w0", 6, "ab" * 32, None).seal_checkpoint(TIME, Root(3, 6, "cd" * 32))
    assert json.loads(unsigned)["tree"]["signature"] is None


def test_numbers_go_on_over_thousands() -> None:
    chain = Chain("here-w0", 997, GENESIS, None)
    records = [("decision", 1.0, ',"id":1', ',"n":2', False)] * 2005
    texts, hashes = chain.seal_all(records, lambda _: TIME)
    lines = [json.loads(line) for line in "".join(texts).splitlines()]
    assert [line["seq"] for line in lines] == list(range(998, 3003))
    assert [line["hash"] for line in lines] == hashes
    assert [line["prev"] for line in lines[1:]] == hashes[:-1]
    assert (chain.seq, chain.head, lines[-1]["id"], lines[-1]["n"]) == (3002, hashes[-1], 1, 2)
