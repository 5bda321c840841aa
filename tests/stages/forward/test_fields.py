"""Which fields pass, by name."""

import pytest

from gateway.model.answer import AnswerSection, PassedFields
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


def _section(*fields: tuple[bytes, bytes]) -> AnswerSection:
    section = AnswerSection()
    section += [(b"date", b"Mon, 02 Feb 2026 02:02:02 GMT"), (b"content-length", b"2"), *fields]
    return section


def test_an_answers_head_that_came_before_is_written_once_and_passes_as_it_would_unwritten() -> None:
    passing, ours = AnswerFields([b"server"]), [(b"x-request-id", b"1")]
    section = _section((b"server", b"x"), (b"x-request-id", b"theirs"), (b"access-control-allow-origin", b"*"))
    first, again = passing(section, ours), passing(section, [(b"x-request-id", b"2")])
    assert isinstance(first, PassedFields)
    assert isinstance(again, PassedFields)
    assert first == passing(list(section), ours)
    assert again[-1] == (b"x-request-id", b"2")
    assert again.front is first.front
    assert first.front.lines == b"date: Mon, 02 Feb 2026 02:02:02 GMT\r\ncontent-length: 2\r\n"
    assert first.front.length == 2


def test_what_was_written_for_one_routes_rules_is_not_taken_for_anothers() -> None:
    section = _section((b"x-inner", b"secret"))
    assert AnswerFields()(section, [])[-1] == (b"x-inner", b"secret")
    assert (b"x-inner", b"secret") not in AnswerFields([b"x-inner"])(section, [])
    assert AnswerFields()(section, [])[-1] == (b"x-inner", b"secret")


@pytest.mark.parametrize(
    ("passing", "section"),
    [
        pytest.param(AnswerFields([], [(b"cache-control", b"no-store")]), _section(), id="the-route-sets-fields"),
        pytest.param(AnswerFields([b"date"]), _section(), id="no-date-is-left"),
        pytest.param(AnswerFields([b"content-length"]), _section(), id="no-length-is-left"),
        pytest.param(AnswerFields(), _section((b"content-length", b"2")), id="H24-two-lengths"),
        pytest.param(AnswerFields(), _section((b"ratelimit", b"theirs")), id="a-limit-that-ours-may-replace"),
        pytest.param(AnswerFields(), _section((b"x-a", b"b\r\nset-cookie: c=d")), id="H18-a-line-end-in-a-value"),
        pytest.param(AnswerFields(), _section((b"x-a", b"b\0c")), id="H18-a-nul-in-a-value"),
    ],
)
def test_what_hangs_on_more_than_its_bytes_is_judged_each_time(passing: AnswerFields, section: AnswerSection) -> None:
    got = passing(section, [(b"x-request-id", b"1")])
    assert not isinstance(got, PassedFields)
    assert got == passing(list(section), [(b"x-request-id", b"1")])
