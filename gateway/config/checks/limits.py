"""Rate limits whose parts do not go together, and the store that counts them.

The store's address may hold a password: no message repeats it.
"""

from gateway.config.checks.report import Report
from gateway.config.schema import Config
from gateway.config.tree import Path


def check(config: Config, report: Report) -> None:
    """Limits, who uses them, and the store."""
    for name, limit in config.rate_limits.items():
        path: Path = ("rate_limits", name)
        if limit.burst is not None and limit.algorithm != "token_bucket":
            report.error_at_key((*path, "burst"), f"{limit.algorithm} has no burst", "write algorithm: token_bucket")
        for index, part in enumerate(limit.key):
            if part in limit.key[:index]:
                report.error((*path, "key", index), f"{part!r} stands twice in the key")
    for name, listener in config.listeners.items():
        charged = config.rate_limits.get(listener.on_failed_authentication or "")
        if charged is not None and not charged.by_address and not report.lost(charged.where, "key"):
            report.error(
                ("listeners", name, "on_failed_authentication"),
                f"failed credentials are charged to the address: {charged.name} needs key: [client_ip]",
            )
    _store(config.store.get_secret_value(), config, report)


def _store(url: str, config: Config, report: Report) -> None:
    if url == "memory://":
        return
    from gateway.kernel.store.address import RedisAddress

    try:
        RedisAddress.parse(url, config.path.absolute().parent)
    except ValueError as fault:
        report.error(("store",), str(fault))
