import asyncio
from pathlib import Path

import pytest

from gateway.config.load import load
from gateway.config.schema import Config
from gateway.control.build.ratelimit import LimitStore, build_ratelimit, slot_parts
from gateway.kernel.cells import Metrics
from gateway.model.reason import Reason
from gateway.model.refused import Refused
from gateway.stages.ratelimit import RateLimit
from gateway.testing.ca import Authority
from gateway.testing.process import free_ports
from gateway.testing.wait import wait_for
from tests.absent import absent
from tests.due import due
from tests.redis_server import redis_server, with_tls
from tests.redis_topologies import clustered
from tests.stages.ratelimit.requests import NO_ROUTE, anonymous, request, route, trace, user

ROUTES = """
version: 1
workers: {workers}
store: {store}
listeners:
  edge: {{address: "127.0.0.1:8080", rate_limits: [per-address], on_failed_authentication: bad}}
  inside: {{address: "127.0.0.1:8081"}}
rate_limits:
  per-address: {{rate: {rate}, key: [client_ip]}}
  bad: {{rate: 2/minute, key: [client_ip], algorithm: fixed_window}}
  per-client: {{rate: 2/minute, algorithm: token_bucket, burst: 4, on_store_failure: deny}}
  per-route: {{rate: 3/minute, key: [route]}}
upstreams:
  u: {{endpoints: ["http://127.0.0.1:9"]}}
routes:
  - {{name: a, match: {{paths: [/a]}}, upstream: u, rate_limits: [per-client, per-route, per-address], public: true}}
  - {{name: b, match: {{paths: [/b]}}, upstream: u, rate_limits: [per-client, per-route], public: true}}
  - {{name: c, match: {{paths: [/c]}}, respond: {{status: 200}}, public: true}}
audit: {{directory: var/audit}}
"""


def config(directory: Path, *, store: str = "memory://", workers: int = 1, rate: str = "5/minute") -> Config:
    path = directory / "routes.yaml"
    path.write_text(ROUTES.format(store=store, workers=workers, rate=rate))
    return load(path)


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


async def admitted(stage: RateLimit, gate: str, index: int, tries: int = 20, listener: str = "edge") -> int:
    passed = 0
    for _ in range(tries):
        ctx, taken = request(listener=listener), NO_ROUTE if index < 0 else route(index)
        try:
            await due(
                stage.by_address(ctx, taken, trace())
                if gate == "address"
                else stage.by_caller(ctx, taken, anonymous(), trace())
            )
        except Refused as refused:
            if refused.reason is not Reason.RATE_LIMITED:
                raise
        else:
            passed += 1
    return passed


async def test_limits_stand_at_the_gate_that_their_key_says(tmp_path: Path, metrics: Metrics) -> None:
    made = config(tmp_path)
    stage = build_ratelimit(made, LimitStore.of(made, metrics), metrics)
    assert await admitted(stage, "address", -1) == 5  # requests without a route too
    assert await admitted(stage, "address", 0) == 0  # named twice, one budget
    assert await admitted(stage, "caller", 0) == 3  # per-route
    assert await admitted(stage, "caller", 1) == 1  # what per-client has left; per-route is another bucket here
    assert await admitted(stage, "caller", 2) == 20
    assert await admitted(stage, "address", 2, listener="inside") == 20
    counted = dict(metrics.rate_limit_decisions.rows())
    assert counted[("per-address", "admitted")] == 5
    assert counted[("per-address", "refused")] == 35


async def test_a_limit_that_a_route_shares_with_its_listener_is_charged_once(tmp_path: Path, metrics: Metrics) -> None:
    made = config(tmp_path)
    stage = build_ratelimit(made, LimitStore.of(made, metrics), metrics)
    statuses = await due(stage.by_address(request(), route(0), trace()))
    assert [(policy.name, left) for policy, left, _ in statuses] == [("per-address", 4)]


async def test_several_workers_divide_what_memory_counts(tmp_path: Path, metrics: Metrics) -> None:
    made = config(tmp_path, workers=2)
    assert await admitted(build_ratelimit(made, LimitStore.of(made, metrics), metrics), "address", -1) == 3


async def test_R13_a_reload_with_another_rate_keeps_what_was_spent(tmp_path: Path, metrics: Metrics) -> None:
    before = config(tmp_path)
    store = LimitStore.of(before, metrics)
    old = build_ratelimit(before, store, metrics)
    assert await admitted(old, "address", -1, tries=4) == 4
    after = config(tmp_path, rate="6/minute")
    assert store.serves(after)
    new = build_ratelimit(after, store, metrics)
    del old
    assert await admitted(new, "address", -1) == 2


def test_another_store_or_number_of_workers_needs_another_store(tmp_path: Path, metrics: Metrics) -> None:
    made = config(tmp_path, store="redis://:pw@127.0.0.1:1")
    store = LimitStore.of(made, metrics)
    assert store.serves(made)
    assert not store.serves(config(tmp_path, store="redis://:new@127.0.0.1:1"))
    assert not store.serves(config(tmp_path))
    assert not store.serves(config(tmp_path, store="redis://:pw@127.0.0.1:1", workers=2))


async def test_the_state_of_the_store_is_shown(tmp_path: Path, metrics: Metrics) -> None:
    with redis_server(tmp_path / "r", password="pw") as server:
        made = config(tmp_path, store=server.url)
        store = LimitStore.of(made, metrics)
        await store.start()
        assert store.trouble is None
        assert metrics.rate_limit_store_up.value == 1
        assert await admitted(build_ratelimit(made, store, metrics), "address", -1) == 5
        await store.close()
    store = LimitStore.of(made, metrics)
    await store.start()
    assert store.trouble is not None
    assert "pw" not in store.trouble
    assert metrics.rate_limit_store_up.value == 0
    stage = build_ratelimit(made, store, metrics)
    assert await admitted(stage, "address", -1) == 5  # local
    with pytest.raises(Refused) as refused:
        await due(stage.by_caller(request(), route(0), user(), trace()))
    assert refused.value.reason is Reason.STORE_UNAVAILABLE
    await store.close()


async def test_memory_is_always_up(tmp_path: Path, metrics: Metrics) -> None:
    store = LimitStore.of(config(tmp_path), metrics)
    await store.start()
    assert (store.trouble, metrics.rate_limit_store_up.value) == (None, 1)
    await store.close()


async def test_R2_in_a_cluster_the_limits_of_a_request_are_judged_in_one_call_by_one_node(
    tmp_path: Path, metrics: Metrics
) -> None:
    with clustered(tmp_path / "nodes", password="pw") as nodes:
        made = config(tmp_path, store=nodes.url(":pw@"))
        stores = [LimitStore.of(made, metrics) for _ in range(2)]
        for store in stores:
            await store.start()
            assert store.trouble is None
        stages = [build_ratelimit(made, store, metrics) for store in stores]
        passed = await asyncio.gather(
            *(admitted(stage, "caller", index, tries=10) for stage in stages for index in (0, 1))
        )
        assert sum(passed) == 4  # per-client's burst, whoever asks and on whichever route; per-route has more
        assert sum([await admitted(stage, "address", -1, tries=10) for stage in stages]) == 5
        for store in stores:
            await store.close()


def test_in_a_cluster_a_slot_hangs_on_what_all_limits_that_meet_count_by(tmp_path: Path) -> None:
    slots = slot_parts(config(tmp_path))
    assert slots == {
        "per-address": ("client_ip",),
        "bad": ("client_ip",),
        "per-client": (),  # it meets per-route, which knows no caller
        "per-route": (),
    }


async def test_R12_a_clusters_nodes_are_verified_and_shown_our_certificate(tmp_path: Path, metrics: Metrics) -> None:
    binary = with_tls()
    if binary is None:
        absent("REDIS_TLS", "no redis-server with TLS on this machine")
    ca, (port, bus) = Authority("redis"), free_ports(2)
    ours = ca.issue(common_name="gateway").write(tmp_path, "gateway")
    theirs = ca.issue(ips=["127.0.0.1"]).write(tmp_path, "server")
    root, other = ca.write(tmp_path, "ca"), Authority("other").write(tmp_path, "other")
    options = ["--tls-port", str(port), "--port", "0", "--tls-ca-cert-file", str(root), "--tls-cluster", "yes"]
    options += ["--tls-cert-file", str(theirs.certificate), "--tls-key-file", str(theirs.key)]
    options += ["--cluster-enabled", "yes", "--cluster-port", str(bus)]
    with redis_server(tmp_path / "r", *options, binary=binary, port=port) as server:
        with server.client() as client:
            client.execute_command("CLUSTER ADDSLOTSRANGE", 0, 16383)
            wait_for(lambda: client.cluster("INFO")["cluster_state"] == "ok", what="the cluster to be whole")
        for trusted, up in ((root, True), (other, False)):
            shown = f"ca={trusted}&certificate={ours.certificate}&key={ours.key}"
            made = config(tmp_path, store=f'"redis+cluster://127.0.0.1:{port}?tls=true&{shown}"')
            store = LimitStore.of(made, metrics)
            await store.start()
            assert (store.trouble is None) is up
            if up:
                assert await admitted(build_ratelimit(made, store, metrics), "address", -1) == 5
            else:
                assert "certificate verify failed" in str(store.trouble).lower()
            await store.close()
