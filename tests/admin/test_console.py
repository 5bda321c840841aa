"""The console: the status for people, safe to look at."""

from gateway.admin import AdminCall, Check
from gateway.admin.console import page
from tests.admin.scene import BEARER, Gateway, serving


async def test_the_console_shows_the_status_and_nothing_active() -> None:
    gateway = Gateway(sections={"routes": lambda: ["<script>alert(1)</script>"], "ready": lambda: True})
    gateway.checks.append(Check("issuer <corp>", ok=False, needed=False, detail="down"))
    async with serving(gateway.source()) as client:
        answer = await client.get("/console", headers=BEARER)
    assert answer.headers["content-type"].startswith("text/html")
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")
    assert "<h1>gateway: ready</h1>" in answer.text
    assert "<td>not ok</td><td>issuer &lt;corp&gt;</td><td>down</td>" in answer.text
    assert "&lt;script&gt;" in answer.text
    assert "<script" not in answer.text
    assert gateway.calls == [AdminCall("console", 200, "127.0.0.1")]


def test_what_is_not_ready_and_what_is_nothing_are_said_in_words() -> None:
    text = page([Check("audit", ok=False, detail="full")], {"workers": [], "failure": None, "draining": False, "n": 3})
    assert "<h1>gateway: not ready</h1>" in text
    assert "<dt>workers</dt><dd>none</dd>" in text
    assert "<dt>failure</dt><dd>none</dd>" in text
    assert "<dt>draining</dt><dd>no</dd>" in text
    assert "<dt>n</dt><dd>3</dd>" in text
