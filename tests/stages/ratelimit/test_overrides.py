from ipaddress import ip_network

import pytest

from gateway.model.principal import Principal
from gateway.stages.ratelimit import Callers
from gateway.stages.ratelimit.overrides import choice
from tests.stages.ratelimit.requests import anonymous, request, user, workload

WEB = "spiffe://cluster.local/ns/default/sa/web"


@pytest.mark.parametrize(
    ("callers", "who", "matches"),
    [
        pytest.param(Callers(principals=(WEB,)), workload(WEB), True, id="workload"),
        pytest.param(Callers(principals=("spiffe://cluster.local/*",)), workload(WEB), True, id="prefix"),
        pytest.param(Callers(principals=("*",)), user(), False, id="a-user-is-no-workload"),
        pytest.param(Callers(request_principals=("https://issuer.example/alice",)), user(), True, id="user"),
        pytest.param(Callers(request_principals=("*",)), workload(), False, id="a-workload-is-no-user"),
        pytest.param(Callers(request_principals=("*",)), anonymous(), False, id="nobody"),
        pytest.param(Callers(issuers=("corp",)), user(), True, id="issuer"),
        pytest.param(Callers(issuers=("other",)), user(), False, id="another-issuer"),
        pytest.param(Callers(claims={"tier": ("gold",)}), user(claims={"tier": "gold"}), True, id="claim"),
        pytest.param(Callers(claims={"tier": ("gold",)}), user(claims={"tier": ["x", "gold"]}), True, id="in-a-list"),
        pytest.param(Callers(claims={"tier": ("1",)}), user(claims={"tier": 1}), False, id="a-number-is-no-text"),
        pytest.param(Callers(claims={"tier": ("*",)}), user(), False, id="absent"),
        pytest.param(Callers(remote_ip_blocks=(ip_network("192.0.2.0/24"),)), None, True, id="address"),
        pytest.param(Callers(remote_ip_blocks=(ip_network("10.0.0.0/8"),)), None, False, id="another-address"),
        pytest.param(Callers(issuers=("corp",), claims={"tier": ("gold",)}), user(), False, id="all-has-to-hold"),
        pytest.param(
            Callers(issuers=("corp",), claims={"tier": ("gold",)}), user(claims={"tier": "gold"}), True, id="all-holds"
        ),
        pytest.param(Callers(principals=("*",)), None, False, id="before-authentication"),
    ],
)
def test_an_override_is_for_whom_it_names(callers: Callers, who: Principal | None, matches: bool) -> None:
    assert (choice([callers])(request(), who) == 0) is matches


def test_the_first_that_matches_holds() -> None:
    choose = choice([Callers(issuers=("other",)), Callers(request_principals=("*",)), Callers(issuers=("corp",))])
    assert choose(request(), user()) == 1
    assert choose(request(), workload()) == -1
