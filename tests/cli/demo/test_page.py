"""The browser application's own server."""

from html.parser import HTMLParser

import httpx2

from gateway.cli.demo.page import application
from gateway.testing.serve import serving
from tests.plain import NO_TLS

SETTINGS = {"issuer": "http://127.0.0.1:9000", "client_id": "app", "gateway": "https://localhost:8444"}


class References(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.ids: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.found += [value for name in ("src", "href") if (value := given.get(name))]
        self.ids |= {value} if (value := given.get("id")) else set()


async def test_the_page_refers_only_to_files_that_are_served_and_may_be_loaded() -> None:
    async with (
        serving(lambda _: application(SETTINGS)) as url,
        httpx2.AsyncClient(verify=NO_TLS, trust_env=False) as client,
    ):
        page = await client.get(f"{url}/")
        references = References()
        references.feed(page.text)
        assert references.found
        for name in references.found:
            assert (await client.get(f"{url}/{name}")).status_code == 200
        policy = page.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert f"connect-src 'self' {SETTINGS['issuer']} {SETTINGS['gateway']}" in policy
        assert "unsafe" not in policy
        assert (await client.get(f"{url}/config.json")).json() == SETTINGS
        assert (await client.get(f"{url}/page.py")).status_code == 404


async def test_the_script_touches_only_elements_that_exist() -> None:
    async with (
        serving(lambda _: application(SETTINGS)) as url,
        httpx2.AsyncClient(verify=NO_TLS, trust_env=False) as client,
    ):
        references = References()
        references.feed((await client.get(f"{url}/")).text)
        script = (await client.get(f"{url}/app.js")).text
    named = {part.split('")')[0] for part in script.split('$("')[1:]}
    assert named
    assert named <= references.ids
