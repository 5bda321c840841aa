"""Attacks on the audit log: each is found by a verifier that knows the format alone, and named where it was done."""

import json
import shutil
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.cli.audit.line import Verify
from gateway.cli.audit.verifier import StreamReport, verify_directory
from gateway.kernel.cells import Metrics
from gateway.model.reason import Reason
from gateway.model.refused import Refused
from gateway.stages.record import Inputs, record_config
from gateway.testing.clock import Clock
from tests.stages.record.scene import NOW, Asked, allowed, decided, open_log, redaction, refused, stage

KEY = Ed25519PrivateKey.generate()
OTHER_KEY = Ed25519PrivateKey.generate()
FIRST, SECOND, THIRD = (f"here-w0-{n:06d}.jsonl" for n in (1, 2, 3))


def verifier(key: Ed25519PrivateKey) -> Verify:
    def verify(signature: bytes, message: bytes) -> bool:
        try:
            key.public_key().verify(signature, message)
        except InvalidSignature:
            return False
        return True

    return verify


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A log of three segments with signed checkpoints, written by the gateway's own writer."""
    import asyncio

    directory = tmp_path_factory.mktemp("audit")

    async def write() -> None:
        clock = Clock(NOW)
        log = open_log(directory, key=KEY, segment_size=1800, clock=clock)
        log.start()
        for number in range(10):
            clock.advance(0.5)
            if number == 5:
                log._tick()  # a checkpoint in the middle
            record_config(log, digest=f"{number:064x}", ok=True)
            await asyncio.sleep(0)
        await log.close()

    asyncio.run(write())
    assert sorted(path.name for path in directory.glob("*.jsonl")) == [FIRST, SECOND, THIRD]
    return directory


@pytest.fixture
def log(original: Path, tmp_path: Path) -> Path:
    return shutil.copytree(original, tmp_path / "audit")


def judged(directory: Path, *, key: Ed25519PrivateKey | None = KEY, head: str | None = None) -> StreamReport:
    (report,) = verify_directory(directory, [] if key is None else [verifier(key)], head)
    return report


def found(report: StreamReport) -> list[str]:
    return [finding.kind for finding in report.findings]


def warned(report: StreamReport) -> list[str]:
    return [warning.kind for warning in report.warnings]


def split(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines(keepends=True)


def edit(change: Callable[[list[bytes]], object], name: str = FIRST) -> Callable[[Path], None]:
    """Change the lines of one file in place."""

    def attack(directory: Path) -> None:
        path = directory / name
        lines = split(path)
        change(lines)
        path.write_bytes(b"".join(lines))

    return attack


def reseal(lines: list[bytes], start: int, head: str | None = None) -> None:
    """Compute the chain anew from line `start` on, as one who can write the file but has no key can."""
    prev = head or json.loads(lines[start - 1])["hash"]
    for at in range(start, len(lines)):
        record: dict[str, Any] = json.loads(lines[at])
        record["prev"] = prev
        if record["type"] == "checkpoint":
            record["head"] = prev
            record.pop("tree", None)
        record.pop("hash")
        body = json.dumps(record, separators=(",", ":"))[:-1].encode()
        prev = sha256(body).hexdigest()
        lines[at] = body + b',"hash":"' + prev.encode() + b'"}\n'


def forged(at: int, old: bytes, new: bytes) -> Callable[[list[bytes]], None]:
    def change(lines: list[bytes]) -> None:
        assert old in lines[at]
        lines[at] = lines[at].replace(old, new)
        reseal(lines, at, json.loads(lines[at - 1])["hash"])

    return change


def swap(lines: list[bytes], a: int, b: int) -> None:
    lines[a], lines[b] = lines[b], lines[a]


def test_A7_an_untouched_log_holds(log: Path) -> None:
    report = judged(log)
    assert (found(report), warned(report)) == ([], [])
    assert report.records == sum(len(split(path)) for path in log.glob("*.jsonl"))
    assert report.head == json.loads(split(log / THIRD)[-1])["hash"]


@pytest.mark.parametrize(
    ("attack", "kind", "file", "line"),
    [
        pytest.param(
            edit(lambda x: x.__setitem__(2, x[2].replace(b"success", b"failure"))), "altered", FIRST, 3, id="A7-altered"
        ),
        pytest.param(edit(lambda x: x.pop(2)), "removed", FIRST, 3, id="A7-removed-one"),
        pytest.param(edit(lambda x: x.__delitem__(slice(1, 3))), "removed", FIRST, 2, id="A7-removed-two"),
        pytest.param(edit(lambda x: x.insert(3, x[2])), "duplicated", FIRST, 4, id="A7-duplicated"),
        pytest.param(edit(lambda x: swap(x, 1, 2)), "reordered", FIRST, 2, id="A7-reordered-neighbours"),
        pytest.param(edit(lambda x: swap(x, 1, 3)), "reordered", FIRST, 2, id="A7-reordered-apart"),
        pytest.param(
            edit(lambda x: x.insert(3, x[2].replace(b'"seq":3', b'"seq":4'))),
            "altered",
            FIRST,
            4,
            id="A7-inserted-unsealed",
        ),
        pytest.param(
            edit(lambda x: x.insert(2, b'{"hello":"world"}\n')), "malformed", FIRST, 3, id="A7-inserted-garbage"
        ),
        pytest.param(edit(lambda x: x.insert(2, b"\n")), "malformed", FIRST, 3, id="A7-inserted-empty-line"),
        pytest.param(
            edit(lambda x: x.__setitem__(-1, x[-1][:-1]), THIRD), "malformed", THIRD, None, id="A7-last-newline-cut"
        ),
        pytest.param(
            edit(lambda x: x.__setitem__(-1, x[-1][:40]), THIRD), "malformed", THIRD, None, id="A7-cut-in-a-line"
        ),
        pytest.param(edit(lambda x: x.append(b"junk"), THIRD), "malformed", THIRD, None, id="A7-appended-junk"),
        pytest.param(edit(lambda x: x.append(x[-1]), THIRD), "duplicated", THIRD, None, id="A7-appended-copy"),
        pytest.param(
            edit(forged(2, b"success", b"failure")), "segment_swapped", SECOND, 1, id="A7-resealed-to-the-files-end"
        ),
        pytest.param(edit(lambda x: x.clear(), SECOND), "empty_log", SECOND, 0, id="A7-emptied-segment"),
        pytest.param(lambda d: (d / SECOND).unlink(), "segment_missing", SECOND, 0, id="A4-middle-segment-missing"),
        pytest.param(lambda d: (d / FIRST).unlink(), "segment_missing", SECOND, 0, id="A4-first-segment-missing"),
        pytest.param(
            lambda d: [p.unlink() for p in d.glob("*.jsonl")], "empty_log", None, 0, id="A6-whole-stream-gone"
        ),
    ],
)
def test_A7_an_attack_is_found_and_named_where_it_was_done(
    log: Path, attack: Callable[[Path], object], kind: str, file: str | None, line: int | None
) -> None:
    attack(log)
    first = judged(log).findings[0]
    assert first.kind == kind
    if file is not None and kind != "segment_missing":
        assert Path(first.file).name == file
        assert line is None or first.line == line


def test_A7_every_byte_of_a_log_matters(log: Path) -> None:
    """Each byte of a segment is flipped in turn: no change goes unseen."""
    path = log / SECOND
    whole = path.read_bytes()
    unseen = []
    for at in range(len(whole)):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        if not judged(log).findings:
            unseen.append(at)
    assert unseen == []


def test_A7_every_byte_that_is_taken_or_added_is_seen(log: Path) -> None:
    path = log / THIRD
    whole = path.read_bytes()
    for at in range(0, len(whole), 7):
        for changed in (whole[:at] + whole[at + 1 :], whole[:at] + b"0" + whole[at:], whole[:at] + b"\n" + whole[at:]):
            path.write_bytes(changed)
            assert judged(log).findings, at


def test_A7_every_cut_is_seen_or_leaves_the_tail_unprotected(log: Path) -> None:
    """A cut at a line's end is a valid chain: the missing closing checkpoint tells, or a head kept elsewhere."""
    path = log / THIRD
    whole = path.read_bytes()
    head = json.loads(split(path)[-1])["hash"]
    for at in range(len(whole)):
        path.write_bytes(whole[:at])
        report = judged(log)
        assert report.findings or "closing_checkpoint_missing" in warned(report)
        assert "truncated" in found(judged(log, head=head))


def test_A7_each_line_removed_doubled_or_swapped_is_found(log: Path) -> None:
    for name in (FIRST, SECOND):
        path = log / name
        lines = split(path)
        for at in range(len(lines)):
            for changed in (
                lines[:at] + lines[at + 1 :],
                lines[: at + 1] + lines[at:],
                [*lines[:at], *lines[at : at + 2][::-1], *lines[at + 2 :]] if at + 1 < len(lines) else lines[::-1],
            ):
                path.write_bytes(b"".join(changed))
                assert judged(log).findings, (name, at)
        path.write_bytes(b"".join(lines))


@pytest.mark.parametrize(
    "order",
    [
        pytest.param((SECOND, THIRD), id="A4-segments-swapped"),
        pytest.param((FIRST, SECOND), id="A4-first-and-second-swapped"),
    ],
)
def test_A4_swapped_segments_are_a_finding_of_their_own(log: Path, order: tuple[str, str]) -> None:
    one, two = (log / name for name in order)
    first, second = one.read_bytes(), two.read_bytes()
    one.write_bytes(second)
    two.write_bytes(first)
    assert "segment_swapped" in found(judged(log))


def test_A4_a_segment_of_another_writer_is_a_finding_of_its_own(log: Path, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = open_log(tmp_path / "other", stream="there-w0")
    shutil.copy(tmp_path / "other" / "there-w0-000001.jsonl", log / SECOND)
    assert other.status()
    assert found(judged(log))[0] == "segment_foreign"


def test_A4_a_segment_that_was_renumbered_is_found(log: Path) -> None:
    (log / THIRD).rename(log / "here-w0-000009.jsonl")
    kinds = found(judged(log))
    assert kinds[0] == "segment_missing"
    assert "segment_swapped" in kinds


def test_A5_a_fresh_beginning_in_the_middle_is_an_alarm(log: Path) -> None:
    edit(lambda x: x.append(split(log / FIRST)[0]), THIRD)(log)
    assert found(judged(log)) != []


def test_A2_who_has_no_key_cannot_rewrite_what_a_checkpoint_signs(log: Path) -> None:
    """The whole chain is computed anew, all files and their bindings: only the signatures tell."""
    files = [log / name for name in (FIRST, SECOND, THIRD)]
    lines = [split(path) for path in files]
    lines[0][2] = lines[0][2].replace(b"success", b"failure")
    reseal(lines[0], 2, json.loads(lines[0][1])["hash"])
    for before, after, path in zip(lines, lines[1:], files, strict=False):
        last, first = json.loads(before[-1]), json.loads(after[0])
        first["before"] = {"file": path.name, "seq": last["seq"], "hash": last["hash"]}
        after[0] = json.dumps(first, separators=(",", ":")).encode() + b"\n"
        reseal(after, 0, last["hash"])
    for path, content in zip(files, lines, strict=True):
        path.write_bytes(b"".join(content))
    assert set(found(judged(log))) == {"signature_bad"}
    assert found(judged(log, key=None)) == []  # a bare chain cannot tell: the warning says so
    assert "signatures_not_checked" in warned(judged(log, key=None))


def test_A2_a_checkpoint_by_another_key_or_by_none_is_found(log: Path) -> None:
    assert found(judged(log, key=OTHER_KEY)) == ["signature_bad", "signature_bad"]

    def unsign(lines: list[bytes]) -> None:
        record = json.loads(lines[-1])
        record["signature"] = None
        lines[-1] = json.dumps(record, separators=(",", ":")).encode() + b"\n"
        reseal(lines, len(lines) - 1)

    edit(unsign, THIRD)(log)
    assert found(judged(log)) == ["signature_bad"]


@pytest.mark.parametrize("signature", ["", "AAAA", "!!!", "A" * 86, 7, {}])
def test_A2_a_signature_of_any_form_is_judged_and_never_an_exception(log: Path, signature: object) -> None:
    def sign(lines: list[bytes]) -> None:
        record = json.loads(lines[-1])
        record["signature"] = signature
        lines[-1] = json.dumps(record, separators=(",", ":")).encode() + b"\n"
        reseal(lines, len(lines) - 1)

    edit(sign, THIRD)(log)
    assert found(judged(log)) == ["signature_bad"]


def test_A3_the_replay_of_an_older_full_log_is_found_by_a_head_kept_elsewhere(original: Path, tmp_path: Path) -> None:
    older = shutil.copytree(original, tmp_path / "older")
    (older / THIRD).unlink()
    lines = split(older / SECOND)
    checkpoint = max(at for at, line in enumerate(lines) if b'"type":"checkpoint"' in line)
    (older / SECOND).write_bytes(b"".join(lines[: checkpoint + 1]))
    assert found(judged(older)) == []  # it ends with a checkpoint: by itself it holds
    kept = json.loads(split(original / THIRD)[-1])["hash"]
    assert found(judged(older, head=kept)) == ["truncated"]
    assert found(judged(original, head=kept)) == []


def test_A3_an_empty_log_where_a_checkpoint_says_otherwise_is_found(tmp_path: Path) -> None:
    (report,) = verify_directory(tmp_path, [], "ab" * 32)
    assert found(report) == ["truncated"]


def test_A3_where_nothing_is_signed_the_tail_is_not_protected(tmp_path: Path) -> None:
    open_log(tmp_path).status()
    report = judged(tmp_path)
    assert found(report) == []
    assert "tail_not_protected" in warned(report)


@pytest.mark.parametrize(
    ("time", "kind"),
    [
        ("2026-01-01T00:00:00.000000Z", "clock_backwards"),
        ("2027-01-15T08:00:00Z", "malformed"),
        ("yesterday", "malformed"),
    ],
)
def test_A1_time_is_checked(log: Path, time: str, kind: str) -> None:
    def change(lines: list[bytes]) -> None:
        record = json.loads(lines[-2])
        record["time"] = time
        lines[-2] = json.dumps(record, separators=(",", ":")).encode() + b"\n"
        reseal(lines, len(lines) - 2)

    edit(change, THIRD)(log)
    assert kind in found(judged(log))


def test_A1_every_record_names_its_number_time_writer_and_the_one_before(log: Path) -> None:
    records = [json.loads(line) for name in (FIRST, SECOND, THIRD) for line in split(log / name)]
    for number, record in enumerate(records, 1):
        assert list(record)[:4] == ["type", "time", "seq", "stream"]
        assert list(record)[-2:] == ["prev", "hash"]
        assert (record["seq"], record["stream"]) == (number, "here-w0")


def test_A6_each_writer_has_its_own_chain_and_is_judged_by_itself(log: Path) -> None:
    open_log(log, stream="here-w1").status()
    edit(lambda x: x.pop(2))(log)
    broken, whole = verify_directory(log, [verifier(KEY)], None)
    assert (broken.stream, whole.stream) == ("here-w0", "here-w1")
    assert broken.findings
    assert not whole.findings


@pytest.mark.parametrize(
    "reason",
    [
        pytest.param(None, id="A10-allowed"),
        pytest.param(Reason.TOKEN_SIGNATURE, id="A10-refused-credential"),
        pytest.param(Reason.BAD_REQUEST, id="A10-refused-head"),
    ],
)
async def test_no_secret_and_no_second_line_comes_into_a_record(tmp_path: Path, reason: Reason | None) -> None:
    """Token, cookie, proof and query string stay out, even where a rule names them; what is shown is one line."""
    names = ["authorization", "cookie", "dpop", "x-evil"]
    values = {name: (f"hunter2-{name}",) for name in names[:3]} | {"x-evil": ('\n{"type":"decision"}\r\x1b[2J\u2028',)}
    metrics = Metrics()
    log = open_log(tmp_path, metrics=metrics)
    log.start()
    record = stage(log, metrics, inputs=Inputs(redaction(), headers=names))
    asked = Asked("GET", b"/a\n\x1b[2J?access_token=hunter2-query", [(b"authorization", b"Bearer hunter2-raw")])
    if reason is None:
        await decided(record, allowed(record, asked=asked, values=values, query="access_token=hunter2-query"))
    else:
        trace = refused(record, reason, values=values, query="access_token=hunter2-query")
        trace.head = asked.head
        if reason is Reason.BAD_REQUEST:
            trace.ctx = None  # not even read
        trace.refused = Refused(reason, "hunter2-detail")
        await decided(record, trace)
    await log.close()
    content = (tmp_path / FIRST).read_bytes()
    assert b"hunter2" not in content
    assert content.count(b"\n") == 3
    assert content.replace(b"\n", b"").decode().isprintable()
    if reason is not Reason.BAD_REQUEST:
        assert content.count(b'"hmac-sha256:') == 3
    assert found(judged(tmp_path)) == []


def test_A12_the_verifier_shares_no_code_with_the_writer() -> None:
    root = Path(__file__).resolve().parents[2] / "gateway" / "cli" / "audit"
    modules = sorted(root.glob("*.py"))
    assert "verifier.py" in {path.name for path in modules}
    for path in modules:
        assert "gateway.stages" not in path.read_text()


@pytest.mark.parametrize(
    "line",
    [
        b"[" * 100_000,
        b'{"a":' * 50_000,
        b"\xff\xfe",
        b"\x00" * 1000,
        b'{"type":1,"time":2,"seq":"3","stream":4,"prev":"' + b"0" * 64 + b'"',
        b'{"type":"config","time":"2027-01-15T08:00:00.250000Z","seq":1e3,"stream":"here-w0","prev":"'
        + b"0" * 64
        + b'"',
        b'{"type":"config","time":"2027-01-15T08:00:00.250000Z","seq":true,"stream":"here-w0","prev":"'
        + b"0" * 64
        + b'"',
    ],
)
def test_A7_a_hostile_line_is_a_finding_and_never_an_exception(log: Path, line: bytes) -> None:
    sealed = line + b',"hash":"' + sha256(line).hexdigest().encode() + b'"}\n'
    for hostile in (line + b"\n", sealed):
        edit(lambda x, hostile=hostile: x.insert(2, hostile))(log)  # type: ignore[misc]
        assert "malformed" in found(judged(log))


def test_A7_a_number_beyond_all_bounds_is_a_finding(log: Path) -> None:
    def change(lines: list[bytes]) -> None:
        record = json.loads(lines[-1])
        record["seq"] = 10**30
        lines[-1] = json.dumps(record, separators=(",", ":")).encode() + b"\n"
        reseal(lines, len(lines) - 1)

    edit(change, FIRST)(log)
    assert "removed" in found(judged(log))
