import pytest

from loadtest.job import CALLERS, ROUTES, Scenario, Setting, Token, Variant, Work, path_of
from loadtest.world import World, certificates_of, issuer_of

FULL, FORWARD = Variant(Scenario.FULL), Variant(Scenario.FORWARD)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    folder = tmp_path_factory.mktemp("world")
    certificates_of(folder)
    return World(folder, folder, 1, 2, 3, 4, 5, None, None, {"RS256": issuer_of(folder, "ES256")})


def test_the_usual_mix_has_every_route_and_every_caller(world: World) -> None:
    mix = world.mix(FULL, Work())
    assert [asked.path for asked in mix] == [f"{path_of(number)}items/7" for number in range(ROUTES)]
    assert len({asked.token for asked in mix}) == CALLERS


@pytest.mark.parametrize(
    ("routes", "tokens", "size"), [(10, 1, 10), (10, 64, 64), (10_000, 8, 2000)], ids=["few", "callers", "many"]
)
def test_a_mix_is_spread_over_all_routes(world: World, routes: int, tokens: int, size: int) -> None:
    mix = world.mix(Variant(Scenario.FULL, setting=Setting(routes=routes)), Work(tokens=tokens))
    assert len(mix) == size
    assert len({asked.token for asked in mix}) == tokens
    assert len({asked.path for asked in mix}) == min(routes, size)
    assert any(asked.path.startswith(path_of(routes - max(routes // size, 1))) for asked in mix)


def test_over_few_and_many_routes_as_many_different_requests_of_the_same_callers(world: World) -> None:
    few, many = (world.mix(Variant(Scenario.FULL, setting=Setting(routes=n)), Work(heads=2000)) for n in (10, 10_000))
    assert [asked.token for asked in few] == [asked.token for asked in many]
    for mix, routes in ((few, 10), (many, 2000)):
        assert len({asked.raw() for asked in mix}) == 2000
        assert len({asked.path.rpartition("items/")[0] for asked in mix}) == routes
    assert [asked.path.rpartition("/")[2] for asked in few] == [asked.path.rpartition("/")[2] for asked in many]


def test_forwarding_carries_no_token_and_a_forged_one_has_another_signature(world: World) -> None:
    assert {asked.token for asked in world.mix(FORWARD, Work())} == {""}
    assert {asked.token for asked in world.mix(FULL, Work(token=Token.NONE))} == {""}
    good, forged = (world.mix(FULL, Work(tokens=1, token=token))[0].token for token in (Token.GOOD, Token.FORGED))
    assert forged != good
    assert forged.rsplit(".", 1)[0] == good.rsplit(".", 1)[0]


def test_what_is_sent_goes_to_the_backend_that_reads_it(world: World) -> None:
    assert world.backend_of(Work()) == (1, 2)
    assert world.backend_of(Work(sent=1)) == (4, 5)
    assert world.mix(FORWARD, Work(answer=65536))[0].path == f"{path_of(0)}bytes/65536"


def test_a_client_certificate_is_shown_where_one_is_asked_for(world: World) -> None:
    assert world.order(1, FULL, Work(), 1).certificate == ""
    order = world.order(1, Variant(Scenario.FULL, setting=Setting(clients=True)), Work(), 1)
    assert order.certificate == str(world.certificates / "client")
