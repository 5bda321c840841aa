"""A proof that one record stands under a signed checkpoint: made from a log, judged without one.

Rule: the judge takes the proof's bytes and the public key, and nothing else, as docs/reference/audit-format.md says it.
"""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeGuard

from gateway.cli.audit import tree as tree_proof
from gateway.cli.audit.line import Altered, AuditLine, Verify, read_line, signature_holds, tree_signature_holds

FORMAT = "gateway-audit-proof/1"
ABSENT = "no such record"
_MOST_LEAVES = 1 << 24


class Unproved(Exception):  # noqa: N818 - an answer
    """What does not hold; or, where a proof is made, why there is none."""


@dataclass(frozen=True, slots=True)
class Proved:
    """What a proof that holds says."""

    record: AuditLine
    checkpoint: AuditLine


def make(lines: Iterable[bytes], wanted: Callable[[bytes], bool]) -> dict[str, Any]:
    """The proof of the first record of a stream that is `wanted`, under the next signed checkpoint. Raises Unproved."""
    record: AuditLine | None = None
    text = b""
    hashes: list[str] = []  # since the last tree: what the next one covers
    between: list[bytes] = []  # after the record
    for line in lines:
        if record is None and wanted(line):
            record, text = _read(line), line
        elif record is not None:
            between.append(line)
        if line.startswith(b'{"type":"checkpoint"'):
            checkpoint = _read(line)
            if record is not None and line is not text and checkpoint.members.get("signature") is not None:
                return _proof(record, text, checkpoint, line, hashes, between[:-1])
            if checkpoint.members.get("tree") is not None:
                hashes = []
        hashes.append(line[-67:-3].decode("latin-1"))
    if record is None:
        raise Unproved(ABSENT)
    raise Unproved(f"no signed checkpoint stands over record {record.seq} yet")


def _proof(
    record: AuditLine, text: bytes, checkpoint: AuditLine, line: bytes, hashes: list[str], between: list[bytes]
) -> dict[str, Any]:
    proof = {
        "format": FORMAT,
        "stream": record.stream,
        "seq": record.seq,
        "record": text.decode("ascii").rstrip("\n"),
        "checkpoint": line.decode("ascii").rstrip("\n"),
    }
    tree = checkpoint.members.get("tree")
    if isinstance(tree, dict) and tree.get("first", 0) <= record.seq <= tree.get("last", 0):
        covered = hashes[-(tree["last"] - tree["first"] + 1) :]
        index, leaves = (record.seq - tree["first"]) // tree_proof.GROUP, tree_proof.groups(covered)
        at = index * tree_proof.GROUP
        nodes = [node.hex() for node in tree_proof.path(leaves, index)]
        return {**proof, "leaf": covered[at : at + tree_proof.GROUP], "path": nodes}
    return {**proof, "chain": [one.decode("ascii").rstrip("\n") for one in between]}


def judge(proof: Any, keys: Sequence[Verify]) -> Proved:
    """Raises Unproved, saying what does not hold."""
    if not isinstance(proof, dict) or proof.get("format") != FORMAT:
        raise Unproved(f"no proof of the format {FORMAT}")
    record, checkpoint = _line(proof, "record"), _line(proof, "checkpoint")
    if checkpoint.kind != "checkpoint":
        raise Unproved("what is given as the checkpoint is none")
    if (record.stream, record.seq) != (proof.get("stream"), proof.get("seq")) or checkpoint.stream != record.stream:
        raise Unproved("record and checkpoint are not of the stream and number that the proof names")
    if "chain" in proof:
        _judge_chain(record, checkpoint, proof["chain"])
        holds = checkpoint.members.get("head") == checkpoint.prev.decode() and signature_holds(checkpoint, keys)
    else:
        _judge_tree(record, checkpoint, proof)
        holds = tree_signature_holds(checkpoint, keys)
    if not holds:
        raise Unproved("the checkpoint is not signed by a known key")
    return Proved(record, checkpoint)


def _judge_chain(record: AuditLine, checkpoint: AuditLine, chain: Any) -> None:
    if not isinstance(chain, list) or not all(isinstance(one, str) for one in chain):
        raise Unproved("the chain is no list of lines")
    before = record
    for one in (*(_read(f"{text}\n".encode()) for text in chain), checkpoint):
        if one.prev != before.hash or one.seq != before.seq + 1 or one.stream != record.stream:
            raise Unproved(f"record {one.seq} does not bind the one before it")
        before = one


def _judge_tree(record: AuditLine, checkpoint: AuditLine, proof: dict[str, Any]) -> None:
    tree, held, nodes = checkpoint.members.get("tree"), proof.get("leaf"), proof.get("path")
    if not isinstance(tree, dict) or type(tree.get("first")) is not int or type(tree.get("last")) is not int:
        raise Unproved("the checkpoint holds no tree")
    if not _texts(held) or not _texts(nodes):
        raise Unproved("leaf and path are no lists of hashes")
    first, count = tree["first"], tree["last"] - tree["first"] + 1
    at = record.seq - first
    if not 0 <= at < count or count > _MOST_LEAVES * tree_proof.GROUP:
        raise Unproved(f"the tree does not cover record {record.seq}")
    index, size = at // tree_proof.GROUP, -(-count // tree_proof.GROUP)
    if len(held) != min(tree_proof.GROUP, count - index * tree_proof.GROUP) or any(len(one) != 64 for one in held):
        raise Unproved("the leaf is not of the size that its place in the tree asks for")
    if held[at % tree_proof.GROUP].encode() != record.hash:
        raise Unproved("the record's hash is not the one in the leaf")
    try:
        found = tree_proof.root_by_path(tree_proof.leaf(held), index, size, [bytes.fromhex(one) for one in nodes])
    except ValueError as error:
        raise Unproved(str(error)) from None
    if found.hex() != tree.get("root"):
        raise Unproved("the path does not lead to the root that the checkpoint holds")


def _texts(value: Any) -> TypeGuard[list[str]]:
    return isinstance(value, list) and all(isinstance(one, str) for one in value)


def _line(proof: dict[str, Any], name: str) -> AuditLine:
    text = proof.get(name)
    if not isinstance(text, str):
        raise Unproved(f"the proof holds no {name}")
    return _read(f"{text}\n".encode("utf-8", "replace"))


def _read(line: bytes) -> AuditLine:
    try:
        return read_line(line)
    except Altered:
        raise Unproved("a line does not have its own hash: it was altered") from None
    except ValueError as error:
        raise Unproved(f"a line is {error}") from None


def load(text: str) -> Any:
    """A proof's document. Raises Unproved."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise Unproved("no JSON document") from None
