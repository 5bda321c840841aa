"""The Authorization field."""

import pytest

from gateway.model.credential import SentToken
from gateway.model.refused import Refused
from gateway.stages.authenticate.credentials import read_authorization, sent_token


@pytest.mark.parametrize(
    ("values", "sent"),
    [
        ((), None),
        (("",), None),
        (("Basic YTpi",), None),
        (("Negotiate",), None),
        (("Bearer2 x",), None),
        (("Bearer x.y.z",), sent_token("x.y.z")),
        (("bEARER    x",), sent_token("x")),
        (("DPoP x",), sent_token("x", dpop=True)),
        (("dpop x",), sent_token("x", dpop=True)),
    ],
)
def test_what_was_sent(values: tuple[str, ...], sent: SentToken | None) -> None:
    assert read_authorization(values) == sent


@pytest.mark.parametrize("value", ["Bearer", "Bearer ", "DPoP", "bearer\tx", "Bearer,x", 'Bearer="x"', "bearer;x"])
def test_J30_our_scheme_without_its_token_is_malformed(value: str) -> None:
    with pytest.raises(Refused):
        read_authorization((value,))


@pytest.mark.parametrize("values", [("Bearer x", "Bearer x"), ("Basic x", "Basic x"), ("", "Bearer x")])
def test_J29_two_fields_are_refused_whatever_they_hold(values: tuple[str, ...]) -> None:
    with pytest.raises(Refused, match="bad_request"):
        read_authorization(values)
