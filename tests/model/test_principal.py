"""The caller is the user, else the workload, else the address (contract, first section)."""

from ipaddress import ip_address

from gateway.model.principal import Principal, User, Workload

ADDRESS = ip_address("192.0.2.7")
USER = User("https://issuer.example", "corp", "alice", {}, 2e9)
WORKLOAD = Workload("spiffe://a.example/ns/n/sa/s", "a.example", "n", "s", "00", "AA", 2e9, "", ())


def test_a_user_is_issuer_and_subject_because_a_subject_alone_collides_across_issuers() -> None:
    assert USER.id == "https://issuer.example/alice"


def test_the_caller_is_the_user_before_the_workload_before_the_address() -> None:
    assert Principal(WORKLOAD, USER, ADDRESS).caller == USER.id
    assert Principal(WORKLOAD, None, ADDRESS).caller == WORKLOAD.id
    assert Principal(None, None, ADDRESS).caller == "192.0.2.7"


def test_anonymous_is_neither() -> None:
    assert Principal(None, None, ADDRESS).anonymous
    assert not Principal(WORKLOAD, None, ADDRESS).anonymous
    assert not Principal(None, USER, ADDRESS).anonymous
