"""The demo's requests: what is printed is what is sent, and a wrong answer is seen."""

import json
import shlex
from pathlib import Path

import pytest

from gateway.cli.demo.cases import CASES, Case
from gateway.cli.demo.place import Place
from gateway.model.reason import Reason
from gateway.testing.client import Answer

PLACE = Place(Path("/tmp/x"), 1, 8443, 8444, 9901, "http://127.0.0.1:9000", "http://127.0.0.1:8080")
READ = next(case for case in CASES if case.name == "allowed-read")
SEEN = {
    "backend": "inventory",
    "caller": "spiffe://cluster.local/ns/gateway/sa/gateway",
    "headers": {"x-forwarded-client-cert": "…", "x-user": "web"},
}


def answer(status: int, body: object, content_type: str = "application/json") -> Answer:
    return Answer(status, (("content-type", content_type),), json.dumps(body).encode())


def problem(status: int, reason: str) -> Answer:
    return answer(status, {"reason": reason}, "application/problem+json")


def test_names_differ_and_every_refusal_is_a_reason_with_its_status() -> None:
    statuses = {reason.code: reason.status for reason in Reason}
    assert len({case.name for case in CASES}) == len(CASES)
    for case in CASES:
        assert (case.status >= 400) == (case.reason is not None)
        if case.reason is not None:
            assert statuses[case.reason] == case.status
    assert sum(case.reason is not None for case in CASES) == 9


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_line_to_paste_says_what_is_sent(case: Case) -> None:
    line = case.curl(PLACE)
    assert len(line) < 200
    words = shlex.split(line.replace("; done", "").rpartition("do ")[2])
    assert words[0] == "curl"
    assert words[-1] == f"https://localhost:8443{case.target}"
    assert ("--cert" in words) == (case.certificate is not None)
    assert ("-H" in words) == (case.bearer is not None)
    assert (case.method in words) == (case.method != "GET")
    assert ("--path-as-is" in words) == ("/.." in case.target)


def test_the_right_answer_is_right() -> None:
    assert READ.judge(answer(200, SEEN)) is None
    write = next(case for case in CASES if case.name == "forbidden-write")
    assert write.judge(problem(403, "no_rule_allows")) is None


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (problem(403, "no_rule_allows"), "403 no_rule_allows"),
        (answer(200, {**SEEN, "backend": "payments"}), "answered by payments"),
        (answer(200, {**SEEN, "caller": None}), "the backend was called by None"),
        (answer(200, {**SEEN, "headers": {"x-user": "web"}}), "the backend was sent"),
        (answer(200, {**SEEN, "headers": {**SEEN["headers"], "Authorization": "…"}}), "the backend was sent"),  # type: ignore[dict-item]
    ],
)
def test_a_wrong_answer_is_named(wrong: Answer, says: str) -> None:
    assert says in (READ.judge(wrong) or "")


def test_another_reason_for_the_same_status_is_wrong() -> None:
    expired = next(case for case in CASES if case.name == "expired-token")
    assert expired.judge(problem(401, "token_signature")) == "401 token_signature"
