"""First match in file order, whatever the size of the file."""

from dataclasses import replace
from timeit import repeat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.kernel.patterns.hosts import parse_route_host
from gateway.kernel.patterns.paths import compile_path
from gateway.model.reason import Reason
from gateway.model.request import Preflight, RepeatedHead
from gateway.stages.route import OwnPaths, Routes, RouteSettings
from tests.facts import connection, context


def route(name: str, *paths: str, **more: object) -> RouteSettings:
    asked = RouteSettings(name, False, None, frozenset(), (), paths, frozenset(), {})
    return replace(asked, **more)  # type: ignore[arg-type]


def test_Z16_the_first_route_of_the_file_takes_it() -> None:
    routes = Routes([route("wide", "/a/*"), route("narrow", "/a/b"), route("rest", "/{**}"), route("all", "*")])
    assert [routes(context(path)).name for path in ("/a/b", "/a/", "/c")] == ["wide", "wide", "rest"]


def test_Z16_file_order_holds_between_hosts_and_kinds_of_pattern() -> None:
    routes = Routes(
        [
            route("any-host-exact", "/x"),
            route("host", "/*", hosts=("api.example.com",)),
            route("below", "/*", hosts=("*.example.com",)),
            route("suffix", "*.png"),
            route("anywhere", "/*", hosts=("*",)),
        ]
    )
    seen = [routes(context(path, host=host)).name for path, host in [
        ("/x", "api.example.com"), ("/y", "api.example.com"), ("/y", "a.b.example.com"), ("/y.png", "example.com"),
        ("/y", "example.com"), ("/y", "notexample.com"),
    ]]  # fmt: skip
    assert seen == ["any-host-exact", "host", "below", "suffix", "anywhere", "anywhere"]


def test_each_condition_narrows() -> None:
    routes = Routes(
        [
            route("canary", "/a", headers={"X-Canary": "1*"}),
            route("inner", "/a", listeners=frozenset({"inner"})),
            route("write", "/a", methods=frozenset({"POST"})),
            route("read", "/a", methods=frozenset({"GET"})),
        ]
    )
    assert routes(context("/a", headers={"x-canary": ("1",)})).name == "canary"
    assert routes(context("/a", over=connection(listener="inner"))).name == "inner"
    assert routes(context("/a", method="POST")).name == "write"
    assert routes(context("/a")).name == "read"


@pytest.mark.parametrize("values", [("1", "2"), ("2", "1"), ("2",), ("",)])
def test_H17_a_repeated_header_does_not_choose_a_route(values: tuple[str, ...]) -> None:
    routes = Routes([route("canary", "/a", headers={"x-canary": "1"}), route("rest", "/a")])
    assert routes(context("/a", headers={"x-canary": values})).name == "rest"


def test_no_route_and_no_method_are_told_apart() -> None:
    routes = Routes(
        [
            route("read", "/a", methods=frozenset({"GET", "HEAD"})),
            route("write", "/a", methods=frozenset({"PUT"})),
            route("hidden", "/a", methods=frozenset({"DELETE"}), listeners=frozenset({"inner"})),
        ]
    )
    missed = routes(context("/a", method="POST"))
    assert (missed.name, missed.index, missed.refusal) == ("none", -1, Reason.METHOD_NOT_ALLOWED)
    assert missed.allowed_methods == ("GET", "HEAD", "PUT")
    assert routes(context("/b")).refusal is Reason.NO_ROUTE


@pytest.mark.parametrize("method", ["TRACE", "CONNECT"])
def test_H19_trace_and_connect_are_never_routed(method: str) -> None:
    routes = Routes([route("all", "*", methods=frozenset({"TRACE", "CONNECT", "GET"})), route("any", "*")])
    assert routes(context("/a", method=method)).refusal is Reason.METHOD_NOT_ALLOWED
    assert Routes([route("other", "/b")])(context("/a", method=method)).refusal is Reason.METHOD_NOT_ALLOWED


def test_H29_a_preflight_is_routed_by_the_method_that_it_asks_about() -> None:
    routes = Routes(
        [route("options", "/a", methods=frozenset({"OPTIONS"})), route("put", "/a", methods=frozenset({"PUT"}))]
    )
    asking = Preflight("https://app.example.com", "PUT", ())
    assert routes(context("/a", method="OPTIONS", preflight=asking)).name == "put"
    assert routes(context("/a", method="OPTIONS")).name == "options"
    unknown = routes(context("/a", method="OPTIONS", preflight=replace(asking, method="BREW")))
    assert unknown.refusal is Reason.METHOD_NOT_ALLOWED


OWN = OwnPaths({"/.well-known/gateway/x": frozenset({"GET"})}, frozenset({"edge"}), frozenset({"plain"}))


@pytest.mark.parametrize("host", ["api.example.com", "elsewhere", "192.0.2.1"])
def test_own_addresses_come_before_every_route_on_every_host(host: str) -> None:
    everywhere = [route("all", "*"), route("host", "/*", hosts=(host,)), route("x", "/.well-known/gateway/x")]
    routes = Routes(everywhere, OWN)
    found = routes(context("/.well-known/gateway/x", host=host))
    assert (found.index, found.refusal) == (-1, None)
    posted = routes(context("/.well-known/gateway/x", host=host, method="POST"))
    assert (posted.refusal, posted.allowed_methods) == (Reason.METHOD_NOT_ALLOWED, ("GET",))
    assert routes(context("/.well-known/gateway/y", host=host)).name == "all"


def test_own_addresses_are_nobodys_where_they_are_not_served() -> None:
    routes = Routes([route("all", "*")], OWN)
    assert routes(context("/.well-known/gateway/x", over=connection(listener="plain"))).refusal is Reason.NO_ROUTE


def test_the_prefix_is_the_text_before_the_star_of_the_pattern_that_matched() -> None:
    routes = Routes([route("r", "/api/v1/*", "/old/*", "/exact", "/*")])
    assert [routes(context(path)).prefix for path in ("/api/v1/x", "/old/x", "/exact", "/z")] == [
        "/api/v1",
        "/old",
        "",
        "",
    ]


def test_asterisk_form_is_for_routes_of_every_path_only() -> None:
    assert Routes([route("some", "/*", "/{**}")])(context("*", method="OPTIONS")).refusal is Reason.NO_ROUTE
    assert Routes([route("all", "*")])(context("*", method="OPTIONS")).name == "all"


def test_a_bad_pattern_is_refused_when_built() -> None:
    for bad in (route("r", "a"), route("r", "/a", hosts=("a*b",)), route("r", "/a", headers={"x": "a*b"})):
        with pytest.raises(ValueError):
            Routes([bad])


HOSTS = ["", "*", "a.example", "*.example", "*.a.example"]
PATHS = ["/a", "/a/*", "/a*", "*b", "/{*}/b", "/{**}", "*"]


@given(
    st.lists(
        st.tuples(st.sampled_from(HOSTS), st.sampled_from(PATHS), st.sampled_from(["", "GET", "PUT"])), max_size=8
    ),
    st.sampled_from(["a.example", "x.a.example", "other"]),
    st.sampled_from(["/a", "/a/b", "/ab", "/b", "/a/b/c"]),
)
def test_Z16_the_index_agrees_with_walking_the_file(asked: list[tuple[str, str, str]], host: str, path: str) -> None:
    def takes(pattern: str) -> bool:
        kind, text = parse_route_host(pattern)
        return kind == "any" or host == text if kind != "below" else host.endswith("." + text)

    walked = next(
        (
            str(index)
            for index, (on, at, method) in enumerate(asked)
            if (not on or takes(on)) and compile_path(at)(path) and method in ("", "GET")
        ),
        "none",
    )
    routes = Routes(
        [
            route(str(index), at, hosts=(on,) if on else (), methods=frozenset({method} if method else ()))
            for index, (on, at, method) in enumerate(asked)
        ]
    )
    assert routes(context(path, host=host)).name == walked
    assert routes(context(path, host=host)).name == walked  # now from memory


def test_H17_what_a_field_took_part_in_is_never_remembered() -> None:
    routes = Routes([route("canary", "/a", headers={"x-canary": "1"}), route("rest", "/a"), route("plain", "/b")])
    fields = [{"x-canary": ("1",)}, {}, {"x-canary": ("2",)}, {"x-canary": ("1",)}]
    assert [routes(context("/a", headers=each)).name for each in fields] == ["canary", "rest", "rest", "canary"]
    assert [routes(context("/b", headers=each)).name for each in fields] == ["plain"] * 4


def test_what_is_remembered_is_remembered_for_its_method_host_and_listener() -> None:
    routes = Routes(
        [
            route("inner", "/a", listeners=frozenset({"inner"})),
            route("hosted", "/a", hosts=("b.example",)),
            route("read", "/a", methods=frozenset({"GET"})),
        ]
    )
    for _ in range(2):
        assert routes(context("/a")).name == "read"
        assert routes(context("/a", host="b.example")).name == "hosted"
        assert routes(context("/a", over=connection(listener="inner"))).name == "inner"
        assert routes(context("/a", method="POST")).refusal is Reason.METHOD_NOT_ALLOWED


def test_R9_a_flood_of_paths_takes_no_more_place_than_is_given() -> None:
    routes = Routes([route("all", "/*")])
    for n in range(30_000):
        assert routes(context(f"/{n}")).name == "all"
    assert routes(context("/" + "a" * 5000)).name == "all"
    assert 0 < len(routes._taken) <= 16_384


def test_the_cost_does_not_grow_with_the_file() -> None:
    def cost(size: int) -> float:
        routes = Routes([route(f"r{n}", f"/api/v{n}/*", f"/t{n}/{{*}}/x") for n in range(size)])
        asked = [context(f"/api/v{size - 1}/items/{n}") for n in range(1000)]
        fresh = iter(asked)  # none of them is remembered
        assert routes(context(f"/api/v{size - 1}/items")).name == f"r{size - 1}"
        return min(repeat(lambda: routes(next(fresh)), number=200, repeat=5))

    assert cost(5000) < 5 * cost(10)


def test_what_is_kept_with_a_head_holds_for_one_table_and_what_was_read_of_it_alone() -> None:
    first, second = Routes([route("first", "/a"), route("rest", "*")]), Routes([route("second", "*")])
    asked = context("/a")
    asked = replace(asked, head=replace(asked.head, again=RepeatedHead()))
    for _ in range(2):
        assert (first(asked).name, second(asked).name) == ("first", "second")
        assert first(replace(asked, path="/b")).name == "rest"  # as another normaliser reads the same head


def test_a_route_that_a_field_decides_is_kept_with_the_head_that_holds_it() -> None:
    routes = Routes([route("canary", "/a", headers={"x-canary": "1"}), route("all", "*")])
    for values, name in (({"x-canary": ("1",)}, "canary"), ({}, "all")):
        asked = context("/a", headers=values)
        asked = replace(asked, head=replace(asked.head, again=RepeatedHead()))
        assert [routes(asked).name for _ in range(2)] == [name] * 2
