"""The hash tree over records, against RFC 9162's definition."""

import json
from hashlib import sha256
from itertools import pairwise
from pathlib import Path

import pytest

from gateway.stages.record import record_config
from gateway.stages.record.chain import GENESIS, Chain
from gateway.stages.record.tree import GROUP, Tree
from tests.stages.record.scene import lines, open_log


def by_definition(entries: list[bytes]) -> bytes:
    """MTH of RFC 9162 section 2.1.1."""
    if len(entries) == 1:
        return sha256(b"\0" + entries[0]).digest()
    split = 1 << ((len(entries) - 1).bit_length() - 1)
    return sha256(b"\1" + by_definition(entries[:split]) + by_definition(entries[split:])).digest()


def expected(hashes: list[str]) -> str:
    groups = ["".join(hashes[at : at + GROUP]).encode() for at in range(0, len(hashes), GROUP)]
    return by_definition(groups).hex()


@pytest.mark.parametrize("count", [1, 255, 256, 257, 512, 513, 768, 1024, 1025, 1793, 2048])
@pytest.mark.parametrize("step", [1, 100, 5000])
def test_the_root_is_that_of_the_definition_however_the_lines_come(count: int, step: int) -> None:
    chain, tree = Chain("here-w0", 4, GENESIS, None), Tree()
    sealed = [chain.seal("config", "t", "")[-67:-3].decode() for _ in range(count)]
    for at in range(0, count - 1, step):
        part = sealed[at : min(at + step, count - 1)]
        tree.add(part, 4 + at + len(part))
    root = tree.root(sealed[-1:], 4 + count)  # the last one is not written yet
    assert root == (5, 4 + count, expected(sealed))
    assert tree.root(sealed[-1:], 4 + count) == root  # and nothing has changed


async def test_checkpoints_hold_trees_that_cover_every_record_once(tmp_path: Path) -> None:
    log = open_log(tmp_path, segment_size=1800)
    log.start()
    for number in range(300):
        record_config(log, digest=f"{number:064x}", ok=True)
        if number % 3 == 0:
            log._flush()
        if number in (5, 6, 290):
            log._tick()
    log._flush()
    log._tick()
    await log.close()
    records = lines(tmp_path)
    hashes = [record["hash"] for record in records]
    trees = [record["tree"] for record in records if record.get("tree")]
    assert trees[0]["first"] == 1
    assert all(one["last"] + 1 == other["first"] for one, other in pairwise(trees))
    for tree in trees:
        assert tree["root"] == expected(hashes[tree["first"] - 1 : tree["last"]])
    covered = trees[-1]["last"]
    assert [record["type"] for record in records[covered:]] == ["checkpoint"] * (len(records) - covered)
    assert json.dumps(trees[0]["signature"]) == "null"


async def test_an_idle_checkpoint_has_no_tree_and_the_next_one_covers_it(tmp_path: Path) -> None:
    log = open_log(tmp_path)
    log.start()
    for _ in range(3):
        log._tick()
        log._flush()
    record_config(log, digest="ab", ok=True)
    await log.close()
    *idle, last = [record.get("tree", {}) for record in lines(tmp_path) if record["type"] == "checkpoint"]
    assert idle[0]["last"] == 1  # the segment's own record
    assert idle[1:] == [{}, {}]
    assert (last["first"], last["last"]) == (2, 5)
