"""CORS fields: only listed origins are echoed (H29)."""

import pytest

from gateway.model.request import Preflight, RawHeaders
from gateway.model.route import Route
from gateway.stages.answer.challenge import Challenges
from gateway.stages.answer.cors import Cors
from gateway.stages.answer.stage import Answer
from tests.exchange import context, head, trace

APP = "https://app.example.com"


def cors(*origins: str, credentials: bool = False) -> Cors:
    return Cors(
        origins, ["GET", "PUT"], ["authorization"], ["ETag", "X-Request-Id"], credentials=credentials, max_age=600
    )


def fields(policy: Cors | None, origins: list[str], preflight: Preflight | None = None) -> dict[str, str]:
    """The answer's fields besides the request id."""
    request = head(headers=[("origin", origin) for origin in origins])
    seen = trace(request, context(request, preflight=preflight), route=Route("r", 0, False, None, ""))
    got: RawHeaders = Answer([policy], Challenges(tokens=True)).headers(seen)
    assert got[0] == (b"x-request-id", b"req-1")
    assert len({name for name, _ in got}) == len(got)
    return {name.decode(): value.decode() for name, value in got[1:]}


def test_a_listed_origin() -> None:
    assert fields(cors(APP), [APP]) == {
        "access-control-allow-origin": APP,
        "vary": "Origin",
        "access-control-expose-headers": "ETag, X-Request-Id",
    }


def test_a_preflight() -> None:
    assert fields(cors(APP, credentials=True), [APP], Preflight(APP, "PUT", ("x",))) == {
        "access-control-allow-origin": APP,
        "vary": "Origin",
        "access-control-allow-credentials": "true",
        "access-control-allow-methods": "GET, PUT",
        "access-control-allow-headers": "authorization",
        "access-control-max-age": "600",
    }


@pytest.mark.parametrize(
    "origins",
    [
        pytest.param(["https://evil.example"], id="H29-another"),
        pytest.param(["null"], id="H29-null"),
        pytest.param([f"{APP}.evil.example"], id="H29-longer"),
        pytest.param(["https://APP.example.com"], id="H29-another-case"),
        pytest.param([f"{APP}/"], id="H29-slash"),
        pytest.param(["http://app.example.com"], id="H29-another-scheme"),
        pytest.param([APP, "https://evil.example"], id="H29-two"),
        pytest.param([], id="H29-none"),
    ],
)
def test_other_origins_are_never_echoed(origins: list[str]) -> None:
    assert fields(cors(APP, credentials=True), origins) == {"vary": "Origin"}


def test_any_origin_is_a_star_and_never_an_echo() -> None:
    assert fields(cors("*"), ["https://evil.example"])["access-control-allow-origin"] == "*"


def test_H29_any_origin_with_credentials_is_not_to_be_had() -> None:
    with pytest.raises(ValueError, match="name the origins"):
        cors("*", credentials=True)


def test_a_route_without_cors_has_no_fields() -> None:
    assert fields(None, [APP]) == {}
