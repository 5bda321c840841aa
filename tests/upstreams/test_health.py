"""Active health checks: the verdict, and the requests behind it over mTLS."""

import asyncio
from pathlib import Path

import pytest

from gateway.model.reason import Reason
from gateway.testing.upstream import Call, Upstream, answer, head, silent
from gateway.testing.wait import until
from gateway.upstreams.health import Verdict
from gateway.upstreams.identity import UnreadyTls, UpstreamTls
from gateway.upstreams.settings import HealthSettings
from tests.backends import GATEWAY_ID, cluster, forward, pki, running, send
from tests.exchange import refusal

QUICK = HealthSettings("/healthz?full=1", interval=0.02, timeout=0.2, healthy=2, unhealthy=3)


def test_the_first_answer_decides_then_it_takes_several_in_a_row() -> None:
    verdict = Verdict(healthy=2, unhealthy=3)
    assert verdict.observe(False)
    assert verdict.healthy is False
    answers = [True, False, True, True, False, False, True, False, False, False]
    assert [verdict.observe(ok) for ok in answers] == [
        False, False, False, True, False, False, False, False, False, True,
    ]  # fmt: skip
    assert verdict.healthy is False


class Service:
    """A backend whose health can be set."""

    def __init__(self) -> None:
        self.status = 200

    async def __call__(self, call: Call) -> None:
        await call.send(head(self.status if call.target.startswith(b"/healthz") else 200, [(b"content-length", b"0")]))


def checks(backend: Upstream) -> list[Call]:
    return [call for call in backend.calls if call.target.startswith(b"/healthz")]


async def test_a_check_is_a_plain_get_over_mtls_on_a_connection_of_its_own(tmp_path: Path) -> None:
    site = pki(tmp_path)
    async with site.backend() as backend:
        async with running(cluster(backend.url, tls=site.material(), health=QUICK)) as made:
            made.start()
            made.start()
            await until(lambda: len(checks(backend)) >= 3)
            call = checks(backend)[0]
            assert (call.method, call.target, call.spiffe_id) == (b"GET", b"/healthz?full=1", GATEWAY_ID)
            assert (call.value("host"), call.value("user-agent")) == (
                backend.url.removeprefix("https://"),
                "gateway-health-check",
            )
            assert (backend.connections, made.connections("idle")) == (1, 0)
        await until(lambda: 0 in backend.closed)


async def test_an_unhealthy_endpoint_gets_no_request_until_it_is_healthy_again() -> None:
    sick, well = Service(), Service()
    async with Upstream(sick) as one, Upstream(well) as two, running(cluster(one.url, two.url, health=QUICK)) as made:
        made.start()
        sick.status = 500
        await until(lambda: made.failing)
        assert {(await send(forward(made)))[0].endpoint for _ in range(6)} == {two.url}
        assert not made.healthy(one.url)
        assert "'healthy': False" in str(made.status())
        sick.status = 204
        await until(lambda: not made.failing)
        assert {(await send(forward(made)))[0].endpoint for _ in range(6)} == {one.url, two.url}


@pytest.mark.parametrize("script", [silent, answer(302), answer(503)], ids=["silent", "redirect", "503"])
async def test_no_endpoint_healthy_is_503(script: object) -> None:
    health = HealthSettings("/healthz", interval=0.02, timeout=0.05)
    async with Upstream(script) as backend, running(cluster(backend.url, health=health)) as made:  # type: ignore[arg-type]
        made.start()
        await until(lambda: made.failing)
        refused = await refusal(send(forward(made)))
        assert (refused.reason, refused.upstream) == (Reason.UPSTREAM_UNAVAILABLE, "inventory")


async def test_a_backend_that_is_not_there_is_unhealthy_and_returns() -> None:
    backend = Upstream()
    await backend.start()
    async with running(cluster(backend.url, health=QUICK)) as made:
        await backend.stop()
        made.start()
        await until(lambda: made.failing)
        await backend.start()
        await until(lambda: not made.failing)
        assert (await send(forward(made)))[0].status == 200
        await backend.stop()


async def test_one_that_cannot_prove_its_identity_is_unhealthy(tmp_path: Path) -> None:
    site = pki(tmp_path)
    other = "spiffe://cluster.local/ns/default/sa/other"
    async with (
        site.backend(uri=other) as backend,
        running(cluster(backend.url, tls=site.material(), health=QUICK)) as made,
    ):
        made.start()
        await until(lambda: made.failing)
        assert backend.calls == []


async def test_new_certificates_are_used_by_the_next_check(tmp_path: Path) -> None:
    site = pki(tmp_path)
    async with site.backend() as backend, running(cluster(backend.url, tls=site.material(), health=QUICK)) as made:
        made.start()
        await until(lambda: len(checks(backend)) >= 2)
        made.rotate(UpstreamTls(site.material(), ["127.0.0.1"]))
        await until(lambda: backend.connections == 2 and 0 in backend.closed)
        assert not made.failing


async def test_a_full_pool_is_no_illness() -> None:
    gate = asyncio.Event()

    async def busy(call: Call) -> None:
        if not call.target.startswith(b"/healthz"):
            await gate.wait()
        await call.send(head(200, [(b"content-length", b"0")]))

    from gateway.upstreams.settings import ConnectionSettings

    only_one = ConnectionSettings(max=1)
    async with Upstream(busy) as backend, running(cluster(backend.url, health=QUICK, connections=only_one)) as made:
        made.start()
        task = asyncio.ensure_future(send(forward(made)))
        await until(lambda: len(checks(backend)) >= 5)
        assert not made.failing
        gate.set()
        await task


async def test_an_identity_that_is_missing_is_not_the_backends_fault(tmp_path: Path) -> None:
    site = pki(tmp_path)
    async with (
        site.backend(Service()) as backend,
        running(cluster(backend.url, tls=site.material(), health=QUICK)) as made,
    ):
        made.rotate(UnreadyTls(Reason.IDENTITY_UNAVAILABLE, "no SVID yet"))
        made.start()
        (checker,) = made._checkers.values()
        for _ in range(3):
            assert (await refusal(send(forward(made)))).reason is Reason.IDENTITY_UNAVAILABLE
        assert checker.verdict.healthy is None
        made.rotate(UpstreamTls(site.material(), ["127.0.0.1"]))
        await until(lambda: checker.verdict.healthy, what="a check")
