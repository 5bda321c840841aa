"""One HTTP implementation, pinned in code: verdicts cannot differ between parsers that nobody chose."""

import pytest

from gateway.server.protocol import HttpProtocol
from gateway.server.server import Server


@pytest.mark.parametrize("name", ["UVICORN_HTTP", "UVICORN_PROXY_HEADERS", "WEB_CONCURRENCY", "FORWARDED_ALLOW_IPS"])
async def test_H8_the_environment_chooses_no_other_parser_proxy_trust_or_worker_count(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, {"UVICORN_HTTP": "h11", "FORWARDED_ALLOW_IPS": "*"}.get(name, "7"))

    async def app(scope: object, receive: object, send: object) -> None:
        """Never called."""

    config = Server(app, []).config
    assert config.http is HttpProtocol
    assert config.proxy_headers is False
    assert config.workers == 1
