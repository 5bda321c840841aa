"""Attacks on rate limits, through the stage as the config builds it: security.md section 5."""

from pathlib import Path

import pytest

from gateway.config.load import load
from gateway.control.build.ratelimit import LimitStore, build_ratelimit
from gateway.kernel.cells import Metrics
from gateway.model.principal import Principal
from gateway.model.reason import Reason
from gateway.model.refused import Refused
from gateway.model.request import RequestContext
from gateway.stages.ratelimit import RateLimit
from tests.due import due
from tests.stages.ratelimit.requests import NO_ROUTE, NOW, anonymous, request, route, trace, user, workload

ROUTES = """
version: 1
listeners:
  edge: {address: "127.0.0.1:8080", rate_limits: [per-address], on_failed_authentication: bad-credentials}
rate_limits:
  per-address: {rate: 20/minute, key: [client_ip]}
  bad-credentials: {rate: 3/minute, key: [client_ip]}
  per-client: {rate: 4/minute, key: [principal]}
  per-tenant: {rate: 4/minute, key: ["header:x-tenant"]}
  fixed: {rate: 10/minute, algorithm: fixed_window}
  bucket: {rate: 10/minute, algorithm: token_bucket}
  sliding: {rate: 10/minute}
routes:
  - {name: api, match: {paths: [/api]}, respond: {status: 200}, public: true, rate_limits: [per-client]}
  - {name: tenant, match: {paths: [/t]}, respond: {status: 200}, public: true, rate_limits: [per-tenant]}
  - {name: fixed, match: {paths: [/f]}, respond: {status: 200}, public: true, rate_limits: [fixed]}
  - {name: bucket, match: {paths: [/b]}, respond: {status: 200}, public: true, rate_limits: [bucket]}
  - {name: sliding, match: {paths: [/s]}, respond: {status: 200}, public: true, rate_limits: [sliding]}
audit: {directory: var/audit}
"""
API, TENANT, FIXED, BUCKET, SLIDING = range(5)
TOKEN = {"authorization": "Bearer x"}


@pytest.fixture
def stage(tmp_path: Path) -> RateLimit:
    path = tmp_path / "routes.yaml"
    path.write_text(ROUTES)
    config, metrics = load(path), Metrics()
    return build_ratelimit(config, LimitStore.of(config, metrics), metrics)


async def by_address(stage: RateLimit, ctx: RequestContext, index: int = API) -> Reason | None:
    try:
        await due(stage.by_address(ctx, route(index) if index >= 0 else NO_ROUTE, trace()))
    except Refused as refused:
        return refused.reason
    return None


async def by_caller(stage: RateLimit, ctx: RequestContext, principal: Principal, index: int = API) -> Reason | None:
    try:
        await due(stage.by_caller(ctx, route(index), principal, trace()))
    except Refused as refused:
        return refused.reason
    return None


@pytest.mark.parametrize(
    ("index", "after", "expected"),
    [
        pytest.param(FIXED, 0, 10, id="R1-fixed-window-burst-is-the-quota"),
        pytest.param(BUCKET, 0, 10, id="R1-token-bucket-burst-is-the-quota"),
        pytest.param(SLIDING, 0, 10, id="R1-sliding-window-burst-is-the-quota"),
        pytest.param(FIXED, 59.9, 0, id="R1-fixed-window-just-before-its-end"),
        pytest.param(FIXED, 60, 10, id="R1-fixed-window-at-its-end"),
        pytest.param(SLIDING, 60, 1, id="R1-sliding-window-does-not-give-all-at-once"),
        pytest.param(BUCKET, 6, 1, id="R1-token-bucket-fills-at-the-rate"),
        pytest.param(FIXED, 3600, 10, id="R1-fixed-window-after-idling"),
        pytest.param(SLIDING, 3600, 10, id="R1-sliding-window-after-idling"),
        pytest.param(BUCKET, 3600, 10, id="R1-token-bucket-after-idling-holds-no-more"),
    ],
)
async def test_a_burst_that_comes_after_another(stage: RateLimit, index: int, after: float, expected: int) -> None:
    if after:
        for _ in range(50):
            await by_caller(stage, request(), user(), index)
    results = [await by_caller(stage, request(at=NOW + after), user(), index) for _ in range(50)]
    assert results.count(None) == expected
    assert set(results) <= {None, Reason.RATE_LIMITED}


async def test_R7_ipv6_addresses_of_one_64_share_a_budget_and_another_64_has_its_own(stage: RateLimit) -> None:
    for number in range(20):
        assert await by_address(stage, request(f"2001:db8::{number:x}")) is None
    assert await by_address(stage, request("2001:db8::dead:beef")) is Reason.RATE_LIMITED
    assert await by_address(stage, request("2001:db8:0:1::1")) is None


async def test_R7_a_flood_of_unknown_paths_is_limited_and_takes_from_the_same_budget(stage: RateLimit) -> None:
    for _ in range(20):
        assert await by_address(stage, request(), index=-1) is None
    assert await by_address(stage, request(), index=-1) is Reason.RATE_LIMITED
    assert await by_address(stage, request()) is Reason.RATE_LIMITED


async def test_R7_failed_credentials_shut_the_address_for_credentials_before_anything_is_verified(
    stage: RateLimit,
) -> None:
    for _ in range(3):
        assert await by_address(stage, request(headers=TOKEN)) is None
        await stage.failed_credential(request(headers=TOKEN), route(API), trace())
    assert await by_address(stage, request(headers=TOKEN)) is Reason.RATE_LIMITED
    assert await by_address(stage, request(chain=(b"der",))) is Reason.RATE_LIMITED
    assert await by_address(stage, request()) is None  # nothing is verified there
    assert await by_address(stage, request(headers={"authorization": "Basic x"})) is None
    assert await by_address(stage, request("192.0.2.2", headers=TOKEN)) is None
    assert await by_address(stage, request(headers=TOKEN), index=-1) is None  # no route, no verification
    assert await by_address(stage, request(headers=TOKEN, at=NOW + 61)) is None


async def test_R7_good_credentials_cost_nothing_of_that_budget(stage: RateLimit) -> None:
    for _ in range(15):
        assert await by_address(stage, request(headers=TOKEN)) is None


async def test_R7_who_fails_in_anothers_name_does_not_lock_the_other_out(stage: RateLimit) -> None:
    for _ in range(10):  # the token says "alice", from an address that is not hers
        await stage.failed_credential(request("198.51.100.9", headers=TOKEN), route(API), trace())
    assert await by_address(stage, request(headers=TOKEN)) is None
    assert await by_caller(stage, request(), user("alice")) is None


async def test_R7_charging_an_empty_budget_never_raises(stage: RateLimit) -> None:
    for _ in range(10):
        await stage.failed_credential(request(headers=TOKEN), route(API), trace())
    await stage.failed_credential(request(headers=TOKEN), NO_ROUTE, trace())


@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param(user("b/c", "https://i/a"), user("c", "https://i/a/b"), id="R5-slash-in-a-subject"),
        pytest.param(user("spiffe://cluster.local/x", ""), workload("spiffe://cluster.local/x"), id="R5-kinds"),
        pytest.param(user("192.0.2.1", ""), anonymous(), id="R5-user-named-as-an-address"),
        pytest.param(user("a}x{"), user("a}y{"), id="R5-braces-of-a-hash-tag"),
        pytest.param(user("\ud800"), user("\udfff"), id="R5-lone-surrogates"),
    ],
)
async def test_a_caller_cannot_spend_anothers_budget(stage: RateLimit, one: Principal, other: Principal) -> None:
    for _ in range(4):
        assert await by_caller(stage, request(), one) is None
    assert await by_caller(stage, request(), one) is Reason.RATE_LIMITED
    assert await by_caller(stage, request(), other) is None


async def test_R5_a_missing_header_is_one_bucket_and_not_that_of_an_empty_one(stage: RateLimit) -> None:
    for number in range(4):
        assert await by_caller(stage, request(), user(str(number)), TENANT) is None
    assert await by_caller(stage, request(), user("another"), TENANT) is Reason.RATE_LIMITED
    assert await by_caller(stage, request(headers={"x-tenant": ""}), user(), TENANT) is None
    assert await by_caller(stage, request(headers={"x-tenant": ("a", "b")}), user(), TENANT) is None


async def test_R9_a_flood_of_made_up_header_values_leaves_other_limits_alone(stage: RateLimit) -> None:
    for _ in range(4):
        await by_caller(stage, request(), user())
    for number in range(2000):
        assert await by_caller(stage, request(headers={"x-tenant": str(number)}), user(), TENANT) is None
    assert await by_caller(stage, request(), user()) is Reason.RATE_LIMITED


async def test_R10_a_tenants_numbers_are_not_shown_to_who_sends_its_name(stage: RateLimit) -> None:
    assert await due(stage.by_caller(request(headers={"x-tenant": "acme"}), route(TENANT), user(), trace())) == []


async def test_R10_remaining_and_retry_after_are_whole_and_never_negative(stage: RateLimit) -> None:
    statuses, waits = [], []
    for number in range(60):
        try:
            statuses += await due(stage.by_caller(request(at=NOW + number * 3.7), route(API), user(), trace()))
        except Refused as refused:
            statuses += refused.limits
            waits.append(refused.retry_after)
    assert waits
    assert all(wait is not None and 1 <= wait <= 60 for wait in waits)
    assert len(statuses) == 60
    for policy, remaining, reset in statuses:
        assert 0 <= remaining < policy.quota == 4
        assert 0 <= reset <= policy.window == 60
