"""How long an answer to the same request stays the same: what replay may remember."""

from bisect import bisect_right
from collections.abc import Callable
from functools import partial

from gateway.config.schema import Config
from gateway.stages.authorize.clauses import AHEAD
from gateway.stages.authorize.expressions import compile_expression

_TIMES = (("request",), ("request", "time"))  # what an expression reads that each moment changes


def moments(config: Config) -> Callable[[float], int | None]:
    """By a time (seconds since the epoch), the span in which an answer stays the same; None where none does."""
    required = [route.requires.asked() for route in config.routes if route.requires is not None]
    rules = [rule for route in config.routes for rule in (*route.deny, *route.allow)]
    rules += [rule for policy in config.policies for rule in policy.rules] + [each.rule for each in config.granted]
    read = [compile_expression(each).reads for rule in rules for each in rule.when if isinstance(each, str)]
    if any("max_auth_age" in asked or "posture" in asked for asked in required) or any(
        path[:2] in _TIMES for paths in read for path in paths
    ):
        return lambda _: None
    turns = sorted({turn for each in config.granted for turn in (each.begins - AHEAD, each.ends)})
    return partial(bisect_right, turns)
