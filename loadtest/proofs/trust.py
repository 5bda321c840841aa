"""Issue 4: a flood of unknown kids, everything rotating, a revocation, under steady load."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from functools import partial

from gateway.testing.ca import Authority
from gateway.testing.wait import until
from loadtest.proofs.figure import Figure, at_most, calm_enough, none_failed
from loadtest.proofs.load import load, stretch
from loadtest.proofs.plan import Plan
from loadtest.proofs.site import LIFETIME, Site, site
from tests.flows.test_revocation import KEYS, log_out, logout_token
from tests.flows.trust_scene import OWN, WEB, asked
from tests.serving import Client, get

FLOOD = 1000  # requests
_BURST = 2.0  # seconds in which the second flood comes
_FAST = ", jwks: {refresh: 1s}"


async def flood(plan: Plan) -> list[Figure]:
    """1,000 tokens of unknown kids, spread over the stretch, then 1,000 at once."""
    async with site(plan.folder) as held:
        good = held.mix()
        bad = [get("/api/x", held.bearer(headers={"kid": f"k{n}"}), host="localhost").decode() for n in range(FLOOD)]
        async with load([held.gateway.edge], good, plan.rate, ca=held.ca) as steady:
            await stretch(2.0)  # warms up
            calm = await stretch(plan.seconds)
            fetched = held.provider.asked["/jwks"]
            async with load([held.gateway.edge], bad, FLOOD / plan.seconds, ca=held.ca, connections=8) as attack:
                spread = await stretch(plan.seconds)
            async with load([held.gateway.edge], bad, FLOOD / _BURST, ca=held.ca, connections=8) as sudden:
                burst = await stretch(_BURST)
            fetches = held.provider.asked["/jwks"] - fetched
        cooldowns = 1 + int((2 * plan.seconds + _BURST) / 30)
        refused = attack.all().failed["401"] + sudden.all().failed["401"]
        others = len(attack.samples) // 3 + len(sudden.samples) // 3 - refused
        quiet, beside, at_once = (steady.between(*one) for one in (calm, spread, burst))
        return [
            calm_enough("flood", f"good tokens beside {FLOOD} unknown kids", quiet, beside),
            calm_enough("flood", f"good tokens beside {FLOOD / _BURST:g} of them a second", quiet, at_once),
            none_failed("flood", "good tokens", steady.all()),
            at_most("flood", "fetches of the keys a cooldown", fetches / cooldowns, 2, note=f"{refused} answered 401"),
            at_most("flood", "unknown kids not answered 401", others, 0),
        ]


async def rotation(plan: Plan) -> list[Figure]:
    """Edge certificate, gateway identity, bundle and keys of the issuer, each so many times."""
    async with site(plan.folder, keys=_FAST) as held:
        figures = []
        kinds: dict[str, Callable[[Site, int], Awaitable[None]]] = {
            "edge certificate": _edge,
            "gateway identity": _identity,
            "trust bundle": _bundle,
        }
        for what, rotate in kinds.items():
            async with load([held.gateway.edge], held.mix(), plan.rate, ca=held.ca, fresh=20) as steady:
                for turn in range(1, plan.turns + 1):
                    await rotate(held, turn)
                    await stretch(0.3)
            figures.append(none_failed("rotation", f"{plan.turns} times the {what}", steady.all()))
        async with load([held.gateway.edge], held.mix(), plan.rate, ca=held.ca, fresh=20) as steady:
            for _ in range(plan.turns):
                held.provider.issuer.rotate()
                del held.provider.issuer.keys[3:]
                held.provider.publish()
                seen = held.provider.asked["/jwks"]
                twice = partial(_asked_since, held, seen + 2)  # the second fetch began when the first was at work
                await until(twice, what="the new keys to be fetched")
                await steady.ask(held.mix())
                await stretch(0.3)
        figures.append(none_failed("rotation", f"{plan.turns} times the issuer's keys", steady.all()))
        return figures


def _asked_since(held: Site, count: int) -> bool:
    return held.provider.asked["/jwks"] >= count


async def _edge(held: Site, turn: int) -> None:
    held.write(held.root.issue(dns=["localhost"], ips=["127.0.0.1"]), "edge")
    await held.reloaded("listener", "edge", turn)


async def _identity(held: Site, turn: int) -> None:
    held.write(held.root.issue(uri=OWN), "gateway")
    await held.reloaded("identity", "identity", turn)


async def _bundle(held: Site, turn: int) -> None:
    fresh = held.certs.path / "cluster-ca.new"
    fresh.write_bytes(held.root.pem() + Authority("cluster.local").pem())
    fresh.replace(held.ca)
    await held.reloaded("bundle", "cluster.local", turn)


async def revocation(plan: Plan) -> list[Figure]:
    """A certificate revoked by a list's file, a session ended by its provider: until the first refusal, under load."""
    by_list, by_event = list[float](), list[float]()
    async with site(plan.folder, keys=KEYS) as held:
        async with load([held.gateway.edge], held.mix(), plan.rate, ca=held.ca) as steady:
            revoked = []
            for turn in range(plan.turns):
                stolen = held.root.issue(uri=WEB)
                async with held.connection(stolen) as client:
                    assert (await asked(client, "/mesh")).status == 200
                    revoked.append(stolen)
                    fresh = held.certs.path / "cluster.new"
                    fresh.write_bytes(held.root.crl(revoked, number=turn + 2))
                    fresh.replace(held.certs.path / "cluster.crl")
                    by_list.append(await _refused(client, "/mesh"))
                bearer = held.bearer(sub=f"thief-{turn}", sid=f"s{turn}", lifetime=LIFETIME)
                async with held.connection() as client, held.connection() as provider:
                    assert (await asked(client, "/api/x", bearer)).status == 200
                    ended = asyncio.create_task(log_out(provider, logout_token(held, sid=f"s{turn}")))
                    by_event.append(await _refused(client, "/api/x", bearer))
                    assert (await ended).status == 200
        return [
            at_most("revocation", "a list's file to refusal, worst", max(by_list), 1.0, "s", _all(by_list)),
            at_most("revocation", "a logout to refusal, worst", max(by_event), 1.0, "s", _all(by_event)),
            none_failed("revocation", "others meanwhile", steady.all()),
        ]


async def _refused(client: Client, path: str, *fields: str) -> float:
    began = time.monotonic()
    with contextlib.suppress(asyncio.IncompleteReadError, OSError):
        while (await asked(client, path, *fields)).status == 200:
            await stretch(0.005)
    return time.monotonic() - began


def _all(seconds: list[float]) -> str:
    ranked = sorted(seconds)
    return f"median {ranked[len(ranked) // 2]:.3f} s of {len(ranked)}"
