"""Every spelling of a path that a rule denies: refused as ambiguous, or judged as what it is; never something else.

The whole way from the bytes of the target to the verdict, through the stages that serve.
"""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.control import evidence
from gateway.control.made_up import Url, make_connection, make_head
from gateway.control.offline import Offline, Verdict
from gateway.model.reason import Effect, Reason
from tests.control.policy_config import config
from tests.facts import NOW

POLICIES = """
- name: no-admin
  action: deny
  rules: [{to: {paths: ["/admin", "/admin/*"]}}]
"""
ROUTES = """
- {name: exact, match: {paths: [/health]}, public: true, respond: {}}
- name: all
  match: {paths: ["/*"]}
  upstream: api
  allow: [{from: {request_principals: ["*"]}}]
"""
LISTENERS = """
lax:
  address: "127.0.0.1:8444"
  tls: {certificate: edge.pem, key: edge.key}
  paths: {double_slash: merge, encoded_slash: keep, semicolon: keep}
"""


@pytest.fixture(scope="module")
def offline(tmp_path_factory: pytest.TempPathFactory) -> Offline:
    folder: Path = tmp_path_factory.mktemp("paths")
    return Offline(config(folder, routes=ROUTES, policies=POLICIES, listeners=LISTENERS))


async def send(offline: Offline, target: str, listener: str = "edge", *, anonymous: bool = False) -> Verdict:
    loaded = offline.config
    token = evidence.assumed_token(loaded, None, {"sub": "alice"}, None, NOW)
    sent = () if anonymous else (("authorization", f"Bearer {token.sent}"),)
    head = make_head("GET", Url("https", "api.example.com", target), sent)
    over = make_connection(loaded.listeners[listener], "api.example.com")
    return await offline.judge(over, head, NOW, token, evidence.no_certificate(loaded))


@pytest.mark.parametrize(
    "target",
    [
        pytest.param("/admin", id="P1-plain"),
        pytest.param("/admin/", id="P1-trailing-slash"),
        pytest.param("/admin/x", id="P1-below"),
        pytest.param("/%61dmin/x", id="P1-encoded-letter"),
        pytest.param("/%61%64%6D%69%6e/x", id="P1-encoded-word"),
        pytest.param("/x/../admin/x", id="P2-dot-segment"),
        pytest.param("/x/%2e%2e/admin/x", id="P2-encoded-dot-segment"),
        pytest.param("/x/%2E./admin/x", id="P2-half-encoded-dot-segment"),
        pytest.param("/./admin/x", id="P2-single-dot"),
        pytest.param("/admin/y/../x", id="P2-dots-below"),
        pytest.param("/admin?x", id="P6-query"),
        pytest.param("/admin/x?/health", id="P6-exempt-path-in-the-query"),
        pytest.param("/admin/x?a=/../health", id="P6-dots-in-the-query"),
        pytest.param("http://api.example.com/admin/x", id="P1-absolute-form"),
    ],
)
@pytest.mark.parametrize("listener", ["edge", "lax"])
async def test_a_denied_path_is_denied_in_every_spelling(offline: Offline, target: str, listener: str) -> None:
    verdict = await send(offline, target, listener)
    assert (verdict.reason, verdict.rule) == (Reason.DENIED_BY_RULE, "no-admin[0]")


@pytest.mark.parametrize(
    ("target", "listeners"),
    [
        pytest.param("//admin/x", ("edge",), id="P3-two-slashes"),
        pytest.param("/x//../admin/x", ("edge",), id="P3-two-slashes-and-dots"),
        pytest.param("/;/admin", ("edge",), id="P4-parameter"),
        pytest.param("/admin;x/y", ("edge",), id="P4-parameter-on-the-word"),
        pytest.param("/..;/admin", ("edge", "lax"), id="P4-dots-with-parameter"),
        pytest.param("/x/..;a=b/admin", ("edge", "lax"), id="P4-dots-with-parameters"),
        pytest.param("/%2e%2e;/admin", ("edge", "lax"), id="P4-encoded-dots-with-parameter"),
        pytest.param("/x%2F..%2Fadmin", ("edge", "lax"), id="P2-dots-between-encoded-slashes"),
        pytest.param("/admin%2Fx", ("edge",), id="P2-encoded-slash"),
        pytest.param("/admin%5Cx", ("edge", "lax"), id="P2-encoded-backslash"),
        pytest.param("/admin\\x", ("edge", "lax"), id="P2-backslash"),
        pytest.param("/admin%00", ("edge", "lax"), id="P2-nul"),
        pytest.param("/admin#x", ("edge", "lax"), id="P2-fragment"),
        pytest.param("/admin?x#y", ("edge", "lax"), id="P2-fragment-behind-the-query"),
        pytest.param("/%2561dmin%252Fx", ("edge", "lax"), id="P2-doubly-encoded-slash"),
        pytest.param("/x/%252e%252e/admin", ("edge", "lax"), id="P2-doubly-encoded-dots"),
        pytest.param("/x/%c0%ae%c0%ae/admin", ("edge", "lax"), id="P2-overlong-dots"),
        pytest.param("/admin%", ("edge", "lax"), id="P2-broken-percent"),
        pytest.param("/admin%u002fx", ("edge", "lax"), id="P2-percent-u"),
        pytest.param("/../admin", ("edge", "lax"), id="P2-above-the-root"),
        pytest.param("/ädmin", ("edge", "lax"), id="P2-non-ascii"),
        pytest.param("/admin\x00", ("edge", "lax"), id="P2-raw-nul"),
        pytest.param("/admin\t", ("edge", "lax"), id="P2-raw-tab"),
    ],
)
async def test_a_trick_is_refused_before_any_rule(offline: Offline, target: str, listeners: tuple[str, ...]) -> None:
    for listener in listeners:
        verdict = await send(offline, target, listener)
        assert verdict.reason is Reason.AMBIGUOUS_PATH, listener
        assert verdict.trace.ctx is None


@pytest.mark.parametrize(
    ("target", "path"),
    [
        pytest.param("//admin/x", "/admin/x", id="P3-merged-before-it-is-judged"),
        pytest.param("///admin//x", "/admin/x", id="P3-merged-everywhere"),
    ],
)
async def test_merged_slashes_are_judged_merged(offline: Offline, target: str, path: str) -> None:
    verdict = await send(offline, target, "lax")
    assert verdict.reason is Reason.DENIED_BY_RULE
    assert verdict.trace.ctx is not None
    assert verdict.trace.ctx.path == path


@pytest.mark.parametrize(
    ("target", "path"),
    [
        pytest.param("/Admin/x", "/Admin/x", id="P5-case-is-kept"),
        pytest.param("/administrator", "/administrator", id="P7-a-longer-word"),
        pytest.param("/admin%2520", "/admin%2520", id="P2-doubly-encoded-space"),
        pytest.param("/x?/admin", "/x", id="P6-query-is-no-path"),
        pytest.param("/%3F/admin", "/%3F/admin", id="P6-encoded-question-mark"),
        pytest.param("/a/b/../../x", "/x", id="P2-back-to-the-root"),
    ],
)
async def test_another_path_is_another_path(offline: Offline, target: str, path: str) -> None:
    verdict = await send(offline, target)
    assert verdict.effect is Effect.ALLOW
    assert verdict.trace.ctx is not None
    assert verdict.trace.ctx.path == path


@pytest.mark.parametrize(
    "target",
    [
        pytest.param("/x?/health", id="P6-exempt-path-in-the-query"),
        pytest.param("/health/../x", id="P6-exempt-path-left-again"),
        pytest.param("/health/x", id="P6-exempt-path-as-prefix"),
        pytest.param("/healthz", id="P6-longer-word"),
        pytest.param("/x/health", id="P6-exempt-path-as-suffix"),
        pytest.param("/Health", id="P5-exempt-path-in-another-case"),
    ],
)
async def test_a_public_path_exempts_itself_alone(offline: Offline, target: str) -> None:
    assert (await send(offline, target, anonymous=True)).reason is Reason.CREDENTIALS_MISSING


async def test_P6_a_public_path_with_a_query_is_still_public(offline: Offline) -> None:
    assert (await send(offline, "/health?x=/admin", anonymous=True)).effect is Effect.ALLOW


PIECES = st.sampled_from(
    ["admin", "x", "/", "//", ".", "..", "%2e", "%2E", "%2f", "%5c", "\\", ";", "%61", "%25", "%", "?", "#", "%00", "é"]
)


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(PIECES, max_size=8), st.sampled_from(["edge", "lax"]))
async def test_P1_what_is_allowed_never_reads_as_denied(offline: Offline, pieces: list[str], listener: str) -> None:
    verdict = await send(offline, "/" + "".join(pieces), listener)
    if verdict.effect is not Effect.ALLOW:
        return
    assert verdict.trace.ctx is not None
    path = verdict.trace.ctx.path
    again = await send(offline, path, listener)
    assert again.trace.ctx is not None
    assert again.trace.ctx.path == path  # what is forwarded reads as what was judged
    assert path != "/admin"
    assert not path.startswith("/admin/")
