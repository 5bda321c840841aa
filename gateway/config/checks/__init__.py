"""What the schema cannot say: what parts of a file mean together, and what the files that it names hold.

Each check sees the whole configuration and reports every fault with its place; none stops at the first.
A check never judges what was taken out for an error of its own.
"""

from collections.abc import Callable

from gateway.config.checks import (
    assertion,
    classes,
    coverage,
    files,
    issuers,
    limits,
    listeners,
    posture,
    references,
    routes,
    rules,
    safety,
    shadowed,
    telemetry,
    trust,
    upstreams,
)
from gateway.config.checks.report import Report
from gateway.config.classes import classified
from gateway.config.schema import Config

_CHECKS: tuple[Callable[[Config, Report], None], ...] = (
    references.check,
    listeners.check,
    issuers.check,
    limits.check,
    upstreams.check,
    routes.check,
    rules.check,
    posture.check,
    telemetry.check,
    classes.check,
    trust.check,
    assertion.check,
)
_MEANING: tuple[Callable[[Config, Report], None], ...] = (
    coverage.check,
    safety.check,
    shadowed.check,
)  # with what classes add


def judge(config: Config, report: Report, now: float) -> None:
    """Run every check. `now` (seconds since 1970) judges the dates of certificates."""
    for check in _CHECKS:
        check(config, report)
    whole = classified(config)
    for check in _MEANING:
        check(whole, report)
    files.check(config, report, now)
