"""Rate limits whose parts do not go together, and the store that counts them.

The store's address may hold a password: no message repeats it.
"""

from gateway.config.checks.report import Report
from gateway.config.schema import Config, LimitUse, Override, RateLimit
from gateway.config.schema.units import Rate
from gateway.config.tree import Path
from gateway.kernel.patterns.values import compile_values

_ASKED = ("principals", "request_principals", "issuers", "claims", "remote_ip_blocks")


def check(config: Config, report: Report) -> None:
    """Limits, who uses them, and the store."""
    for name, limit in config.rate_limits.items():
        path: Path = ("rate_limits", name)
        _numbers(report, path, limit)
        for index, part in enumerate(limit.key):
            if part in limit.key[:index]:
                report.error((*path, "key", index), f"{part!r} stands twice in the key")
        if limit.fair and not report.lost(limit.where, "key"):
            _fair(report, (*path, "fair"), limit)
        if limit.lease is not None and not report.lost(limit.where, "rate", "burst", "concurrency", "fair"):
            _lease(report, (*path, "lease"), limit, limit.lease)
        for index, override in enumerate(limit.overrides):
            _override(report, (*path, "overrides", index), limit, override)
    for name, listener in config.listeners.items():
        charged = config.rate_limits.get(listener.on_failed_authentication or "")
        if charged is None:
            continue
        path = ("listeners", name, "on_failed_authentication")
        if not charged.by_address and not report.lost(charged.where, "key"):
            report.error(path, f"failed credentials are charged to the address: {charged.name} needs key: [client_ip]")
        if charged.concurrency is not None:
            report.error(path, f"failed credentials are counted over time: {charged.name} has concurrency")
        if charged.lease is not None:
            report.error(path, f"every credential looks at what is left: {charged.name} has a lease")
    for index, route in enumerate(config.routes):
        for position, use in enumerate(route.rate_limits):
            _cost(config, report, ("routes", index, "rate_limits", position), use)
    _store(config.store.get_secret_value(), config, report)


def _numbers(report: Report, path: Path, limit: RateLimit) -> None:
    if not limit.rate and limit.concurrency is None and not report.lost(limit.where, "rate", "concurrency"):
        report.error(path, "nothing is limited", "write a rate, a concurrency, or both")
    if limit.burst is not None:
        _burst(report, (*path, "burst"), limit, limit.rate)
    _periods(report, (*path, "rate"), limit.rate)


def _fair(report: Report, path: Path, limit: RateLimit) -> None:
    if limit.by_address:
        report.error_at_key(path, "this limit runs before authentication: no principal is known there")
    elif "principal" in limit.key:
        report.error_at_key(path, "each principal has a bucket of its own: there is nothing to share")


def _lease(report: Report, path: Path, limit: RateLimit, size: int) -> None:
    if limit.concurrency is not None or any(each.concurrency is not None for each in limit.overrides):
        report.error_at_key(path, "places are given back one by one: a limit of concurrency cannot be leased")
        return
    if limit.fair:
        report.error_at_key(path, "who asks is counted in the store: a fair limit cannot be leased")
        return
    numbers = [(limit.rate, limit.burst)]
    numbers += [(o.rate, o.burst) if o.rate else (limit.rate, o.burst or limit.burst) for o in limit.overrides]
    counts = [(min(rate.count, burst or rate.count), rate) for rates, burst in numbers for rate in rates]
    least, rate = min(counts, key=lambda each: each[0], default=(0, None))
    if rate is None:
        return
    if least // 10 < 2:
        report.error(path, f"{rate} is too small to be leased: a slice is at most a tenth of what may come at once")
    elif size > least // 10:
        report.error(path, f"a slice is at most a tenth of what may come at once: {least // 10} of {rate}")


def _override(report: Report, path: Path, limit: RateLimit, override: Override) -> None:
    match, where = override.match, (*path, "match")
    if not match.by_identity and not match.remote_ip_blocks and not report.lost(match.where, *_ASKED):
        report.error(where, "nobody is meant", f"write one of {', '.join(_ASKED)}")
    if match.by_identity and limit.by_address:
        report.error(where, "this limit runs before authentication: only remote_ip_blocks can choose there")
    if not override.rate and override.concurrency is None and override.burst is None:
        report.error(path, "nothing is overridden", "write a rate, a concurrency or a burst")
    if override.burst is not None:
        _burst(report, (*path, "burst"), limit, override.rate or limit.rate)
    _periods(report, (*path, "rate"), override.rate)
    for key, patterns in (("principals", match.principals), ("request_principals", match.request_principals)):
        report.each((*where, key), patterns, lambda text: compile_values([text]))
    for name, patterns in match.claims.items():
        report.each((*where, "claims", name), patterns, lambda text: compile_values([text]))


def _burst(report: Report, path: Path, limit: RateLimit, rates: tuple[Rate, ...]) -> None:
    if limit.algorithm != "token_bucket":
        report.error_at_key(path, f"{limit.algorithm} has no burst", "write algorithm: token_bucket")
    elif len(rates) > 1:
        report.error_at_key(path, "a burst belongs to one rate", "write a limit of its own for each")


def _periods(report: Report, path: Path, rates: tuple[Rate, ...]) -> None:
    for index, rate in enumerate(rates):
        if any(rate.period == other.period for other in rates[:index]):
            report.error((*path, index), f"{rate} has the period of another rate of this limit")


def _cost(config: Config, report: Report, path: Path, use: LimitUse) -> None:
    limit = config.rate_limits.get(use.limit)
    if limit is None or use.cost == 1:
        return
    if not limit.rate:
        report.error((*path, "cost"), f"{limit.name} counts requests at once: each is one")
    if limit.lease is not None and use.cost > limit.lease:
        report.error((*path, "cost"), f"{limit.name} is leased by {limit.lease}: a slice holds no {use.cost}")
    for rate in limit.rate:
        most = limit.burst or rate.count
        if use.cost > most:
            report.error((*path, "cost"), f"{limit.name} never has room for {use.cost}: {most} may come at once")


def _store(url: str, config: Config, report: Report) -> None:
    if url == "memory://":
        for name, limit in config.rate_limits.items():
            if limit.lease is not None:
                report.warn_at_key(("rate_limits", name, "lease"), "memory:// is not asked: there is nothing to lease")
        return
    from gateway.kernel.store.address import RedisAddress

    try:
        RedisAddress.parse(url, config.path.absolute().parent)
    except ValueError as fault:
        report.error(("store",), str(fault))
