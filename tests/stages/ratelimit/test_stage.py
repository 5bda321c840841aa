import pytest

from gateway.kernel.store import MemoryStore
from gateway.model.request import Preflight
from gateway.stages.ratelimit import Gates, LocalBuckets, RateLimit
from gateway.stages.ratelimit.stage import presents_credential
from tests.due import due
from tests.stages.ratelimit.gates import counts, gate, limit
from tests.stages.ratelimit.requests import NO_ROUTE, anonymous, request, route, trace


@pytest.mark.parametrize(
    ("sent", "presents"),
    [
        pytest.param(request(), False, id="nothing"),
        pytest.param(request(headers={"authorization": "Bearer x"}), True, id="bearer"),
        pytest.param(request(headers={"authorization": "bEARER x"}), True, id="scheme-in-any-case"),
        pytest.param(request(headers={"authorization": "DPoP x"}), True, id="dpop"),
        pytest.param(request(headers={"authorization": ("Basic x", "Bearer y")}), True, id="second-field"),
        pytest.param(request(headers={"authorization": "Basic Bearer x"}), False, id="another-scheme-is-not-sent"),
        pytest.param(request(headers={"authorization": "Bearerx"}), False, id="no-scheme"),
        pytest.param(request(chain=(b"der",)), True, id="certificate"),
        pytest.param(
            request(chain=(b"der",), preflight=Preflight("https://a.example", "GET", ())), False, id="preflight"
        ),
    ],
)
def test_a_credential_is_a_certificate_or_a_token(sent: object, presents: bool) -> None:
    assert presents_credential(sent) is presents  # type: ignore[arg-type]


async def test_each_listener_and_route_has_its_own_gates() -> None:
    here = LocalBuckets(MemoryStore(), lambda: 1)
    none, first, second, other = (limit(name, key=("client_ip",)) for name in ("none", "first", "second", "other"))

    def gates(address: object, caller: object) -> Gates:
        entered = [gate(here, one) if one is not None else gate(here) for one in (address, caller)]  # type: ignore[arg-type]
        return Gates(entered[0], entered[0], entered[1], gate(here))

    stage = RateLimit({"edge": [gates(none, None), gates(first, second)], "inside": [gates(other, None)]})
    await due(stage.by_address(request(), NO_ROUTE, trace()))
    assert counts(none) == (1, 0, 0)
    await due(stage.by_address(request(), route(0), trace()))
    await due(stage.by_caller(request(), route(0), anonymous(), trace()))
    assert (counts(first), counts(second)) == ((1, 0, 0), (1, 0, 0))
    await due(stage.by_address(request(listener="inside"), NO_ROUTE, trace()))
    assert counts(other) == (1, 0, 0)
    await stage.failed_credential(request(), route(0), trace())  # nothing is charged where nothing says so
    assert counts(none) == (1, 0, 0)
