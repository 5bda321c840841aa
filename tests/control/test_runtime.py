"""What outlives a reload, and what a config that cannot be put to work leaves behind: nothing."""

import json
from collections.abc import AsyncIterator
from functools import cache
from pathlib import Path

import pytest
from joserfc.jwk import ECKey

from gateway.config.schema import Bundle, Config
from gateway.control.runtime import Runtime, Unusable
from tests.control.policy_config import config

ROUTES = """
- name: api
  match: {paths: ["/api/*"]}
  upstream: api
  allow: [{from: {request_principals: ["*"]}}]
"""
MORE_ROUTES = (
    ROUTES
    + """
- name: health
  match: {paths: [/health], listeners: [edge]}
  public: true
  respond: {status: 200, body: ok}
"""
)


@cache
def _jwks() -> str:
    return json.dumps({"keys": [ECKey.generate_key("P-256", {"kid": "k"}).as_dict(private=False)]})


def made(folder: Path, routes: str = ROUTES, **parts: str) -> Config:
    (folder / "jwks.json").write_text(_jwks(), encoding="utf-8")
    issuer = 'corp: {issuer: "https://auth.example.com", audiences: [api], jwks: jwks.json}'
    return config(folder, routes=routes, issuers=issuer, **parts)


@pytest.fixture
async def runtime() -> AsyncIterator[Runtime]:
    it = Runtime()
    yield it
    await it.close()


def test_before_a_config_is_adopted_nothing_is_at_work() -> None:
    with pytest.raises(RuntimeError, match="no config"):
        _ = Runtime().parts


async def test_a_reload_keeps_whatever_its_settings_keep(runtime: Runtime, tmp_path: Path) -> None:
    await runtime.adopt(runtime.prepare(made(tmp_path)))
    before = runtime.parts
    await runtime.adopt(runtime.prepare(made(tmp_path, MORE_ROUTES)))
    after = runtime.parts
    assert after.snapshot is not before.snapshot
    assert after.audit is before.audit
    assert after.store is before.store
    assert after.sources.keys["corp"] is before.sources.keys["corp"]
    assert after.sources.trust is before.sources.trust
    assert after.upstreams.clusters["api"] is before.upstreams.clusters["api"]


async def test_Z18_a_config_that_cannot_be_put_to_work_changes_nothing(runtime: Runtime, tmp_path: Path) -> None:
    good = made(tmp_path)
    await runtime.adopt(runtime.prepare(good))
    before = runtime.parts
    (tmp_path / "other-ca.pem").write_text("half a certif", encoding="utf-8")
    domain = good.trust_domains["cluster.local"].replace(bundle=Bundle(file=tmp_path / "other-ca.pem"))
    with pytest.raises(Unusable, match=r"other-ca\.pem"):
        runtime.prepare(good.replace(trust_domains={"cluster.local": domain}))
    assert runtime.parts is before


async def test_where_the_audit_log_is_kept_changes_only_with_a_restart(runtime: Runtime, tmp_path: Path) -> None:
    good = made(tmp_path)
    await runtime.adopt(runtime.prepare(good))
    moved = good.replace(audit=good.audit.replace(directory=tmp_path / "elsewhere"))
    with pytest.raises(Unusable, match="only with a restart"):
        runtime.prepare(moved)
    assert not (tmp_path / "elsewhere").exists()


async def test_A6_a_second_worker_of_the_same_number_may_not_write_the_same_chain(
    runtime: Runtime, tmp_path: Path
) -> None:
    good = made(tmp_path)
    await runtime.adopt(runtime.prepare(good))
    with pytest.raises(Unusable, match="audit"):
        Runtime().prepare(good)
