"""Who is given another rate: the first override of a limit that matches.

All that an override asks for has to hold; what is absent never matches. Pure: same facts, same answer.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from gateway.kernel.patterns.blocks import Network, compile_blocks
from gateway.kernel.patterns.values import Match, compile_values
from gateway.model.principal import Principal, User
from gateway.model.request import RequestContext

Test: TypeAlias = Callable[[RequestContext, Principal | None], bool]
Choose: TypeAlias = Callable[[RequestContext, Principal | None], int]
"""The number of the override that matches; -1: none does."""


@dataclass(frozen=True, slots=True)
class Callers:
    """Whom an override is for; what is empty asks nothing."""

    principals: tuple[str, ...] = ()  # patterns, as all but issuers and blocks
    request_principals: tuple[str, ...] = ()
    issuers: tuple[str, ...] = ()  # by their names in routes.yaml
    claims: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    remote_ip_blocks: tuple[Network, ...] = ()


def choice(overrides: Sequence[Callers]) -> Choose:
    """The first that matches. Raises ValueError for a pattern that is none."""
    tests = [_test(callers) for callers in overrides]

    def choose(ctx: RequestContext, principal: Principal | None) -> int:
        for index, test in enumerate(tests):
            if test(ctx, principal):
                return index
        return -1

    return choose


def _test(callers: Callers) -> Test:
    asked: list[Test] = []
    if callers.principals:
        asked.append(_workload(compile_values(callers.principals)))
    if callers.request_principals:
        match = compile_values(callers.request_principals)
        asked.append(_user(lambda user: match(user.id)))
    if callers.issuers:
        asked.append(_user(lambda user: user.issuer_name in callers.issuers))
    asked += [_claim(name, compile_values(values)) for name, values in callers.claims.items()]
    if callers.remote_ip_blocks:
        inside = compile_blocks(callers.remote_ip_blocks)
        asked.append(lambda ctx, _: inside(ctx.client_ip))
    return lambda ctx, principal: all(test(ctx, principal) for test in asked)


def _workload(match: Match) -> Test:
    return lambda _, principal: (
        principal is not None and principal.workload is not None and match(principal.workload.id)
    )


def _user(match: Callable[[User], bool]) -> Test:
    return lambda _, principal: principal is not None and principal.user is not None and match(principal.user)


def _claim(name: str, match: Match) -> Test:
    """A text, or one of a list; numbers and booleans never match a text (contract section 3)."""

    def holds(user: User) -> bool:
        value = user.claims.get(name)
        if isinstance(value, str):
            return match(value)
        return isinstance(value, list) and any(isinstance(each, str) and match(each) for each in value)

    return _user(holds)
