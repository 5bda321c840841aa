import re
from dataclasses import replace
from pathlib import Path

import pytest

from loadtest.client import Tally
from loadtest.job import How
from loadtest.load import Asked, Load, Order, _lua, _wrk, parse_wrk

REPORT = """Running 4s test @ https://127.0.0.1:8443/
  1 threads and 64 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     9.86ms    4.53ms 122.89ms   88.61%
    Req/Sec     6.64k   528.55     7.59k    80.00%
  Latency Distribution
     50%    9.12ms
     75%   11.58ms
     90%   14.21ms
     99%    1.02s
  26454 requests in 4.01s, 33.14MB read
{errors}Requests/sec:   6600.68
Transfer/sec:      8.27MB
"""


def test_wrks_report_is_read() -> None:
    assert parse_wrk(REPORT.format(errors="")) == Load(26454, 9.12, 1020.0, 0)


@pytest.mark.parametrize(
    ("errors", "failed"),
    [
        ("  Non-2xx or 3xx responses: 12\n", 12),
        ("  Socket errors: connect 1, read 2, write 3, timeout 4\n", 10),
        ("  Socket errors: connect 1, read 0, write 0, timeout 0\n  Non-2xx or 3xx responses: 5\n", 6),
    ],
)
def test_answers_that_are_no_success_and_socket_errors_are_failures(errors: str, failed: int) -> None:
    assert parse_wrk(REPORT.format(errors=errors)).failed == failed


def test_where_a_refusal_is_wanted_what_was_let_through_is_a_failure_and_a_close_is_none() -> None:
    refused = "  Socket errors: connect 0, read 1, write 0, timeout 0\n  Non-2xx or 3xx responses: 26450\n"
    assert parse_wrk(REPORT.format(errors=refused), refused=True).failed == 4


def test_another_report_is_no_figure() -> None:
    with pytest.raises(ValueError, match="unable to connect"):
        parse_wrk("unable to connect to 127.0.0.1:8443 Connection refused\n")


def test_a_request_of_the_mix_carries_its_own_token_and_body() -> None:
    assert '"/a"' in _lua(Asked("/a", "t"))
    assert '["Authorization"]="Bearer t"' in _lua(Asked("/a", "t"))
    assert "Authorization" not in _lua(Asked("/a", ""))
    assert _lua(Asked("/a", "", "POST", 5)).endswith('string.rep("x", 5))')


def test_our_own_requests_are_the_same() -> None:
    raw = b"POST /a HTTP/1.1\r\nHost: api.bench.example\r\nAuthorization: Bearer t\r\nContent-Length: 3\r\n\r\nxxx"
    assert Asked("/a", "t", "POST", 3).raw() == raw
    assert Asked("/a", "").raw() == b"GET /a HTTP/1.1\r\nHost: api.bench.example\r\n\r\n"


def test_an_order_is_read_as_it_was_written(tmp_path: Path) -> None:
    order = Order(8443, [Asked("/a", "t"), Asked("/b", "", "PUT", 7)], 2.5, How.PACED, 3, 403, 100.0, "/c")
    order.write(tmp_path / "order")
    assert Order.read(tmp_path / "order") == order


def test_a_load_ranks_what_its_requests_took() -> None:
    assert Load.of([0.25 * n for n in range(100, 0, -1)], 2, 5) == Load(102, 12_750.0, 25_000.0, 2, 5)
    assert Load.of([], 1) == Load(1, 0.0, 0.0, 1)


def test_of_fresh_requests_none_comes_twice(tmp_path: Path) -> None:
    order = Order(1, [Asked("/a", "t"), Asked("/b", "t")], 1.0, fresh=True)
    tally = Tally(order)
    sent = [tally.next() for _ in range(6)]
    assert len(set(sent)) == 6
    assert all(re.match(rb"GET /[ab]\?n=\d+ HTTP/1\.1\r\n", one) for one in sent)
    _wrk(order, tmp_path)
    assert "gsub" in (tmp_path / "mix.lua").read_text()
    usual = replace(order, fresh=False)
    assert len({Tally(usual).next() for _ in range(6)}) == 1
    _wrk(usual, tmp_path)
    assert "gsub" not in (tmp_path / "mix.lua").read_text()
