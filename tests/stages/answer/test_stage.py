"""Refusals as clients see them (contract section 5)."""

import json
from collections.abc import Awaitable, Iterable
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from gateway.model.answer import ComposedFields, OwnFields
from gateway.model.limit import LimitStatus
from gateway.model.outcome import Outcome
from gateway.model.reason import Reason
from gateway.model.refused import Challenge, Refused
from gateway.model.request import HeaderSection, Preflight, RequestHead
from gateway.model.route import Route
from gateway.stages.answer.challenge import Challenges
from gateway.stages.answer.cors import Cors
from gateway.stages.answer.ratelimits import rate_limit_fields
from gateway.stages.answer.stage import Answer
from tests.exchange import Recorder, context, head, limit_status, trace

APP = "https://app.example.com"
CORS = Cors([APP], ["GET", "PUT"], ["authorization"], ["X-Request-Id"], credentials=True, max_age=600)
ANSWER = Answer([None, CORS], Challenges(tokens=True, dpop_algorithms=("ES256", "EdDSA")))
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


def route(index: int = 0, **more: tuple[str, ...]) -> Route:
    return Route("r", index, False, None, "", **more)  # type: ignore[arg-type]


async def ended(answered: Outcome | Awaitable[Outcome]) -> Outcome:
    return answered if isinstance(answered, Outcome) else await answered


async def refuse(
    refused: Refused,
    request: RequestHead | None = None,
    *,
    where: Route | None = None,
    limits: Iterable[LimitStatus] = (),
    preflight: Preflight | None = None,
    answer: Answer = ANSWER,
) -> Recorder:
    request = request or head()
    exchange = Recorder(request)
    seen = trace(request, context(request, preflight=preflight), route=where or route(), limits=limits)
    outcome = await ended(answer.refuse(exchange, seen, refused))
    assert outcome == Outcome(exchange.status, None, None, 0, len(exchange.body), refused.reason)
    return exchange


async def test_a_problem_document() -> None:
    got = await refuse(Refused(Reason.NO_RULE_ALLOWS, "rule readers at routes.yaml:4 wants role=admin"))
    assert (got.status, got.ended, got.writes) == (403, True, 1)
    assert (got.value("content-type"), got.value("cache-control")) == ("application/problem+json", "no-store")
    assert json.loads(got.body) == {
        "type": "urn:gateway:problem:no_rule_allows",
        "title": "no rule allows this request",
        "status": 403,
        "detail": "No rule allows this request.",
        "instance": "urn:gateway:request:req-1",
        "reason": "no_rule_allows",
        "request_id": "req-1",
    }
    assert (got.value("content-length"), got.value("x-request-id")) == (str(len(got.body)), "req-1")


@pytest.mark.parametrize("reason", [reason for reason in Reason if reason.status])
async def test_every_reason_has_its_document_and_names_nothing_of_the_house(reason: Reason) -> None:
    refused = Refused(reason, "spiffe://secret rule-7 https://10.0.0.5:8443 kid-1", rule="rule-7")
    refused.upstream, refused.endpoint = "up-7", "https://10.0.0.5:8443"
    exchange = Recorder(head())
    seen = trace(exchange.head, context(exchange.head), route=route())
    outcome = await ended(ANSWER.refuse(exchange, seen, refused))
    told = json.loads(exchange.body)
    assert (exchange.status, told["status"], told["reason"]) == (reason.status, reason.status, reason.wire)
    assert told["detail"]
    assert (outcome.upstream, outcome.endpoint) == ("up-7", "https://10.0.0.5:8443")
    everything = exchange.body + repr(exchange.headers).encode()
    assert not any(secret in everything for secret in (b"secret", b"rule-7", b"10.0.0.5", b"kid-1", b"up-7"))
    assert (exchange.value("retry-after") is not None) is (reason.status in (429, 503))
    assert (exchange.value("www-authenticate") is not None) is (reason.status == 401 or reason is Reason.SCOPE_MISSING)


@pytest.mark.parametrize(
    ("reasons", "rule"),
    [
        pytest.param(
            [
                Reason.CERTIFICATE_UNTRUSTED,
                Reason.CERTIFICATE_EXPIRED,
                Reason.CERTIFICATE_REVOKED,
                Reason.SPIFFE_ID_INVALID,
            ],
            "M25",
            id="M25-certificates-look-alike",
        ),
        pytest.param([Reason.TOKEN_SIGNATURE, Reason.TOKEN_KEY_UNKNOWN], "J33", id="J33-keys-look-alike"),
    ],
)
async def test_what_would_help_an_attacker_looks_alike(reasons: list[Reason], rule: str) -> None:
    for accept in ("application/json", BROWSER):
        answers = [
            await refuse(Refused(reason, f"{rule} {reason}"), head(headers=[("accept", accept)])) for reason in reasons
        ]
        assert len({(got.status, got.body, repr(got.headers)) for got in answers}) == 1


@pytest.mark.parametrize(
    ("refused", "challenge"),
    [
        pytest.param(
            Refused(Reason.CREDENTIALS_MISSING), 'Bearer realm="gateway"', id="J33-nothing-sent-no-error-code"
        ),
        pytest.param(
            Refused(Reason.TOKEN_EXPIRED, "exp 17"), 'Bearer realm="gateway", error="invalid_token"', id="J33-expired"
        ),
        pytest.param(
            Refused(Reason.TOKEN_AUDIENCE), 'Bearer realm="gateway", error="invalid_token"', id="J33-audience"
        ),
        pytest.param(
            Refused(Reason.SCOPE_MISSING, challenge=Challenge(scopes=("a:read", "b"))),
            'Bearer realm="gateway", error="insufficient_scope", scope="a:read b"',
            id="J33-scope",
        ),
        pytest.param(
            Refused(Reason.STEP_UP_REQUIRED, challenge=Challenge(acr=("phr",), max_age=900)),
            'Bearer realm="gateway", error="insufficient_user_authentication", acr_values="phr", max_age=900',
            id="J33-step-up",
        ),
        pytest.param(
            Refused(Reason.CREDENTIALS_MISSING, challenge=Challenge(acr=("phr", 'a"b'), max_age=900)),
            'Bearer realm="gateway", acr_values="phr", max_age=900',
            id="J33-no-error-where-nobody-logged-in-yet",
        ),
        pytest.param(
            Refused(Reason.BINDING_MISSING),
            'DPoP realm="gateway", error="invalid_token", algs="ES256 EdDSA"',
            id="J34-bound-token-without-proof",
        ),
        pytest.param(
            Refused(Reason.DPOP_INVALID),
            'DPoP realm="gateway", error="invalid_dpop_proof", algs="ES256 EdDSA"',
            id="J34-bad-proof",
        ),
        pytest.param(
            Refused(Reason.BINDING_MISMATCH),
            'DPoP realm="gateway", error="invalid_token", algs="ES256 EdDSA"',
            id="J35-another-key",
        ),
        pytest.param(Refused(Reason.CERTIFICATE_REQUIRED), "TLS-Client-Certificate", id="M25-certificate-required"),
        pytest.param(Refused(Reason.CERTIFICATE_REVOKED), "TLS-Client-Certificate", id="M25-certificate-revoked"),
        pytest.param(
            Refused(Reason.CREDENTIALS_MISSING, challenge=Challenge(certificate=True)),
            "TLS-Client-Certificate",
            id="M25-only-a-certificate-would-do",
        ),
        pytest.param(
            Refused(Reason.SCOPE_MISSING, challenge=Challenge(scopes=('a"b', "c"))),
            'Bearer realm="gateway", error="insufficient_scope", scope="c"',
            id="J33-a-scope-cannot-add-parameters",
        ),
        pytest.param(Refused(Reason.DENIED_BY_RULE), None, id="J33-no-challenge-for-403"),
    ],
)
async def test_challenges(refused: Refused, challenge: str | None) -> None:
    assert (await refuse(refused)).value("www-authenticate") == challenge


async def test_without_issuers_only_a_certificate_would_do() -> None:
    answer = Answer([None], Challenges(tokens=False))
    got = await refuse(Refused(Reason.CREDENTIALS_MISSING), answer=answer)
    assert got.value("www-authenticate") == "TLS-Client-Certificate"


@pytest.mark.parametrize(
    ("refused", "challenge"),
    [
        (Refused(Reason.TOKEN_EXPIRED), 'DPoP realm="gateway", error="invalid_token", algs="ES256 EdDSA"'),
        (
            Refused(Reason.SCOPE_MISSING, challenge=Challenge(scopes=("a",))),
            'DPoP realm="gateway", error="insufficient_scope", scope="a", algs="ES256 EdDSA"',
        ),
        (Refused(Reason.CERTIFICATE_REQUIRED), "TLS-Client-Certificate"),
    ],
)
async def test_J33_a_token_under_the_dpop_scheme_is_challenged_under_it(refused: Refused, challenge: str) -> None:
    got = await refuse(refused, head(headers=[("authorization", "dPoP t"), ("dpop", "p")]))
    assert got.value("www-authenticate") == challenge


async def test_J35_a_nonce_is_asked_for_and_given() -> None:
    got = await refuse(Refused(Reason.DPOP_INVALID, challenge=Challenge(nonce="n-1")))
    assert (got.status, got.value("dpop-nonce")) == (401, "n-1")
    assert got.value("www-authenticate") == 'DPoP realm="gateway", error="use_dpop_nonce", algs="ES256 EdDSA"'
    assert (await refuse(Refused(Reason.DPOP_INVALID))).value("dpop-nonce") is None


async def test_where_every_issuer_requires_a_proof_no_bearer_token_is_asked_for() -> None:
    answer = Answer([None], Challenges(tokens=True, dpop_algorithms=("ES256",), dpop_only=True))
    got = await refuse(Refused(Reason.CREDENTIALS_MISSING), answer=answer)
    assert got.value("www-authenticate") == 'DPoP realm="gateway", algs="ES256"'


async def test_without_dpop_a_bound_token_is_just_invalid() -> None:
    got = await refuse(Refused(Reason.BINDING_MISSING), answer=Answer([None], Challenges(tokens=True)))
    assert got.value("www-authenticate") == 'Bearer realm="gateway", error="invalid_token"'


@pytest.mark.parametrize(
    ("accept", "html"),
    [
        (BROWSER, True),
        ("text/html", True),
        ("text/html;q=0.5, application/json", False),
        ("text/html;q=0.9, application/json;q=0.5", True),
        ("application/problem+json, text/html", False),
        ("*/*", False),
        ("text/html;q=0", False),
        ("text/html;q=nonsense", False),
        ("TEXT/HTML", True),
        ("", False),
    ],
)
async def test_html_where_accept_prefers_it(accept: str, html: bool) -> None:
    got = await refuse(Refused(Reason.NO_ROUTE), head(headers=[("accept", accept)]))
    assert ((got.value("content-type") or "").startswith("text/html"), got.body.startswith(b"<!doctype")) == (
        html,
        html,
    )


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        self.links += [value or "" for name, value in attrs if name == "href"]


@pytest.mark.parametrize("text", ['<script>alert("1")</script>', '"><img src=x onerror=1>', "javascript:alert(1)"])
async def test_H30_nothing_reaches_html_unescaped(text: str) -> None:
    request = head(target="/<script>alert(1)</script>", headers=[("accept", "text/html"), ("user-agent", text)])
    exchange = Recorder(request)
    seen = trace(request, None)
    seen.request_id = text
    await ended(ANSWER.refuse(exchange, seen, Refused(Reason.NO_ROUTE, text, remediation=text)))
    tags = Tags()
    tags.feed(exchange.body.decode())
    assert set(tags.seen) <= {"html", "head", "meta", "title", "body", "h1", "p", "code", "br", "a"}
    assert tags.links == []
    assert exchange.value("content-security-policy") == "default-src 'none'"


async def test_H30_json_holds_no_path_and_is_plain_ascii() -> None:
    request = head(target="/</script>\u2028", headers=[])
    got = await refuse(Refused(Reason.NO_ROUTE, remediation="https://help.example/é"), request)
    assert got.body.isascii()
    assert (b"script" in got.body, json.loads(got.body)["remediation"]) == (False, "https://help.example/é")


@pytest.mark.parametrize(
    ("reason", "status"),
    [
        (Reason.CREDENTIALS_MISSING, "16"),
        (Reason.NO_RULE_ALLOWS, "7"),
        (Reason.RATE_LIMITED, "8"),
        (Reason.UPSTREAM_CONNECT, "14"),
    ],
)
@pytest.mark.parametrize("kind", ["application/grpc", "application/grpc+proto", "Application/gRPC; x=y"])
async def test_grpc_gets_its_status_and_no_body(reason: Reason, status: str, kind: str) -> None:
    request = head("POST", headers=[("content-type", kind), ("accept", "text/html")])
    exchange = Recorder(request)
    seen = trace(request, context(request), route=route())
    outcome = await ended(ANSWER.refuse(exchange, seen, Refused(reason)))
    assert (exchange.status, exchange.body, exchange.ended, outcome.reason) == (200, b"", True, reason)
    assert (exchange.value("grpc-status"), exchange.value("content-type")) == (status, "application/grpc")


@pytest.mark.parametrize("kind", ["application/grpc-web", "application/json", "text/plain"])
async def test_what_is_not_grpc_gets_http(kind: str) -> None:
    got = await refuse(Refused(Reason.NO_RULE_ALLOWS), head("POST", headers=[("content-type", kind)]))
    assert (got.status, got.value("grpc-status")) == (403, None)


async def test_head_gets_no_body() -> None:
    got = await refuse(Refused(Reason.NO_ROUTE), head("HEAD"))
    assert (got.body, got.value("content-length") != "0") == (b"", True)


@pytest.mark.parametrize(
    ("request_head", "reason", "closes"),
    [
        (head("POST", length=5), Reason.CREDENTIALS_MISSING, True),
        (head("POST", chunked=True), Reason.CREDENTIALS_MISSING, True),
        (head("POST", length=0), Reason.CREDENTIALS_MISSING, False),
        (head(), Reason.CREDENTIALS_MISSING, False),
        (head(fault=Reason.AMBIGUOUS_FRAMING), Reason.AMBIGUOUS_FRAMING, True),
        (head(), Reason.HEADERS_TOO_LARGE, True),
        (head(), Reason.RATE_LIMITED, False),
    ],
)
async def test_H10_the_connection_ends_where_what_follows_cannot_be_told(
    request_head: RequestHead, reason: Reason, closes: bool
) -> None:
    assert ((await refuse(Refused(reason), request_head)).value("connection") == "close") is closes


async def test_retry_after_is_what_the_refusal_knows() -> None:
    assert (await refuse(Refused(Reason.RATE_LIMITED, retry_after=17))).value("retry-after") == "17"
    assert (await refuse(Refused(Reason.KEYS_UNAVAILABLE))).value("retry-after") == "5"


async def test_405_names_the_methods() -> None:
    where = route(-1, allowed_methods=("GET", "PUT"))
    assert (await refuse(Refused(Reason.METHOD_NOT_ALLOWED), where=where)).value("allow") == "GET, PUT"


async def test_limits_of_the_trace_and_of_the_refusal() -> None:
    early, late = limit_status("per-address", 600, 60, 599, 60), limit_status("per-client", 100, 60, 0, 12)
    got = await refuse(Refused(Reason.RATE_LIMITED, limits=(late,)), limits=[early])
    assert got.value("ratelimit-policy") == '"per-address";q=600;w=60, "per-client";q=100;w=60'
    assert got.value("ratelimit") == '"per-address";r=599;t=60, "per-client";r=0;t=12'


async def test_a_reason_that_is_never_answered_breaks_off() -> None:
    exchange = Recorder(head())
    outcome = await ended(ANSWER.refuse(exchange, trace(exchange.head), Refused(Reason.CLIENT_GONE)))
    assert (exchange.aborted, exchange.started, outcome.status) == (True, False, 0)


async def test_a_head_that_was_never_understood_is_answered_too() -> None:
    request = RequestHead("", b"", "1.1", [], None, False, Reason.BAD_REQUEST)
    exchange = Recorder(request)
    await ended(ANSWER.refuse(exchange, trace(request), Refused(Reason.BAD_REQUEST)))
    assert (exchange.status, exchange.value("connection")) == (400, "close")


async def test_cors_stands_on_refusals_once_the_route_is_known() -> None:
    got = await refuse(Refused(Reason.TOKEN_EXPIRED), head(headers=[("origin", APP)]), where=route(1))
    assert (got.value("access-control-allow-origin"), got.value("vary")) == (APP, "Origin")
    assert got.value("access-control-allow-credentials") == "true"


async def test_H29_a_refused_preflight_has_no_cors_fields() -> None:
    request = head("OPTIONS", headers=[("origin", APP)])
    got = await refuse(Refused(Reason.CORS_REFUSED), request, where=route(1), preflight=Preflight(APP, "PUT", ()))
    assert (got.status, [name for name, _ in got.headers if name.startswith(b"access-control")]) == (403, [])


@pytest.mark.parametrize("answer", [ANSWER, Answer([], Challenges(tokens=True))])
@pytest.mark.parametrize(
    "limits",
    [
        [],
        [limit_status("a", 9, 60, 8, 30)],
        [limit_status("a", 9, 86400, 8, 4000)],
        [limit_status("a", 9, 0, 8, 0)],
        [limit_status("a", 9, 0, 8, 0)] * 2,
    ],
)
def test_what_stands_on_an_answer_is_written_as_it_stands(answer: Answer, limits: list[LimitStatus]) -> None:
    for sent in (None, "0123456789abcdef", "a.proxy-s_own"):
        request = head()
        seen = trace(request, context(request), route=route(1), limits=limits)
        seen.request_id = request_id = sent or seen.own_id
        own = answer.headers(seen)
        assert type(own) is OwnFields
        assert own[0] == (b"x-request-id", request_id.encode())
        told = rate_limit_fields(limits) if limits else []
        assert own[1 : 1 + len(told)] == told
        assert own.lines == b"".join(b"%b: %b\r\n" % field for field in own)


def test_H18_what_would_end_a_line_is_not_written_ahead_of_the_answer() -> None:
    request = head()
    seen = trace(request, context(request), route=route())
    seen.request_id = "a\r\nb: c"
    for answer in (ANSWER, Answer([], Challenges(tokens=True))):
        for limits in ([], [limit_status("a", 9, 60, 8, 30)]):
            seen.limits = limits
            assert type(answer.headers(seen)) is list


OWN_ID = "0af7651916cd43dd8448eb211c80319c"
KINDS = [
    *(Refused(reason) for reason in Reason if reason.status),
    Refused(Reason.RATE_LIMITED, retry_after=17, limits=(limit_status("per-client", 100, 60, 0, 12),)),
    Refused(Reason.SCOPE_MISSING, challenge=Challenge(scopes=("a:read", "b"))),
    Refused(Reason.STEP_UP_REQUIRED, challenge=Challenge(acr=("phr",), max_age=900)),
    Refused(Reason.CREDENTIALS_MISSING, challenge=Challenge(certificate=True)),
    Refused(Reason.DPOP_INVALID, challenge=Challenge(nonce="n1")),
    Refused(Reason.DPOP_INVALID, challenge=Challenge(nonce="n2")),
    Refused(Reason.POSTURE_FAILED, remediation='https://help.example/?a="<b>&c'),
    Refused(Reason.POSTURE_FAILED, remediation="https://help.example/other"),
]
HEADS = [
    [],
    [("accept", BROWSER)],
    [("content-type", "application/grpc")],
    [("authorization", "DPoP x")],
    [("accept", BROWSER), ("authorization", "dpop x")],
]


async def test_a_refusal_says_the_same_whether_its_kind_came_before_or_is_written_for_it_alone() -> None:
    """What is usual is composed once for its kind; a proxy's request id, the same text, takes the long way."""
    answer = Answer([None, CORS], Challenges(tokens=True, dpop_algorithms=("ES256",)))
    for headers in HEADS:
        request = replace(head(headers=headers), section=HeaderSection())
        for refused in (*KINDS, *KINDS):  # the second time each is found
            written = []
            for request_id in (OWN_ID, "".join(list(OWN_ID))):
                exchange, limits = Recorder(request), () if refused.limits else (limit_status("l", 9, 60, 8, 7),)
                allowing = route(-1, allowed_methods=("GET", "PUT"))
                seen = trace(request, context(request), route=allowing, limits=limits)
                seen.request_id = request_id
                if request_id is OWN_ID:
                    seen.own_id = OWN_ID
                outcome = await ended(answer.refuse(exchange, seen, refused))
                assert outcome.bytes_out == len(exchange.body)
                written.append((exchange.status, sorted(exchange.headers), exchange.body))
                if type(exchange.headers) is ComposedFields:
                    *lines, length = [b"%b: %b\r\n" % field for field in exchange.headers]
                    assert (exchange.headers.lines, exchange.headers.length) == (b"".join(lines), length)
                else:
                    assert request_id is not OWN_ID or exchange.value("connection") == "close"
            assert written[0] == written[1]


async def test_405_names_the_methods_of_its_own_route() -> None:
    for methods in (("GET",), ("PUT",), ("GET",)):
        where = route(-1, allowed_methods=methods)
        assert (await refuse(Refused(Reason.METHOD_NOT_ALLOWED), where=where)).value("allow") == methods[0]


async def test_what_is_kept_of_refusals_is_bounded_whatever_they_say() -> None:
    answer = Answer([None], Challenges(tokens=True))
    for wait in range(3000):
        await refuse(Refused(Reason.RATE_LIMITED, retry_after=wait), answer=answer)
    assert 0 < len(answer._kinds) < 1000
    long = Refused(Reason.POSTURE_FAILED, remediation="https://help.example/" + "a" * 10_000)
    before = len(answer._kinds)
    assert len((await refuse(long, answer=answer)).body) > 10_000
    assert len(answer._kinds) == before
