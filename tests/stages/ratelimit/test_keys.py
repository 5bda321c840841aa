from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.model.principal import Principal
from gateway.stages.ratelimit.keys import NAME_LENGTH, Keyed, network
from tests.stages.ratelimit.requests import anonymous, request, user, workload


def name(
    principal: Principal | None, *parts: str, identity: bytes = b"l", headers: dict[str, str] | None = None
) -> bytes:
    ip = "192.0.2.1" if principal is None else str(principal.client_ip)
    return Keyed(identity, parts, route="r", upstream="u").name(request(ip, headers=headers), principal)


def test_the_principal_is_the_user_else_the_workload_else_the_address() -> None:
    both = Principal(workload().workload, user().user, ip_address("192.0.2.1"))
    assert name(both, "principal") == name(user(ip="192.0.2.2"), "principal")
    assert name(workload(), "principal") == name(workload(ip="192.0.2.2"), "principal")
    assert name(anonymous(), "principal") == name(anonymous(), "principal")
    assert name(anonymous(), "principal") != name(anonymous("192.0.2.2"), "principal")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param(
            user("b/c", "https://i/a"), user("c", "https://i/a/b"), id="R5-slash-moved-from-issuer-to-subject"
        ),
        pytest.param(user("spiffe://a/b", ""), workload("spiffe://a/b"), id="R5-user-named-like-a-workload"),
        pytest.param(user("192.0.2.1", ""), anonymous("192.0.2.1"), id="R5-user-named-like-an-address"),
        pytest.param(user("a}b{c"), user("a}b{d"), id="R5-braces"),
        pytest.param(user("Alice"), user("alice"), id="R5-case-kept"),
        pytest.param(anonymous("192.0.2.1"), anonymous("::c000:201"), id="R5-same-bytes-of-another-family"),
    ],
)
def test_no_two_callers_share_a_bucket(one: Principal, other: Principal) -> None:
    assert name(one, "principal") != name(other, "principal")


@given(st.tuples(st.text(max_size=4), st.text(max_size=4)), st.tuples(st.text(max_size=4), st.text(max_size=4)))
def test_R5_names_are_equal_only_for_equal_issuers_and_subjects(one: tuple[str, str], other: tuple[str, str]) -> None:
    names = [name(user(subject, issuer), "principal") for issuer, subject in (one, other)]
    assert (names[0] == names[1]) == (one == other)


@given(
    st.dictionaries(st.sampled_from(["x-a", "x-b"]), st.text(max_size=3)),
    st.dictionaries(st.sampled_from(["x-a", "x-b"]), st.text(max_size=3)),
)
def test_R5_header_values_do_not_run_into_each_other(one: dict[str, str], other: dict[str, str]) -> None:
    names = [name(None, "header:x-a", "header:X-B", headers=headers) for headers in (one, other)]
    assert (names[0] == names[1]) == (one == other)


def test_a_limits_own_identity_is_part_of_the_name() -> None:
    assert name(user(), "principal", identity=b"a") != name(user(), "principal", identity=b"b")


def test_an_ipv6_client_is_its_64_and_a_mapped_ipv4_is_itself() -> None:
    assert network(ip_address("2001:db8::1")) == network(ip_address("2001:db8::ffff:1"))
    assert network(ip_address("2001:db8::1")) != network(ip_address("2001:db8:0:1::1"))
    assert network(ip_address("::ffff:192.0.2.1")) == network(ip_address("192.0.2.1"))


def test_what_is_absent_is_a_bucket_of_its_own() -> None:
    absent = name(user(), "claim:tenant")
    assert absent == name(user("bob"), "claim:tenant") == name(anonymous(), "claim:tenant")
    present = [name(user(claims={"tenant": value}), "claim:tenant") for value in ("", "-", None, 1, "1", True, ["1"])]
    assert len({absent, *present}) == 8
    assert name(None, "header:x") != name(None, "header:x", headers={"x": ""})
    assert name(user(), "workload") == name(anonymous(), "workload") != name(workload(), "workload")
    assert name(workload(), "issuer") == name(anonymous(), "issuer") != name(user(), "issuer")


def test_route_and_upstream_tell_buckets_apart_only_where_the_key_names_them() -> None:
    def of(parts: tuple[str, ...], route: str, upstream: str | None) -> bytes:
        return Keyed(b"l", parts, route=route, upstream=upstream).name(request(), user())

    assert of((), "a", "u") == of((), "b", "v")
    assert of(("route",), "a", "u") != of(("route",), "b", "u")
    assert of(("upstream",), "a", "u") == of(("upstream",), "b", "u") != of(("upstream",), "a", None)


def test_R5_names_are_fixed_in_length_hold_nobodys_name_and_hang_on_the_secret() -> None:
    plain = Keyed(b"l", ("principal",), route="r", upstream=None).name(request(), user("alice" * 1000))
    secret = Keyed(b"l", ("principal",), route="r", upstream=None, secret=b"k").name(request(), user("alice" * 1000))
    assert len(plain) == len(secret) == NAME_LENGTH
    assert plain != secret
    assert b"alice" not in plain


@pytest.mark.parametrize(
    ("parts", "principal", "own"),
    [
        (("principal",), user(), True),
        (("client_ip", "route"), None, True),
        (("workload",), workload(), True),
        (("workload",), user(), False),  # the bucket of all that show no certificate
        ((), user(), False),
        (("route",), user(), False),
        (("upstream",), user(), False),
        (("issuer",), user(), False),
        (("header:x-tenant",), user(), False),  # whoever sends a header could read a stranger's numbers
        (("claim:tenant",), user(claims={"tenant": "a"}), False),
    ],
)
def test_R10_only_a_callers_own_bucket_is_shown(parts: tuple[str, ...], principal: Principal | None, own: bool) -> None:
    assert Keyed(b"l", parts, route="r", upstream="u").own(principal) is own


def test_R5_what_is_remembered_of_callers_mixes_none_up_however_many_come() -> None:
    one = Keyed(b"l", ("route", "principal"), route="r", upstream=None, secret=b"k")
    who = [user(f"caller-{number % 1500}", f"https://issuer-{number % 3}.example") for number in range(3000)]
    fresh = [
        Keyed(b"l", ("route", "principal"), route="r", upstream=None, secret=b"k").name(request(), each)
        for each in who[:40]
    ]
    names = [one.name(request(), each) for each in who]
    assert names[:40] == fresh
    assert len(set(names)) == 1500
    assert [one.name(request(), each) for each in who] == names
    assert one.name(request(), workload()) not in names
    assert one.name(request(), anonymous()) not in names
