"""`token_exchange` of a file: what it becomes, what outlives a reload, and what cannot be meant."""

from pathlib import Path

import pytest

from gateway.config.load import load
from gateway.config.problem import ConfigInvalid
from gateway.config.schema import Config
from gateway.control.build.token_exchange import token_exchanges
from gateway.kernel.cells import Metrics

FULL = "{client_id: gateway, client_secret: s, audiences: [stock-api]}"


def config(
    folder: Path, exchange: str = FULL, *, issuers: str = "", route: str = "", secret: str = "s", mirror: str = "stock"
) -> Config:
    asked = exchange.replace("secret: s", f"secret: {secret}")
    (folder / "routes.yaml").write_text(
        "version: 1\n"
        'listeners: {edge: {address: "127.0.0.1:0"}}\n'
        'issuers:\n  corp: {issuer: "https://auth.example.com", audiences: [api]}\n'
        f"{issuers}"
        "upstreams:\n"
        f'  stock: {{endpoints: ["http://127.0.0.1:1"], token_exchange: {asked}}}\n'
        '  plain: {endpoints: ["http://127.0.0.1:2"]}\n'
        f'routes: [{{name: all, match: {{paths: ["*"]}}, upstream: {mirror}, '
        f"allow: [{{from: {{issuers: [corp]}}}}]{route}}}]\n"
    )
    return load(folder / "routes.yaml")


def test_what_it_becomes(tmp_path: Path) -> None:
    asked = (
        '{issuer: corp, url: "https://sts.example/token", client_id: gateway, client_secret: s, cache: 1m,'
        ' audiences: [a, b], resources: ["https://stock.example"], scopes: [read]}'
    )
    made = token_exchanges(config(tmp_path, asked), None, Metrics(), lambda: 0.0)
    assert list(made.exchangers) == list(made.clients) == ["stock"]
    settings = made.clients["stock"].settings
    assert (settings.issuer, settings.client.url, settings.cache) == ("corp", "https://sts.example/token", 60.0)
    assert (settings.audiences, settings.resources, settings.scopes) == (
        ("a", "b"),
        ("https://stock.example",),
        ("read",),
    )
    assert (settings.client.issuer, settings.client.method) == ("https://auth.example.com", "client_secret_basic")
    assert "secret='s'" not in repr(settings)


async def test_what_was_exchanged_outlives_a_reload_that_changes_nothing_of_it(tmp_path: Path) -> None:
    first = token_exchanges(config(tmp_path), None, Metrics(), lambda: 0.0)
    same = token_exchanges(config(tmp_path), first, Metrics(), lambda: 0.0)
    assert same.exchangers["stock"] is first.exchangers["stock"]
    other = token_exchanges(config(tmp_path, secret="other"), first, Metrics(), lambda: 0.0)
    assert other.exchangers["stock"] is not first.exchangers["stock"]
    await first.close(keep=other)
    await other.close()


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"exchange": "{client_id: g, client_secret: s}"}, "nothing says what the new token is for"),
        ({"exchange": "{client_id: g, audiences: [a]}"}, "client_secret_basic needs client_secret"),
        ({"exchange": "{client_secret: s, audiences: [a]}"}, "'client_id' is missing"),
        ({"exchange": f"{FULL[:-1]}, client_key: none.key}}"}, "none.key: no such file"),
        ({"exchange": f"{FULL[:-1]}, issuer: crop}}"}, "'crop' is none of issuers (did you mean 'corp'?)"),
        ({"exchange": f'{FULL[:-1]}, url: "http://sts.example"}}'}, "is not protected on its way"),
        ({"exchange": f'{FULL[:-1]}, url: "https://169.254.169.254"}}'}, "the gateway never connects there"),
        ({"exchange": f"{FULL[:-1]}, resources: [stock]}}"}, "is no absolute URI"),
        ({"exchange": f'{FULL[:-1]}, resources: ["https://a/#b"]}}'}, "has no fragment"),
        ({"exchange": f'{FULL[:-1]}, scopes: ["a b"]}}'}, "is no scope"),
        ({"exchange": f"{FULL[:-1]}, audience: a}}"}, "did you mean 'audiences'?"),
        ({"exchange": f"{FULL[:-1]}, cache: 2h}}"}, "at most 3600 is wanted"),
        (
            {"issuers": '  other: {issuer: "https://other.example.com", audiences: [api]}\n'},
            "nothing says whose tokens are exchanged",
        ),
        ({"route": ", forward: {authorization: keep}"}, "the caller's token is exchanged, never kept"),
        ({"route": ", forward: {headers: {Authorization: claims.sub}}"}, "nothing else can be set there"),
        ({"route": ", request_headers: {set: {authorization: x}}"}, "nothing else can be set there"),
        (
            {"mirror": "plain", "route": ", mirror: {upstream: stock, percent: 1%}, forward: {authorization: keep}"},
            "the caller's token is exchanged, never kept",
        ),
    ],
)
def test_what_cannot_be_meant_is_an_error(tmp_path: Path, changes: dict[str, str], error: str) -> None:
    with pytest.raises(ConfigInvalid) as invalid:
        config(tmp_path, **changes)
    assert any(error in str(problem) for problem in invalid.value.errors), list(map(str, invalid.value.errors))
