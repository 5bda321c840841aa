"""One entry of `rate_limits` into the limits that the stage judges: one for each rate, one for what is at once.

Several of one entry are told apart by their windows (`NAME/10s`, `NAME/concurrency`). The first rate keeps the bucket
of the entry's name, so that another rate beside it resets nothing.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace

from gateway.config.schema import Override, RateLimit
from gateway.config.schema.units import Rate, in_words
from gateway.kernel.cells import Metrics
from gateway.model.reason import Effect
from gateway.model.shadow import Shadow
from gateway.stages.ratelimit import (
    Callers,
    Concurrency,
    FixedWindow,
    Limit,
    OnStoreFailure,
    SlidingWindow,
    TokenBucket,
)
from gateway.stages.ratelimit.algorithm import Algorithm
from gateway.stages.ratelimit.limit import Decisions
from gateway.stages.ratelimit.overrides import Choose, choice

_CALLERS_OWN = ("principal", "workload", "client_ip")


@dataclass(frozen=True, slots=True)
class Named:
    """An entry at work: its limits, and those of each override."""

    limits: tuple[Limit, ...]
    overridden: tuple[tuple[Limit, ...], ...]
    choose: Choose | None  # None without overrides

    def of(self, which: int) -> tuple[Limit, ...]:
        """The limits under the override of this number; -1: under none."""
        return self.overridden[which] if which >= 0 else self.limits


def build_limit(name: str, limit: RateLimit, metrics: Metrics) -> Named:
    """The entry `name`. Raises ValueError for a pattern that is none."""
    base = _limits(name, limit, None, metrics)
    overridden = [_limits(name, limit, override, metrics) for override in limit.overrides]
    life = max(each.algorithm.life for limits in (base, *overridden) for each in limits)
    kept = [tuple(replace(each, least_life=life) for each in limits) for limits in (base, *overridden)]
    return Named(kept[0], tuple(kept[1:]), choose(limit) if limit.overrides else None)


def choose(limit: RateLimit) -> Choose:
    """Which override of a limit is for whom."""
    return choice(
        [
            Callers(
                principals=each.match.principals,
                request_principals=each.match.request_principals,
                issuers=each.match.issuers,
                claims=each.match.claims,
                remote_ip_blocks=each.match.remote_ip_blocks,
            )
            for each in limit.overrides
        ]
    )


def _limits(name: str, limit: RateLimit, override: Override | None, metrics: Metrics) -> tuple[Limit, ...]:
    rates, concurrency, burst = limit.rate, limit.concurrency, limit.burst
    own: tuple[str, ...] = ()
    if override is not None:
        rates, burst = override.rate or rates, override.burst if override.burst is not None or override.rate else burst
        concurrency = override.concurrency if override.concurrency is not None else concurrency
        if not any(part in _CALLERS_OWN for part in limit.key):
            # callers of two overrides would spend each other's budget, under numbers that do not fit together
            own = ("override", json.dumps(override.match.model_dump(mode="json"), sort_keys=True))
    made = []
    several = len(rates) + (concurrency is not None) > 1
    for index, rate in enumerate(rates):
        shown = f"{name}/{in_words(rate.period)}" if several else name
        bucket = (name, *own) if not index else (name, "window", str(rate.period), *own)
        made += _with_share(shown, bucket, limit, _algorithm(limit, rate, burst), metrics)
    if concurrency is not None:
        shown = f"{name}/concurrency" if several else name
        made += _with_share(shown, (name, *own), limit, Concurrency(concurrency), metrics)
    return tuple(made)


def _with_share(
    name: str, bucket: Sequence[str], limit: RateLimit, algorithm: Algorithm, metrics: Metrics
) -> list[Limit]:
    """A limit, and where it is fair that of each principal's share of it (`NAME/fair`)."""
    whole = _limit(name, bucket, limit, algorithm, metrics)
    if not limit.fair:
        return [whole]
    of_each = _limit(f"{name}/fair", (*bucket, "fair"), limit, algorithm, metrics)
    return [whole, replace(of_each, key=(*limit.key, "principal"), fair=True)]


def _limit(name: str, bucket: Sequence[str], limit: RateLimit, algorithm: Algorithm, metrics: Metrics) -> Limit:
    cell = metrics.rate_limit_decisions.labels
    shadow = Shadow("limit", name, Effect.LIMIT, limit.where) if limit.mode == "shadow" else None
    refused = "refused" if shadow is None else "shadow_refused"
    return Limit(
        name,
        algorithm,
        limit.key,
        OnStoreFailure(limit.on_store_failure),
        Decisions(cell(name, "admitted"), cell(name, refused), cell(name, "error")),
        shadow,
        tuple(bucket),
        lease=limit.lease or 0,
    )


def _algorithm(limit: RateLimit, rate: Rate, burst: int | None) -> Algorithm:
    match limit.algorithm:
        case "fixed_window":
            return FixedWindow(rate.count, rate.period)
        case "sliding_window":
            return SlidingWindow(rate.count, rate.period)
        case "token_bucket":
            return TokenBucket(rate.count, rate.period, burst or rate.count)
