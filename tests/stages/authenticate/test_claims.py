"""Claims apart from their signature."""

from typing import Any

import pytest

from gateway.model.reason import Reason
from gateway.model.refused import Refused
from gateway.stages.authenticate.claims import check_expiry, check_type, expiry, judge_claims
from gateway.testing.issuer import Issuer
from tests.stages.authenticate.asking import NOW, trusted

ISSUER = trusted(Issuer("https://a.example"))


def claims(**changes: Any) -> dict[str, Any]:
    held = {"iss": "https://a.example", "sub": "alice", "aud": "api", "exp": NOW + 60}
    return {name: value for name, value in {**held, **changes}.items() if value is not None}


def test_the_user_and_the_time_that_its_token_lasts() -> None:
    held = judge_claims(ISSUER, claims(nbf=NOW - 5, iat=NOW - 10))
    assert held.user.id == "https://a.example/alice"
    assert held.user.issuer_name == "corp"
    assert held.audiences == {"api"}
    assert (held.begins, held.ends) == (NOW - 5 - 60, NOW + 60 + 60)
    assert held.user.expires == held.ends


@pytest.mark.parametrize("exp", [None, True, "5", [5], {}])
def test_J23_exp_is_a_number(exp: Any) -> None:
    with pytest.raises(Refused, match="token_malformed"):
        expiry({} if exp is None else {"exp": exp})


def test_J24_the_skew_is_the_issuers() -> None:
    strict = trusted(Issuer("https://a.example"), clock_skew=0.0)
    check_expiry(strict, {"exp": NOW + 1}, NOW)
    with pytest.raises(Refused, match="token_expired"):
        check_expiry(strict, {"exp": NOW}, NOW)
    check_expiry(ISSUER, {"exp": NOW}, NOW)


@pytest.mark.parametrize(
    ("profile", "typ", "fits"),
    [
        (False, None, True),
        (False, "jwt", True),
        (False, "at+jwt", True),
        (False, "logout+jwt", False),
        (True, "at+jwt", True),
        (True, "jwt", False),
        (True, None, False),
    ],
)
def test_J25_types(profile: bool, typ: str | None, fits: bool) -> None:
    issuer = trusted(Issuer("https://a.example"), profile=profile)
    if fits:
        check_type(issuer, typ, claims())
        return
    with pytest.raises(Refused) as refused:
        check_type(issuer, typ, claims())
    assert refused.value.reason is Reason.TOKEN_TYPE


@pytest.mark.parametrize("aud", ["api", ["api"], ["other", "api", "api"]])
def test_J22_aud_as_text_and_as_a_list(aud: Any) -> None:
    assert "api" in judge_claims(ISSUER, claims(aud=aud)).audiences


@pytest.mark.parametrize("aud", [None, "", [], ["api", 1], ["api", ""], ["api", None], 5, {"api": True}])
def test_J22_anything_else_is_no_audience(aud: Any) -> None:
    with pytest.raises(Refused, match="token_audience"):
        judge_claims(ISSUER, claims(aud=aud))
