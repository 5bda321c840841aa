import json
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.testing.ca import Authority
from gateway.testing.tls import server_context
from gateway.testing.upstream import Upstream, answer
from loadtest.load import Load


@pytest.mark.parametrize(("status", "all_failed"), [(200, False), (403, True)])
async def test_our_client_asks_again_and_again_and_counts_what_failed(
    tmp_path: Path, status: int, all_failed: bool
) -> None:
    ca = Authority("bench.local")
    mix = tmp_path / "mix.json"
    mix.write_text(json.dumps([["/a", "token-a"], ["/b", ""]]))
    async with Upstream(answer(status, body=b"ok"), tls=server_context(ca.issue(dns=["localhost"]))) as upstream:
        loop_command = [sys.executable, "-m", "loadtest.client", str(upstream.port), str(mix), "2", "0.5"]
        process = await _run(loop_command)
        load = Load(**json.loads(process.stdout))
        assert 4 < load.requests <= len(upstream.calls)
        assert load.failed == (load.requests if all_failed else 0)
        assert {call.target for call in upstream.calls} == {b"/a", b"/b"}


async def _run(command: list[str]) -> subprocess.CompletedProcess[str]:
    import anyio

    done = await anyio.run_process(command)
    return subprocess.CompletedProcess(command, done.returncode, done.stdout.decode(), done.stderr.decode())
