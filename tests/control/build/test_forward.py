"""routes.yaml into a forward stage: what the file says is what a backend gets."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from gateway.config.load import load
from gateway.config.schema import Config
from gateway.control.build.answer import build_answer
from gateway.control.build.forward import build_forward
from gateway.control.build.upstreams import build_upstreams
from gateway.kernel.cells import Metrics
from gateway.model.route import Route
from gateway.stages.forward.stage import Forward
from gateway.testing.ca import Authority
from gateway.testing.upstream import Upstream, answer, in_turn
from gateway.testing.wait import until
from tests.backends import Watch
from tests.exchange import Recorder, context, head, permit, trace, user

ROUTES = """
  - name: users
    match: {paths: ["/users/*"]}
    upstream: inventory
    public: true
    rewrite: {prefix: /people, host: people.internal}
    forward:
      authorization: keep
      headers: {X-User: claims.sub, x_env: "'prod'"}
      keep: [X-Original-URL]
    request_headers: {set: {X-Tier: gold}, remove: [x-debug]}
    response_headers: {set: {Cache-Control: no-store}, remove: [Server]}
    max_body: 4B
  - name: open
    match: {paths: ["/open/*"]}
    upstream: inventory
    public: true
    cors: {origins: ["https://app.example.com"], methods: [GET]}
  - {name: health, match: {paths: [/health]}, public: true, respond: {status: 200, body: ok}}
  - {name: old, match: {paths: [/old]}, public: true, redirect: {to: /new, status: 301}}
"""


def config(folder: Path, url: str, *, routes: str = ROUTES, more: str = "") -> Config:
    files = Authority("cluster.local").issue(dns=["localhost"]).write(folder, "edge")
    (folder / "routes.yaml").write_text(
        "version: 1\n"
        'listeners: {edge: {address: "127.0.0.1:0", tls: '
        f"{{certificate: {files.certificate}, key: {files.key}}}}}}}\n"
        "audit: {directory: audit}\n"
        f"upstreams:\n  inventory: {{endpoints: ['{url}']}}\n{more}"
        f"routes:{routes}"
    )
    return load(folder / "routes.yaml")


@asynccontextmanager
async def built(folder: Path) -> AsyncIterator[tuple[Forward, Upstream]]:
    async with Upstream(answer(headers=[(b"server", b"x")])) as backend:
        loaded = config(folder, backend.url)
        upstreams = build_upstreams(loaded, None, Metrics())
        yield build_forward(loaded, upstreams.clusters, Watch()), backend
        upstreams.abort()


async def test_what_a_route_says_is_sent(tmp_path: Path) -> None:
    async with built(tmp_path) as (stage, backend):
        forged = [("x-user", "root"), ("x-debug", "1"), ("x-original-url", "/o"), ("authorization", "Bearer t")]
        request = head(target="/users/7?q", headers=forged)
        exchange = Recorder(request)
        outcome = await stage(permit(context(request), prefix="/users", user=user()), exchange, [])
        call = backend.calls[0]
        assert (call.target, call.value("host"), call.value("authorization")) == (
            b"/people/7?q",
            "people.internal",
            "Bearer t",
        )
        assert [call.value(name) for name in ("x-user", "x_env", "x-tier", "x-debug", "x-original-url")] == [
            "alice",
            "prod",
            "gold",
            None,
            "/o",
        ]
        assert (call.value("via") or "").startswith("1.1 gateway-")
        assert (exchange.value("cache-control"), exchange.value("server")) == ("no-store", None)
        assert (outcome.upstream, outcome.endpoint) == ("inventory", backend.url)


async def test_H14_what_one_route_sets_is_taken_from_clients_on_every_other(tmp_path: Path) -> None:
    async with built(tmp_path) as (stage, backend):
        request = head(target="/open/1", headers=[("x-user", "root"), ("x-env", "root"), ("x-tier", "root")])
        await stage(permit(context(request), index=1), Recorder(request), [])
        assert b"root" not in backend.calls[0].head


ALIKE = """
  - {name: one, match: {paths: ["/one/*"]}, upstream: inventory, public: true}
  - {name: two, match: {paths: ["/two/*"]}, upstream: inventory, public: true}
  - {name: named, match: {paths: ["/n/*"]}, upstream: inventory, public: true, forward: {headers: {x-user: claims.sub}}}
  - {name: kept, match: {paths: ["/k/*"]}, upstream: inventory, public: true, forward: {authorization: keep}}
  - {name: moved, match: {paths: ["/m/*"]}, upstream: inventory, public: true, rewrite: {prefix: /elsewhere}}
  - {name: set, match: {paths: ["/s/*"]}, upstream: inventory, public: true, request_headers: {set: {x-tier: gold}}}
  - {name: last, match: {paths: ["/l/*"]}, upstream: inventory, public: true}
"""


async def test_routes_that_do_alike_share_what_does_it_and_no_other_route_does_it_too(tmp_path: Path) -> None:
    async with Upstream(answer()) as backend:
        loaded = config(tmp_path, backend.url, routes=ALIKE)
        upstreams = build_upstreams(loaded, None, Metrics())
        stage = build_forward(loaded, upstreams.clusters, Watch())
        for index, path in enumerate(("/one/1", "/two/1", "/n/1", "/k/1", "/m/1", "/s/1", "/l/1")):
            request = head(target=path, headers=[("authorization", "Bearer t")])
            ours = permit(context(request), index=index, prefix=path[:-2], user=user())
            await stage(ours, Recorder(request), [])
        upstreams.abort()
    assert [call.target for call in backend.calls] == [
        b"/one/1",
        b"/two/1",
        b"/n/1",
        b"/k/1",
        b"/elsewhere/1",
        b"/s/1",
        b"/l/1",
    ]
    assert [call.value("x-user") for call in backend.calls] == [None, None, "alice", None, None, None, None]
    assert [call.value("authorization") for call in backend.calls] == [None] * 3 + ["Bearer t"] + [None] * 3
    assert [call.value("x-tier") for call in backend.calls] == [None] * 5 + ["gold", None]
    ways = stage._ways
    assert ways[0] is ways[1] is ways[6]
    assert len({id(way) for way in ways[:7]}) == 5


async def test_respond_and_redirect(tmp_path: Path) -> None:
    async with built(tmp_path) as (stage, backend):
        for index, status in ((2, 200), (3, 301)):
            exchange = Recorder(head())
            await stage(permit(context(exchange.head), index=index), exchange, [])
            assert exchange.status == status
        assert (exchange.value("location"), backend.connections) == ("/new", 0)


@pytest.mark.parametrize(
    ("route", "message"),
    [
        ("forward: {headers: {x-user: sub}}", "neither a claim path"),
        ("forward: {headers: {host: claims.sub}}", "sets host itself"),
        ("forward: {headers: {x-a: claims.sub}}\n    request_headers: {set: {X-A: b}}", "set twice"),
    ],
)
def test_what_cannot_be_is_refused_with_its_place(tmp_path: Path, route: str, message: str) -> None:
    routes = f'\n  - name: a\n    match: {{paths: ["/*"]}}\n    upstream: inventory\n    public: true\n    {route}\n'
    with pytest.raises(Exception, match=message) as found:
        build_forward(
            loaded := config(tmp_path, "http://127.0.0.1:1", routes=routes),
            build_upstreams(loaded, None, Metrics()).clusters,
            Watch(),
        )
    assert "routes.yaml:" in str(found.value) or hasattr(found.value, "errors")


def test_cors_of_the_file_stands_in_the_answer_stage(tmp_path: Path) -> None:
    stage = build_answer(config(tmp_path, "http://127.0.0.1:1"))
    request = head(headers=[("origin", "https://app.example.com")])
    for index, allowed in ((0, False), (1, True)):
        seen = trace(request, context(request), route=Route("r", index, True, None, ""))
        names = [name for name, _ in stage.headers(seen)]
        assert (b"access-control-allow-origin" in names) is allowed


SPREAD = """
  - name: canary
    match: {paths: ["/canary/*"]}
    upstream: [{upstream: inventory, weight: 1}, {upstream: next, weight: 1}]
    public: true
  - name: mirrored
    match: {paths: ["/mirrored/*"]}
    upstream: inventory
    mirror: {upstream: next, percent: 100%}
    public: true
  - name: retried
    match: {paths: ["/retried/*"]}
    upstream: [shaky]
    public: true
"""


async def test_weights_mirror_and_retries_are_what_the_file_says(tmp_path: Path) -> None:
    async with Upstream(in_turn(answer(200), answer(503), answer(200))) as backend, Upstream() as other:
        more = (
            f"  next: {{endpoints: ['{other.url}']}}\n"
            f"  shaky: {{endpoints: ['{backend.url}'], retries: {{on: ['503']}}}}\n"
        )
        loaded = config(tmp_path, other.url, routes=SPREAD, more=more)
        upstreams = build_upstreams(loaded, None, Metrics())
        stage = build_forward(loaded, upstreams.clusters, Watch())

        async def ask(index: int) -> tuple[int, str | None]:
            request = head(target="/a")
            exchange = Recorder(request)
            outcome = await stage(permit(context(request), index=index), exchange, [])
            return exchange.status, outcome.upstream

        assert {await ask(0) for _ in range(40)} == {(200, "inventory"), (200, "next")}
        seen = len(other.calls)
        assert await ask(1) == (200, "inventory")
        await until(lambda: len(other.calls) == seen + 2)
        assert [await ask(2) for _ in range(2)] == [(200, "shaky")] * 2
        assert len(backend.calls) == 3
        upstreams.abort()
