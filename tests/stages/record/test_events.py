"""Records that no request makes, and how strangers are bounded in making them."""

from pathlib import Path
from typing import Any

from gateway.stages.record import record_admin, record_config, record_handshake, record_store
from gateway.stages.record.flood import PER_SECOND
from tests.stages.record.scene import lines, open_log


def own(record: dict[str, Any]) -> dict[str, Any]:
    """The members that are not the chain's."""
    return {name: record[name] for name in list(record)[4:-2]}


async def test_each_says_what_happened(tmp_path: Path) -> None:
    log = open_log(tmp_path)
    log.start()
    record_config(log, digest="ab", ok=True)
    record_config(log, digest="cd", ok=False, errors=3)
    record_admin(log, action="reload", status=200, client="127.0.0.1")
    record_admin(log, action="drain", status=401, client='evil"\n')
    record_store(log, store="redis://127.0.0.1:6379/0", up=False, trouble="Redis answers OOM")
    record_handshake(
        log,
        listener="edge",
        client="203.0.113.7",
        reason="expired",
        sni='a"\u202e.example',
        detail="certificate has expired",
        certificate='spiffe://a/"\x1b[31m',
    )
    await log.close()
    assert [own(record) for record in lines(tmp_path)[1:-1]] == [
        {"result": "success", "config": "ab", "errors": 0},
        {"result": "failure", "config": "cd", "errors": 3},
        {"action": "reload", "status": 200, "client_ip": "127.0.0.1"},
        {"action": "drain", "status": 401, "client_ip": 'evil"\n'},
        {"store": "redis://127.0.0.1:6379/0", "state": "down", "detail": "Redis answers OOM"},
        {
            "listener": "edge",
            "client_ip": "203.0.113.7",
            "sni": 'a"\u202e.example',
            "certificate": 'spiffe://a/"\x1b[31m',
            "reason": "expired",
            "detail": "certificate has expired",
        },
    ]


async def test_A11_refused_admin_calls_are_bounded_and_accepted_ones_are_not(tmp_path: Path) -> None:
    log = open_log(tmp_path)
    log.start()
    for status in (401, 200):
        for _ in range(PER_SECOND + 9):
            record_admin(log, action="reload", status=status, client="127.0.0.1")
    await log.close()
    statuses = [record["status"] for record in lines(tmp_path) if record["type"] == "admin"]
    assert (statuses.count(401), statuses.count(200)) == (PER_SECOND, PER_SECOND + 9)
