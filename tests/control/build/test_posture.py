"""Postures of the file into the stage: real inventories on real sockets."""

from dataclasses import replace
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import ObjectIdentifier

from gateway.config.schema import Config
from gateway.control.build.authorize import build_inputs
from gateway.control.build.posture import PostureSources, offline_posture, posture_sources, serving_posture
from gateway.kernel.store import RedisAddress, RedisStore
from gateway.model.json import JSON
from gateway.model.posture import Posture
from gateway.model.principal import Principal
from gateway.model.reason import Reason
from gateway.model.refused import Refused
from gateway.model.request import RequestContext
from gateway.model.route import Route
from gateway.stages.posture import JudgePosture
from gateway.testing.ca import Authority
from gateway.testing.tls import server_context
from gateway.testing.upstream import Upstream, answer
from tests.control.policy_config import config
from tests.facts import connection, context, principal, user, workload
from tests.redis_server import redis_server

ROUTES = """
- name: asks
  match: {paths: ["/asks/*"]}
  upstream: api
  requires: {posture: managed}
  allow: [{when: ['device.owner == "alice"']}]
- {name: open, match: {paths: ["/open"]}, public: true, respond: {}}
"""
ASKS, OPEN = Route("asks", 0, False, None, ""), Route("open", 1, True, None, "")


def with_posture(folder: Path, source: str, *, more: str = "") -> Config:
    posture = f"managed: {{source: {source}, device: claims.device_id, require: [device.encrypted]{more}}}"
    return config(folder, routes=ROUTES, more=f"posture:\n  {posture}\n")


async def judged(stage: JudgePosture, ctx: RequestContext, who: Principal, route: Route = ASKS) -> Posture | None:
    judging = stage(ctx, route, who)
    return await judging if judging is not None else None


async def ask(stage: JudgePosture, device: JSON, route: Route = ASKS) -> Posture | Reason | None:
    try:
        return await judged(stage, context(), principal(None, user(device_id=device)), route)
    except Refused as refused:
        return refused.reason


def serve(loaded: Config, before: PostureSources | None = None) -> tuple[JudgePosture, PostureSources]:
    sources = posture_sources(loaded, before)
    return serving_posture(loaded, sources), sources


async def test_an_inventory_is_asked_for_one_segment(tmp_path: Path) -> None:
    async with Upstream(answer(body=b'{"encrypted": true, "owner": "alice"}')) as inventory:
        stage, _ = serve(with_posture(tmp_path, f"{{http: '{inventory.url}/devices/{{device}}?full=1'}}"))
        found = await ask(stage, "a/../ä?#%2e")
        assert isinstance(found, Posture)
        assert found.facts == {"encrypted": True, "owner": "alice"}
        assert [call.target for call in inventory.calls] == [b"/devices/a%2F..%2F%C3%A4%3F%23%252e?full=1"]
        assert await ask(stage, "a", OPEN) is None
        for device in ("", "..", ".", "x" * 257, None, 7):
            assert await ask(stage, device) is Reason.POSTURE_FAILED
        assert len(inventory.calls) == 1


@pytest.mark.parametrize(
    ("status", "body", "reason"),
    [
        (404, b"", Reason.POSTURE_FAILED),
        (410, b"", Reason.POSTURE_FAILED),
        (200, b'{"encrypted": false}', Reason.POSTURE_FAILED),
        (200, b"{}", Reason.POSTURE_FAILED),
        (200, b'{"encrypted": true, "observed_at": 1}', Reason.POSTURE_STALE),
        (200, b"not JSON", Reason.POSTURE_UNAVAILABLE),
        (401, b"{}", Reason.POSTURE_UNAVAILABLE),
        (500, b"{}", Reason.POSTURE_UNAVAILABLE),
        (302, b"{}", Reason.POSTURE_UNAVAILABLE),
    ],
)
async def test_what_an_inventory_may_answer(tmp_path: Path, status: int, body: bytes, reason: Reason) -> None:
    async with Upstream(answer(status, body)) as inventory:
        stage, _ = serve(with_posture(tmp_path, f"{{http: '{inventory.url}/{{device}}'}}"))
        assert await ask(stage, "a") is reason


async def test_an_inventory_that_is_down_is_an_outage(tmp_path: Path) -> None:
    async with Upstream() as inventory:
        loaded = with_posture(tmp_path, f"{{http: '{inventory.url}/{{device}}'}}")
    assert await ask(serve(loaded)[0], "a") is Reason.POSTURE_UNAVAILABLE


async def test_K1_an_inventory_must_prove_its_name(tmp_path: Path) -> None:
    authority = Authority("cluster.local")
    authority.write(tmp_path, "inventory-ca")
    served = server_context(authority.issue(dns=["localhost"]))
    async with Upstream(answer(body=b'{"encrypted": true}'), tls=served) as inventory:
        named = inventory.url.replace("127.0.0.1", "localhost")
        for url, ca, good in (
            (named, ", ca: inventory-ca.pem", True),
            (named, "", False),
            (inventory.url, ", ca: inventory-ca.pem", False),
        ):
            found = await ask(serve(with_posture(tmp_path, f"{{http: '{url}/{{device}}'{ca}}}"))[0], "a")
            assert isinstance(found, Posture) if good else found is Reason.POSTURE_UNAVAILABLE


async def test_what_an_inventory_said_survives_a_reload_and_not_another_url(tmp_path: Path) -> None:
    async with Upstream(answer(body=b'{"encrypted": true}')) as inventory:
        stage, before = serve(with_posture(tmp_path, f"{{http: '{inventory.url}/{{device}}'}}"))
        await ask(stage, "a")
        stage, after = serve(
            with_posture(tmp_path, f"{{http: '{inventory.url}/{{device}}'}}", more=", mode: shadow"), before
        )
        await ask(stage, "a")
        assert len(inventory.calls) == 1
        await before.close(keep=after)
        stage, other = serve(with_posture(tmp_path, f"{{http: '{inventory.url}/v2/{{device}}'}}"), after)
        await ask(stage, "a")
        assert [call.target for call in inventory.calls] == [b"/a", b"/v2/a"]
        await after.close(keep=other)
        await other.close()


async def test_a_file_of_devices_is_watched_once_over_reloads(tmp_path: Path) -> None:
    devices = tmp_path / "devices.yaml"
    devices.write_text("a: {encrypted: true, observed_at: 2027-01-15T07:00:00Z}\n")
    stage, before = serve(with_posture(tmp_path, "{file: devices.yaml}"))
    before.start()
    assert isinstance(await ask(stage, "a"), Posture)
    assert await ask(stage, "b") is Reason.POSTURE_FAILED
    stage, after = serve(with_posture(tmp_path, "{file: devices.yaml}"), before)
    assert after.files[devices] is before.files[devices]
    await before.close(keep=after)
    devices.write_text("a: {encrypted: false, observed_at: 2027-01-15T07:00:00Z}\n")
    after.reload()
    assert await ask(stage, "a") is Reason.POSTURE_FAILED
    await after.close()


FRESH = '{"encrypted": true, "observed_at": 1800000000}'


@pytest.mark.parametrize("key", ["devices", "device:{device}"])
async def test_facts_from_a_real_store(tmp_path: Path, key: str) -> None:
    loaded = with_posture(tmp_path, f"{{store: '{key}'}}")
    with redis_server(tmp_path / "redis") as server, server.client() as client:
        store = RedisStore(RedisAddress.parse(server.unix_url), timeout=5.0)
        await store.start()
        stage = serving_posture(loaded, sources := posture_sources(loaded, None, store))
        for name, value in (("a", FRESH), ("b", '{"encrypted": true}'), ("c", "[]")):
            if key == "devices":
                client.hset("devices", name, value)
            else:
                client.set(f"device:{name}", value)
        found = await ask(stage, "a")
        assert isinstance(found, Posture)
        assert found.facts == {"encrypted": True, "observed_at": 1800000000}
        assert await ask(stage, "b") is Reason.POSTURE_STALE  # nobody knows when it was written
        assert await ask(stage, "c") is Reason.POSTURE_UNAVAILABLE
        assert await ask(stage, "d") is Reason.POSTURE_FAILED
        assert posture_sources(loaded, sources, store).inventories == sources.inventories
        if key != "devices":
            client.lpush("device:e", "x")
            assert await ask(stage, "e") is Reason.POSTURE_UNAVAILABLE  # a key of another kind
            assert store.up
        await store.close()
    assert await ask(stage, "f") is Reason.POSTURE_UNAVAILABLE
    assert isinstance(await ask(stage, "a"), Posture)  # it was told within max_age


async def test_facts_of_the_certificate_that_proved_the_caller(tmp_path: Path) -> None:
    loaded = with_posture(tmp_path, "{certificate: 1.3.6.1.4.1.32473.1}")
    loaded = loaded.replace(posture={"managed": loaded.posture["managed"].replace(device=None)})
    facts = x509.UnrecognizedExtension(ObjectIdentifier("1.3.6.1.4.1.32473.1"), FRESH.encode())
    issued = Authority("cluster.local").issue(uri="spiffe://cluster.local/a", extensions=[(facts, False)])
    held = connection()
    assert held.tls is not None
    ctx = context(over=replace(held, tls=replace(held.tls, chain=issued.ders)))
    for stage in (serve(loaded)[0], offline_posture(loaded, None)):
        found = await judged(stage, ctx, principal(workload()))
        assert found is not None
        assert (found.device, found.facts["encrypted"]) == (workload().fingerprint, True)
        with pytest.raises(Refused) as refused:  # a token beside somebody else's certificate proves no device
            await judged(stage, ctx, principal(None, user(device_id="a")))
        assert refused.value.reason is Reason.POSTURE_FAILED


async def test_memory_holds_no_device(tmp_path: Path) -> None:
    stage, sources = serve(with_posture(tmp_path, "{store: devices}"))
    assert await ask(stage, "a") is Reason.POSTURE_FAILED
    await sources.close()


async def test_offline_an_inventory_knows_nothing_unless_facts_are_assumed(tmp_path: Path) -> None:
    loaded = with_posture(tmp_path, "{http: 'https://posture.internal/{device}'}")
    assert await ask(offline_posture(loaded, None), "a") is Reason.POSTURE_FAILED
    found = await ask(offline_posture(loaded, {"encrypted": True}), None)
    assert isinstance(found, Posture)
    assert (found.device, found.facts) == ("assumed", {"encrypted": True})
    assert await ask(offline_posture(loaded, {"encrypted": False}), "a") is Reason.POSTURE_FAILED


async def test_offline_a_file_says_what_it_says(tmp_path: Path) -> None:
    (tmp_path / "devices.yaml").write_text("a: {encrypted: true, observed_at: 1800000000}\n")
    stage = offline_posture(with_posture(tmp_path, "{file: devices.yaml}"), None)
    assert isinstance(await ask(stage, "a"), Posture)
    assert await ask(stage, "b") is Reason.POSTURE_FAILED


def test_the_facts_that_are_asked_about_are_inputs(tmp_path: Path) -> None:
    inputs = build_inputs(with_posture(tmp_path, "{http: 'https://posture.internal/{device}'}"))
    assert inputs[0].device == {"encrypted", "owner"}
    assert inputs[1].device == frozenset()
