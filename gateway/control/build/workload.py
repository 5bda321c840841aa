"""`identity.workload_api` of the config into the one connection to the agent.

It outlives a reload while its socket and what is wanted of it stay the same; else its answers are good to begin with.
"""

from collections.abc import Callable

from gateway.config.schema import Config
from gateway.control.feeds.watch import FileWatch
from gateway.control.feeds.workload_api import WorkloadApi, WorkloadSettings
from gateway.control.health import FileHealth


def workload_settings(config: Config) -> WorkloadSettings | None:
    """What is wanted of the agent; None where the gateway asks none."""
    identity = config.identity
    if identity is None or identity.workload_api is None:
        return None
    bundles = any(domain.bundle.workload_api for domain in config.trust_domains.values())
    return WorkloadSettings(identity.workload_api, identity.hint, bundles)


def workload_source(
    config: Config,
    previous: WorkloadApi | None,
    health: FileHealth,
    watch: FileWatch,
    clock: Callable[[], float],
) -> WorkloadApi | None:
    """The source for `config`, not started yet unless it is `previous`; None where the gateway asks no agent."""
    settings = workload_settings(config)
    if settings is None:
        return None
    if previous is not None and previous.settings == settings:
        return previous
    return WorkloadApi(settings, previous, health=health, watch=watch, clock=clock)
