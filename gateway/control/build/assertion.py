"""`assertion` of the config into the keys that sign what backends are told.

The keys outlive a reload while their files stay the same; those before stay published for a while.
"""

from collections.abc import Callable

from gateway.config.schema import Config
from gateway.control.feeds.assertion import AssertionKeys, AssertionSettings
from gateway.control.feeds.watch import FileWatch
from gateway.control.health import FileHealth


def assertion_keys(
    config: Config,
    previous: AssertionKeys | None,
    health: FileHealth,
    watch: FileWatch,
    clock: Callable[[], float],
) -> AssertionKeys | None:
    """The keys of `config`, not started yet unless they are `previous`; None without `assertion`. Raises FeedError."""
    if config.assertion is None:
        return None
    settings = AssertionSettings(config.assertion.key, config.assertion.previous)
    if previous is not None and previous.settings == settings:
        return previous
    return AssertionKeys(settings, previous, health=health, watch=watch, clock=clock)
