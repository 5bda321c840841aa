"""What the gateway has to reach, and what a run says: ratios within that run, medians."""

from collections.abc import Callable
from dataclasses import dataclass

from loadtest.cases import routed
from loadtest.peers.envoy import CACHED
from loadtest.peers.gateway import ASGI
from loadtest.results import Recorded, Run
from loadtest.tables import MISSING

INTERPRETER = 0.5  # of a request's CPU (perf, docs/performance.md)


@dataclass(frozen=True)
class Target:
    """One promise."""

    text: str
    bound: float
    measure: Callable[[Run], float | None]  # None: the run did not measure it
    at_least: bool = False
    unit: str = ""

    def reached(self, value: float) -> bool:
        """Whether the figure is within the bound."""
        return value >= self.bound if self.at_least else value <= self.bound


def _ratio(one: float | None, other: float | None) -> float | None:
    return one / other if one is not None and other else None


def _value(row: Recorded | None) -> float | None:
    return row.value if row is not None else None


def _member(row: Recorded | None, name: str) -> float | None:
    return float(row.members[name]) if row is not None else None


def _table(ours: str, peer: str, theirs: str) -> Callable[[Run], float | None]:
    def measure(run: Run) -> float | None:
        one = run.find("table", "gateway", scenario="full job", variant=ours)
        return _ratio(_value(one), _value(run.find("table", peer, scenario="full job", variant=theirs)))

    return measure


def _tail(run: Run) -> float | None:
    lane, envoy = run.find("paced", "gateway"), run.find("paced", "Envoy", variant=CACHED)
    return _ratio(_member(lane, "p99_ms"), _member(envoy, "p99_ms"))


def _routes(run: Run) -> float | None:
    many, few = (run.find("routes", "gateway", label=routed(count)) for count in (10_000, 10))
    return _ratio(_value(many), _value(few))


def handshake(run: Run, peer: str, label: str = "full handshake") -> float | None:
    """What a connection with a client certificate costs above a request on a kept one; CPU microseconds."""
    kept, new = (run.find("mtls-connections", peer, label=one) for one in ("kept", label))
    return new.value - kept.value if kept is not None and new is not None else None


def _throughput(run: Run, member: str) -> float | None:
    ours, nginx = (run.find("bodies", peer, label="10 MiB down") for peer in ("gateway", "nginx"))
    if member == "cpu_us":  # bytes by CPU second
        return _ratio(_value(nginx), _value(ours))
    return _ratio(_member(ours, member), _member(nginx, member))


TARGETS = (
    Target("full job RS256, lane, CPU to Envoy with JWT cache", 0.75, _table("", "Envoy", CACHED)),
    Target("the same to Envoy's default", 0.55, _table("", "Envoy", "")),
    Target("the same to HAProxy", 0.9, _table("", "HAProxy", "")),
    Target("full job, ASGI driver, CPU to Envoy with JWT cache", 1.0, _table(ASGI, "Envoy", CACHED)),
    Target("p99 at half of the slowest one's saturation, open loop, to Envoy", 1.0, _tail),
    Target("CPU with 10,000 routes to 10", 1.1, _routes),
    Target("memory of an idle TLS connection", 40, lambda run: _value(run.find("idle", "gateway")), unit=" kB"),
    Target(
        "full handshake with a client certificate, CPU to nginx",
        1.3,
        lambda run: _ratio(handshake(run, "gateway"), handshake(run, "nginx")),
    ),
    Target(
        "the same resumed, to full",
        0.5,
        lambda run: _ratio(handshake(run, "gateway", "resumed"), handshake(run, "gateway")),
    ),
    Target("10 MiB down, MiB/s to nginx", 0.6, lambda run: _throughput(run, "mib_per_second"), at_least=True),
    Target("10 MiB down, bytes by CPU to nginx", 0.6, lambda run: _throughput(run, "cpu_us"), at_least=True),
)


def gap(run: Run) -> str:
    """How far the full job is from its target, and what of it is the interpreter's, by the share that perf found."""
    ours, envoy = run.find("table", "gateway", scenario="full job"), run.find("table", "Envoy", variant=CACHED)
    if ours is None or envoy is None:
        return MISSING
    wanted, fixed = TARGETS[0].bound * envoy.value, (1 - INTERPRETER) * ours.value
    envoys = f"{TARGETS[0].bound:g} of Envoy with its JWT cache"
    said = f"{envoys} is {wanted:.0f} µs in this run; the lane takes {ours.value:.0f}."
    if ours.value <= wanted:
        return said
    python = f"where it takes {ours.value - fixed:.0f}"
    left = f"leaves {wanted - fixed:.0f} µs for Python {python}" if wanted > fixed else "is more than that alone"
    return f"{said} What is not the interpreter takes {fixed:.0f} µs of that, which {left}."


def table(run: Run) -> str:
    """Each target with the figure of a run, as Markdown."""
    lines = ["| target | bound | this run | |", "|---|---|---|---|"]
    for target in TARGETS:
        value = target.measure(run)
        sign = "≥" if target.at_least else "≤"
        figures = f"| {target.text} | {sign} {target.bound:g}{target.unit} |"
        if value is None:
            lines.append(f"{figures} not measured | |")
        else:
            digits = 1 if target.unit else 2
            verdict = "reached" if target.reached(value) else f"missed by {abs(value / target.bound - 1):.0%}"
            lines.append(f"{figures} {value:.{digits}f}{target.unit} | {verdict} |")
    return "\n".join(lines)
