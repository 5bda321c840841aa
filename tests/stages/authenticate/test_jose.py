"""A token taken apart."""

import pytest

from gateway.model.reason import Reason
from gateway.model.refused import Refused
from gateway.stages.authenticate.jose import MAX_TOKEN, take_apart
from gateway.testing.issuer import Issuer

ISSUER = Issuer()


def test_what_a_token_says_of_itself() -> None:
    token = ISSUER.token(headers={"typ": "Application/AT+JWT"}, scope="a b")
    held = take_apart(token)
    assert (held.alg, held.kid, held.typ) == ("ES256", ISSUER.keys[0].kid, "at+jwt")
    assert held.claims["scope"] == "a b"
    assert held.signing_input.decode() == token.rpartition(".")[0]
    assert len(held.signature) == 64


def test_J3_the_size_is_judged_before_anything_is_decoded() -> None:
    with pytest.raises(Refused, match="8 kB"):
        take_apart("!" * (MAX_TOKEN + 1))


@pytest.mark.parametrize(
    ("token", "reason"),
    [
        ("", Reason.TOKEN_MALFORMED),
        ("a.b", Reason.TOKEN_MALFORMED),
        ("a.b.c.d", Reason.TOKEN_MALFORMED),
        ("\u00e9.b.c", Reason.TOKEN_MALFORMED),
        (ISSUER.token(headers={"alg": "none"}), Reason.TOKEN_ALGORITHM),
        (ISSUER.token(headers={"cty": "JWT"}), Reason.TOKEN_TYPE),
        (ISSUER.token(sign=lambda _: b""), Reason.TOKEN_SIGNATURE),
    ],
)
def test_what_is_refused_before_any_key_is_looked_for(token: str, reason: Reason) -> None:
    with pytest.raises(Refused) as refused:
        take_apart(token)
    assert refused.value.reason is reason
