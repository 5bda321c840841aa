"""Entries of `rate_limits` as the file writes them, judged by the stage that is built of them."""

from pathlib import Path

import pytest

from gateway.config.load import load
from gateway.control.build.ratelimit import LimitStore, build_ratelimit
from gateway.kernel.cells import Metrics
from gateway.model.limit import LimitStatus
from gateway.model.principal import Principal
from gateway.model.reason import Reason
from gateway.model.refused import Refused
from gateway.stages.ratelimit import RateLimit
from tests.due import due
from tests.exchange import limit_status
from tests.stages.ratelimit.requests import NOW, request, route, trace, user, workload

ROUTES = """
version: 1
listeners:
  edge: {address: "127.0.0.1:8080"}
rate_limits:
  several: {rate: [2/second, 5/day], algorithm: fixed_window}
  cost: {rate: 10/minute, algorithm: fixed_window}
  busy: {rate: 100/minute, concurrency: 2}
  tiers:
    rate: 2/minute
    algorithm: fixed_window
    overrides:
      - {match: {claims: {tier: gold}}, rate: 5/minute}
      - {match: {principals: ["spiffe://cluster.local/*"]}, rate: 1/minute}
  shared:
    rate: 3/minute
    key: []
    overrides: [{match: {claims: {tier: gold}}, rate: 4/minute}]
  here:
    rate: 2/minute
    key: [client_ip]
    overrides: [{match: {remote_ip_blocks: [198.51.100.0/24]}, rate: 4/minute}]
routes:
  - {name: several, match: {paths: [/a]}, respond: {status: 200}, public: true, rate_limits: [several]}
  - {name: dear, match: {paths: [/b]}, respond: {status: 200}, public: true, rate_limits: [{limit: cost, cost: 4}]}
  - {name: cheap, match: {paths: [/c]}, respond: {status: 200}, public: true, rate_limits: [cost]}
  - {name: busy, match: {paths: [/d]}, respond: {status: 200}, public: true, rate_limits: [busy]}
  - {name: tiers, match: {paths: [/e]}, respond: {status: 200}, public: true, rate_limits: [tiers]}
  - {name: shared, match: {paths: [/f]}, respond: {status: 200}, public: true, rate_limits: [shared]}
  - {name: here, match: {paths: [/g]}, respond: {status: 200}, public: true, rate_limits: [here]}
audit: {directory: var/audit}
"""
SEVERAL, DEAR, CHEAP, BUSY, TIERS, SHARED, HERE = range(7)
GOLD = user(claims={"tier": "gold"})


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def stage(tmp_path: Path, metrics: Metrics) -> RateLimit:
    return built(tmp_path, ROUTES, metrics)


def built(folder: Path, text: str, metrics: Metrics, store: LimitStore | None = None) -> RateLimit:
    path = folder / "routes.yaml"
    path.write_text(text)
    config = load(path)
    return build_ratelimit(config, store or LimitStore.of(config, metrics), metrics)


async def ask(
    stage: RateLimit, index: int, who: Principal | None = None, at: float = NOW, ip: str = "192.0.2.1"
) -> list[LimitStatus] | Refused:
    ctx, taken, told = request(ip, at=at), route(index), trace()
    try:
        found = await due(stage.by_address(ctx, taken, told))
        return found + await due(stage.by_caller(ctx, taken, who or user(), told))
    except Refused as refused:
        return refused


async def passed(stage: RateLimit, index: int, who: Principal | None = None, tries: int = 20, at: float = NOW) -> int:
    return sum([isinstance(await ask(stage, index, who, at), list) for _ in range(tries)])


async def test_several_rates_hold_together_and_each_is_told(stage: RateLimit, metrics: Metrics) -> None:
    assert await ask(stage, SEVERAL) == [
        limit_status("several/1s", 2, 1, 1, 1),
        limit_status("several/24h", 5, 86400, 4, 86400),
    ]
    assert await passed(stage, SEVERAL) == 1
    assert await passed(stage, SEVERAL, at=NOW + 2) == 2
    assert await passed(stage, SEVERAL, at=NOW + 4) == 1  # the fifth of the day
    refused = await ask(stage, SEVERAL, at=NOW + 100)
    assert isinstance(refused, Refused)
    assert refused.detail == "limit several/24h"
    assert refused.retry_after == 86300
    assert await passed(stage, SEVERAL, at=NOW + 86401) == 2
    counted = dict(metrics.rate_limit_decisions.rows())
    assert counted[("several/24h", "refused")] == 20.0
    assert ("several", "admitted") not in counted


async def test_R13_a_second_rate_beside_the_first_resets_nothing(tmp_path: Path, metrics: Metrics) -> None:
    text = ROUTES.replace("rate: [2/second, 5/day]", "rate: 5/minute")
    config = tmp_path / "routes.yaml"
    config.write_text(text)
    store = LimitStore.of(load(config), metrics)
    one = built(tmp_path, text, metrics, store)
    assert await passed(one, SEVERAL) == 5
    other = built(tmp_path, ROUTES.replace("[2/second, 5/day]", "[6/minute, 100/day]"), metrics, store)
    assert await passed(other, SEVERAL) == 1


async def test_R1_a_route_may_cost_more_than_one(stage: RateLimit) -> None:
    assert await passed(stage, DEAR) == 2
    assert await passed(stage, CHEAP) == 2
    assert await passed(stage, DEAR, at=NOW + 61) == 2


async def test_a_rate_and_a_number_at_once_stand_in_one_limit(stage: RateLimit) -> None:
    assert await ask(stage, BUSY) == [
        limit_status("busy/1m", 100, 60, 99, 60),
        limit_status("busy/concurrency", 2, 0, 1, 0),
    ]
    assert await passed(stage, BUSY) == 1  # none of them has ended


async def test_an_override_is_for_its_callers_and_the_first_that_matches_holds(stage: RateLimit) -> None:
    assert await passed(stage, TIERS, user("bob")) == 2
    assert await passed(stage, TIERS, user("carol", claims={"tier": "gold"})) == 5
    assert await passed(stage, TIERS, workload()) == 1


async def test_under_a_callers_own_key_an_override_reads_the_same_bucket(stage: RateLimit) -> None:
    assert await passed(stage, TIERS, user()) == 2
    assert await passed(stage, TIERS, GOLD) == 3  # alice, with another token: three of her five are left


async def test_under_a_shared_key_an_override_has_a_bucket_of_its_own(stage: RateLimit) -> None:
    assert await passed(stage, SHARED, GOLD) == 4
    assert await passed(stage, SHARED, user("bob")) == 3
    assert await passed(stage, SHARED, GOLD) == 0


async def test_before_authentication_an_address_may_be_given_another_rate(stage: RateLimit) -> None:
    assert await passed(stage, HERE) == 2
    assert sum([isinstance(await ask(stage, HERE, ip="198.51.100.7"), list) for _ in range(9)]) == 4


FAIR = """
version: 1
listeners:
  edge: {address: "127.0.0.1:8080"}
rate_limits:
  tenant: {rate: 6/minute, key: [route, "claim:tenant"], algorithm: fixed_window, fair: true}
  tried: {rate: 6/minute, key: [], algorithm: fixed_window, fair: true, mode: shadow}
  places: {concurrency: 4, key: [], fair: true}
routes:
  - {name: tenant, match: {paths: [/a]}, respond: {status: 200}, public: true, rate_limits: [tenant]}
  - {name: tried, match: {paths: [/b]}, respond: {status: 200}, public: true, rate_limits: [tried]}
  - {name: places, match: {paths: [/c]}, respond: {status: 200}, public: true, rate_limits: [places]}
audit: {directory: var/audit}
"""
TENANT, TRIED, PLACES = range(3)


def of_tenant(name: str, tenant: str = "red") -> Principal:
    return user(name, claims={"tenant": tenant})


async def test_a_fair_limit_gives_each_who_asks_its_share(tmp_path: Path, metrics: Metrics) -> None:
    stage = built(tmp_path, FAIR, metrics)
    assert await passed(stage, TENANT, of_tenant("bob"), tries=1) == 1
    assert await passed(stage, TENANT, of_tenant("alice")) == 3
    assert await passed(stage, TENANT, of_tenant("bob")) == 2
    assert await passed(stage, TENANT, of_tenant("carol", "blue")) == 6  # another tenant's bucket, and alone in it
    refused = await ask(stage, TENANT, of_tenant("alice"))
    assert isinstance(refused, Refused)
    assert (refused.reason, refused.detail) == (Reason.RATE_LIMITED, "limit tenant")  # by now all of it is spent
    assert refused.limits == ()  # R10: neither what is shared nor how many share it is told
    counted = dict(metrics.rate_limit_decisions.rows())
    assert counted[("tenant/fair", "refused")] == 17.0 + 18.0 + 1.0
    assert counted[("tenant/fair", "admitted")] == 6.0 + 20.0  # alone it never refuses: the shared bucket does


async def test_a_refusal_by_the_share_names_it(tmp_path: Path, metrics: Metrics) -> None:
    stage = built(tmp_path, FAIR, metrics)
    await ask(stage, TENANT, of_tenant("bob"))
    assert await passed(stage, TENANT, of_tenant("alice"), tries=3) == 3
    refused = await ask(stage, TENANT, of_tenant("alice"), at=NOW + 1)
    assert isinstance(refused, Refused)
    assert (refused.detail, refused.retry_after) == ("limit tenant/fair", 59)


async def test_a_fair_limit_in_shadow_refuses_nothing_and_is_told(tmp_path: Path, metrics: Metrics) -> None:
    stage = built(tmp_path, FAIR, metrics)
    told = trace()
    await due(stage.by_caller(request(), route(TRIED), user("bob"), told))
    for _ in range(4):
        told = trace()
        assert await due(stage.by_caller(request(), route(TRIED), user("alice"), told)) == []
    assert [shadow.name for shadow in told.limit_shadows] == ["tried/fair"]
    assert dict(metrics.rate_limit_decisions.rows())[("tried/fair", "shadow_refused")] == 1.0


async def test_places_at_once_are_shared_too_and_given_back(tmp_path: Path, metrics: Metrics) -> None:
    stage = built(tmp_path, FAIR, metrics)
    traces = [trace() for _ in range(3)]
    for told in traces[:2]:
        await due(stage.by_caller(request(), route(PLACES), user("alice"), told))
    await due(stage.by_caller(request(), route(PLACES), user("bob"), trace()))
    with pytest.raises(Refused, match="places/fair"):
        await due(stage.by_caller(request(), route(PLACES), user("alice"), traces[2]))
    traces[0].release()
    assert isinstance(await due(stage.by_caller(request(), route(PLACES), user("alice"), traces[2])), list)
