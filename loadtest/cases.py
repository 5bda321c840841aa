"""What is measured, by name: each case is some rows that are compared with each other, and that take turns in one run.

`table` is what `make bench` measures alone; `--scenario` picks others, `--scenario all` takes them all.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from loadtest.job import BODY, CALLERS, MIXED, SIZES, USUAL, USUAL_WORK, How, Scenario, Setting, Token, Variant, Work
from loadtest.peers import PEERS
from loadtest.peers.envoy import CACHED
from loadtest.peers.gateway import ASGI, FEATURES

FULL, FORWARD = Scenario.FULL, Scenario.FORWARD
NO_TOKENS = "no token is validated, no rule judged"  # of nginx in the full job
_EVERY = ("gateway", "Envoy", "HAProxy", "nginx")


@dataclass(frozen=True)
class Entry:
    """One row of a case."""

    peer: str
    variant: Variant
    work: Work = USUAL_WORK
    label: str = ""  # what sets it off from the other rows of the same variant


@dataclass(frozen=True)
class Case:
    """Rows that are compared."""

    name: str
    about: str
    entries: tuple[Entry, ...]
    quick: bool = False  # part of `make bench-quick`
    spread: bool = False  # nothing is kept to a core


def _full(setting: Setting = USUAL, work: Work = USUAL_WORK, label: str = "") -> Iterator[Entry]:
    """All that can do the full job, each way."""
    for peer, names in (("gateway", ("", ASGI)), ("Envoy", (CACHED, "")), ("HAProxy", ("",))):
        for name in names:
            yield Entry(peer, Variant(FULL, name, setting=setting), work, label)


def _forward(
    peers: Sequence[str] = _EVERY, setting: Setting = USUAL, work: Work = USUAL_WORK, label: str = ""
) -> Iterator[Entry]:
    for peer in peers:
        yield Entry(peer, Variant(FORWARD, setting=setting), work, label)


def _table() -> Iterator[Entry]:
    for peer in PEERS:
        for variant in peer.variants:
            yield Entry(peer.name, variant)


def _connections(setting: Setting) -> Iterator[Entry]:
    """A kept one, a new one, a resumed one: what a handshake costs is the difference."""
    for peer in _EVERY:
        for how, label in ((How.KEPT, "kept"), (How.NEW, "full handshake"), (How.RESUMED, "resumed")):
            yield Entry(peer, Variant(FORWARD, setting=setting), Work(how, connections=16), label)


def _bodies() -> Iterator[Entry]:
    peers = (*_EVERY, "Caddy")
    yield from _forward(peers, work=Work(method="POST", sent=BODY), label="1 kB up")
    for size, connections in zip(SIZES, (32, 4), strict=True):
        unit = "64 KiB" if size < 1 << 20 else "10 MiB"
        yield from _forward(peers, work=Work(connections=connections, answer=size), label=f"{unit} down")
        up = Work(connections=connections, method="POST", sent=size, answer=BODY)
        yield from _forward(peers, work=up, label=f"{unit} up")


def routed(count: int) -> str:
    """The label of a row of `routes`."""
    return f"{count:,} routes, {MIXED:,} heads"


def _routes() -> Iterator[Entry]:
    """As many different requests in each row: they differ in the routes alone."""
    for count in (10, 10_000):
        yield from _cached(Setting(routes=count), Work(heads=MIXED), routed(count))


def _heads() -> Iterator[Entry]:
    """What it costs that requests differ: all that is remembered of them is spread over more memory."""
    for count in (CALLERS, MIXED):
        yield from _cached(Setting(routes=10), Work(heads=count), f"{count:,} heads")


def _cached(setting: Setting, work: Work, label: str) -> Iterator[Entry]:
    """The full job, Envoy's with its cache alone."""
    for name in ("", ASGI):
        yield Entry("gateway", Variant(FULL, name, setting=setting), work, label)
    yield Entry("Envoy", Variant(FULL, CACHED, setting=setting), work, label)
    yield Entry("HAProxy", Variant(FULL, setting=setting), work, label)


def _denials() -> Iterator[Entry]:
    kinds = {
        "no token": Work(token=Token.NONE, status=401),
        "a forged token": Work(token=Token.FORGED, status=401),
        "no rule allows": Work(method="DELETE", status=403),
    }
    for label, work in kinds.items():
        yield from _full(work=work, label=label)


def _features() -> Iterator[Entry]:
    yield Entry("gateway", Variant(FULL))
    yield Entry("gateway", Variant(FORWARD), label="no token, no rules, no limit")
    for name in FEATURES:
        yield Entry("gateway", Variant(FULL, name))


def _workers() -> Iterator[Entry]:
    for count in (1, 2):
        label = f"{count} worker{'s' * (count > 1)}"
        yield Entry("gateway", Variant(FULL, setting=Setting(workers=count)), label=label)
        yield Entry("Envoy", Variant(FULL, CACHED, setting=Setting(workers=count)), label=label)


def _job(algorithm: str, tokens: int) -> Case:
    name = f"full-{algorithm.lower()}-{tokens}"
    about = f"full job, {algorithm}, {tokens:,} token{'s' * (tokens > 1)}"
    return Case(name, about, tuple(_full(Setting(algorithm=algorithm), Work(tokens=tokens))))


_MTLS = Setting(clients=True)
CASES: tuple[Case, ...] = (
    Case("table", "full job and forwarding alone, 64 callers", tuple(_table()), quick=True),
    _job("RS256", 1),
    _job("RS256", 2000),
    _job("ES256", 1),
    _job("ES256", 2000),
    Case(
        "uncached",
        "full job, 6,000 tokens in turn: more than any cache remembers, so each is verified anew",
        tuple(_full(work=Work(tokens=6000))),
    ),
    Case(
        "fresh",
        "full job, each request with a query of its own: no head comes twice",
        tuple(_full(work=Work(fresh=True))),
    ),
    Case("mtls-clients", "full job, clients with certificates", tuple(_full(_MTLS))),
    Case("connections", "forwarding, a new TLS connection a request", tuple(_connections(Setting()))),
    Case("mtls-connections", "forwarding, a new connection with a client certificate", tuple(_connections(_MTLS))),
    Case("bodies", "forwarding, 1 kB up, 64 KiB and 10 MiB down and up", tuple(_bodies())),
    Case("routes", "full job, 10 and 10,000 routes, 2,000 different requests to each", tuple(_routes())),
    Case("heads", "full job, 10 routes, 64 and 2,000 different requests", tuple(_heads())),
    Case(
        "idle",
        "memory of a TLS connection that was answered once and waits, of 1,000",
        tuple(_forward((*_EVERY, "Caddy"), work=Work(How.IDLE, connections=1000))),
    ),
    Case("latency", "full job, one connection", tuple(_full(work=Work(connections=1)))),
    Case("denials", "refused: without token, with a forged one, by the rules", tuple(_denials())),
    Case("features", "full job, one thing changed at a time", tuple(_features())),
    Case(
        "paced",
        "full job, requests at random moments, half as many as the slowest can answer",
        tuple(_full(work=Work(How.PACED))),
    ),
    Case("workers", "full job, 1 and 2 workers, nothing kept to a core", tuple(_workers()), spread=True),
)


def chosen(names: str, peers: set[str]) -> list[Case]:
    """The cases of a list with commas, with only the rows of these peers (lower case; empty: all).

    "all" is all of them, "quick" those of a look.
    Raises ValueError for a name that no case has.
    """
    asked = [name.strip() for name in names.split(",") if name.strip()]
    by_name = {case.name: case for case in CASES}
    if "all" in asked:
        asked = list(by_name)
    if "quick" in asked:
        asked = [case.name for case in CASES if case.quick]
    for name in asked:
        if name not in by_name:
            raise ValueError(f"no scenario is called {name!r}: {', '.join(by_name)}, quick, all")
    cases = []
    for name in dict.fromkeys(asked):
        case = by_name[name]
        entries = tuple(entry for entry in case.entries if not peers or entry.peer.lower() in peers)
        cases.append(replace(case, entries=entries))
    return cases
