"""What makes requests belong together."""

import pytest

from gateway.upstreams.hash_key import hash_key
from tests.exchange import context, head, permit, user


def of(
    key: str, *, headers: list[tuple[str, str]] | None = None, ip: str = "203.0.113.7", **claims: object
) -> int | None:
    ctx = context(head(headers=headers or []), client_ip=ip)
    return hash_key(key)(permit(ctx, user=user(**claims) if claims else None))


def test_a_header() -> None:
    assert of("header:X-Tenant", headers=[("x-tenant", "a")]) == of("header:x-tenant", headers=[("x-tenant", "a")])
    assert of("header:x-tenant", headers=[("x-tenant", "a")]) != of("header:x-tenant", headers=[("x-tenant", "b")])
    assert of("header:x-tenant") is None


def test_a_claim() -> None:
    assert of("claim:tenant", tenant="a") == of("claim:tenant", tenant="a") != of("claim:tenant", tenant="b")
    assert of("claim:roles", roles=["a", "b"]) is not None
    assert of("claim:tenant", other="a") is None
    assert of("claim:tenant") is None


def test_the_clients_address() -> None:
    assert of("client_ip") == of("client_ip") != of("client_ip", ip="203.0.113.8")


@pytest.mark.parametrize("text", ["", "header", "header:", "cookie:a", "claim", "client"])
def test_what_is_no_key(text: str) -> None:
    with pytest.raises(ValueError, match="write header:NAME, claim:NAME or client_ip"):
        hash_key(text)
