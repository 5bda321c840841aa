"""Which fields pass, by name."""

import pytest

from gateway.stages.forward.fields import AnswerFields, RequestFields, fold, judge_set


def passing(fields: RequestFields, *names: str) -> list[bytes]:
    lines = fields.lines([(name.encode(), b"v") for name in names], None)
    return [line.partition(b":")[0] for line in lines]


def test_ordinary_fields_pass_in_order_and_repeated() -> None:
    names = ("accept", "x-tenant", "cookie", "accept", "content-type", "via")
    assert passing(RequestFields(()), *names) == [name.encode() for name in names]


def test_a_flood_of_names_is_not_remembered_without_end() -> None:
    fields = RequestFields(())
    passing(fields, *(f"x-{number}" for number in range(5000)))
    assert len(fields._known) <= 1024
    assert passing(fields, "x-4999", "x-real-ip") == [b"x-4999"]


@pytest.mark.parametrize("name", ["X-User", "x_user", "x.user", "x~user", "X!USER"])
def test_names_fold_as_cgi_folds_them(name: str) -> None:
    assert fold(name.encode()) == b"x-user"


@pytest.mark.parametrize(
    "name", [b"host", b"connection", b"x-forwarded-for", b"x-forwarded-client-cert", b"content-length"]
)
def test_a_route_cannot_set_the_gateways_own_fields(name: bytes) -> None:
    with pytest.raises(ValueError, match="sets"):
        judge_set(name)


def test_keep_is_for_overrides_alone() -> None:
    fields = RequestFields((), keep=[b"X-Original-URL", b"x-forwarded-for", b"connection"])
    assert passing(fields, "x-original-url", "x-forwarded-for", "connection") == [b"x-original-url"]


def test_answers_lose_what_the_route_removes_and_get_what_it_sets() -> None:
    fields = AnswerFields([b"x-powered-by"], [(b"cache-control", b"no-store")])
    theirs = [(b"x-powered-by", b"php"), (b"cache-control", b"public"), (b"x", b"y")]
    got = fields(theirs, [(b"x-request-id", b"1")])
    assert got == [(b"x", b"y"), (b"x-request-id", b"1"), (b"cache-control", b"no-store")]


def test_our_fields_replace_the_backends_and_vary_is_shared() -> None:
    ours = [(b"x-request-id", b"1"), (b"ratelimit", b"ours"), (b"vary", b"Origin")]
    got = AnswerFields()([(b"ratelimit", b"theirs"), (b"x-request-id", b"2"), (b"vary", b"Accept")], ours)
    assert got == [(b"vary", b"Accept"), *ours]


def test_a_backends_limits_pass_where_the_gateway_has_none() -> None:
    assert AnswerFields()([(b"ratelimit", b"theirs")], [(b"x-request-id", b"1")])[0] == (b"ratelimit", b"theirs")
