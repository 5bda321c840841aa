import json
from collections import Counter
from pathlib import Path

import pytest

from loadtest.chaos.__main__ import damages
from loadtest.chaos.faults import FAULTS
from loadtest.chaos.load import Kind, Phase, Seen, decided, unlogged, wrong


def seen(kind: Kind, status: int, reason: str = "") -> Seen:
    return Seen(kind, status, reason, 0.1, "id")


@pytest.mark.parametrize(
    ("one", "is_wrong"),
    [
        pytest.param(seen(Kind.GOOD, 200), False, id="good-and-allowed"),
        pytest.param(seen(Kind.GOOD, 503, "store_unavailable"), False, id="an-outage"),
        pytest.param(seen(Kind.GOOD, 0), False, id="no-answer"),
        pytest.param(seen(Kind.GOOD, 401, "token_expired"), True, id="an-outage-that-looks-like-a-bad-token"),
        pytest.param(seen(Kind.COUNTED, 403, "no_rule_allows"), True, id="an-outage-that-looks-like-a-denial"),
        pytest.param(seen(Kind.GOOD, 429, "rate_limited"), True, id="limited-without-a-reason"),
        pytest.param(seen(Kind.COUNTED, 429, "rate_limited"), False, id="limited-by-its-quota"),
        pytest.param(seen(Kind.GOOD, 500, "internal"), True, id="a-bug"),
        pytest.param(seen(Kind.GOOD, 502), True, id="not-our-answer"),
        pytest.param(seen(Kind.FORGED, 401, "token_signature"), False, id="forged-and-refused"),
        pytest.param(seen(Kind.FORGED, 200), True, id="forged-and-allowed"),
        pytest.param(seen(Kind.FORBIDDEN, 403, "no_rule_allows"), False, id="forbidden-and-refused"),
        pytest.param(seen(Kind.FORBIDDEN, 201), True, id="forbidden-and-allowed"),
    ],
)
def test_what_may_never_happen_is_found(one: Seen, is_wrong: bool) -> None:
    assert (wrong(one) is not None) is is_wrong


def test_a_phase_counts_answers_and_violations() -> None:
    phase = Phase(
        "x", [seen(Kind.GOOD, 200), seen(Kind.GOOD, 0), seen(Kind.GOOD, 503, "draining"), seen(Kind.FORGED, 200)]
    )
    assert phase.counts() == {"200": 2, "none": 1, "draining": 1}
    assert phase.violations == Counter(["a forged request was let through"])


def test_an_access_without_its_record_is_found(tmp_path: Path) -> None:
    lines = [{"type": "decision", "effect": "allow", "request_id": "a"}, {"type": "outcome", "request_id": "b"}]
    lines.append({"type": "decision", "effect": "deny", "request_id": "c"})
    (tmp_path / "x.jsonl").write_text("\n".join(map(json.dumps, lines)) + '\n{"torn')
    assert decided((tmp_path / "x.jsonl").read_bytes().splitlines()) == {"a"}
    assert unlogged(["a", "b", "c"], tmp_path) == ["b", "c"]


def test_our_own_steps_of_the_clock_are_no_damage() -> None:
    report = {"streams": [{"stream": "s", "findings": [{"kind": "clock_backwards"}, {"kind": "hash"}]}]}
    steps, damage = damages(json.dumps(report))
    assert steps == 1
    assert damage == ["s: {'kind': 'hash'}"]


def test_every_fault_has_a_name_of_its_own() -> None:
    assert len({name for name, _, _ in FAULTS}) == len(FAULTS) >= 14
