"""Policy tests: each made-up request judged as serving would, and compared with what its file expects.

Only the expectations that a test writes are compared; tests are run in order and never touch each other.
Coverage counts rules that took part: a rule that was never reached is not covered.
"""

import os
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from gateway.config.grants import load_with_grants
from gateway.config.problem import ConfigInvalid, Problem
from gateway.config.schema import Config
from gateway.control import evidence
from gateway.control.evidence import CannotJudge
from gateway.control.made_up import NOBODY, choose_listener, make_connection, make_head, parse_url
from gateway.control.offline import Offline, Verdict
from gateway.control.policy_file import PolicyTest, load_tests
from gateway.model.place import Place
from gateway.model.trace import Stage
from gateway.stages.authorize import Judged


@dataclass(frozen=True, slots=True)
class Tested:
    """One test and what became of it."""

    test: PolicyTest
    verdict: Verdict

    @property
    def actual(self) -> dict[str, str | int | None]:
        """What `expect` speaks of, as it came."""
        verdict = self.verdict
        return {
            "effect": verdict.effect.value,
            "status": verdict.status,
            "reason": None if verdict.reason is None else verdict.reason.code,
            "route": verdict.route,
            "rule": verdict.rule,
        }

    @property
    def different(self) -> list[str]:
        """The keys in which it came otherwise; none: the test passes."""
        actual = self.actual
        return [key for key, value in self.test.expect.given().items() if actual[key] != value]


@dataclass(slots=True)
class Coverage:
    """How often one enforced rule matched in the tests, and how often it was asked and did not."""

    rule: str
    route: str | None  # None: a policy's, over routes
    where: Place | None
    hits: int = 0
    misses: int = 0


@dataclass(slots=True)
class Suite:
    """Everything that one run tested."""

    tested: list[Tested] = field(default_factory=list)
    coverage: list[Coverage] = field(default_factory=list)

    @property
    def percent(self) -> float:
        """Of the enforced rules, how many matched at least once; 100 where there are none."""
        return self._share(sum(1 for rule in self.coverage if rule.hits))

    @property
    def other_side(self) -> float:
        """Of the enforced rules, how many were asked at least once and did not match."""
        return self._share(sum(1 for rule in self.coverage if rule.misses))

    def _share(self, covered: int) -> float:
        return round(100 * covered / len(self.coverage), 1) if self.coverage else 100.0


async def run_tests(files: Iterable[Path], config: Path, *, given: bool) -> Suite:
    """Run every test of `files` in order. `config` stands in for a file that names none, for all where it was `given`.

    Raises ConfigUnreadable or ConfigInvalid, for a config or for a test file that cannot be used.
    """
    suite = Suite()
    configs: dict[Path, _Judge] = {}
    for file in files:
        tests = load_tests(file)
        path = config if given or tests.config is None else _shown(tests.config)
        judge = configs.get(path.absolute())
        if judge is None:
            judge = configs[path.absolute()] = _Judge(load_with_grants(path))
            suite.coverage += judge.coverage.values()
        for test in tests.tests:
            suite.tested.append(Tested(test, await judge(test)))
    return suite


def _shown(path: Path) -> Path:
    """The same file as people write it: relative where it lies below the working directory."""
    path, here = Path(os.path.normpath(path)), Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


class _Judge:
    """One config, and which of its rules the tests have met."""

    def __init__(self, config: Config) -> None:
        self._offline = Offline(config)
        self.coverage = {(each.route, each.rule, each.where): each for each in _enforced(config)}

    async def __call__(self, test: PolicyTest) -> Verdict:
        try:
            verdict = await _judge(self._offline, test)
        except CannotJudge as error:
            raise ConfigInvalid([Problem(test.where, f"{test.name}: {error}")]) from None
        if verdict.trace.stage is Stage.AUTHORIZE:
            self._count(verdict.route, verdict.judged)
        return verdict

    def _count(self, route: str | None, judged: Sequence[Judged]) -> None:
        for each in judged:
            name, where = each.rule.name, each.rule.where
            covered = self.coverage.get((route, name, where)) or self.coverage.get((None, name, where))
            if covered is not None:  # what is not enforced is not covered either
                covered.hits += each.matched
                covered.misses += not each.matched


def _enforced(config: Config) -> list[Coverage]:
    found = [
        Coverage(rule.name, None, rule.where)
        for policy in config.policies
        for rule in policy.rules
        if policy.mode == rule.mode == "enforce"
    ]
    return found + [
        Coverage(rule.name, route.name, rule.where)
        for route in config.routes
        for rule in (*route.deny, *route.allow)
        if rule.mode == "enforce"
    ]


async def _judge(offline: Offline, test: PolicyTest) -> Verdict:
    """What would become of the test's request. Raises CannotJudge."""
    config = offline.config
    now = time.time() if test.now is None else test.now
    url = parse_url(test.request.url)
    listener = choose_listener(config, url, test.listener)
    headers = [(name, value) for name, values in test.request.headers.items() for value in values]
    host = next((value for name, value in headers if name.lower() == "host"), url.authority)
    client = test.client
    certificate = evidence.no_certificate(config) if client is None else evidence.assumed_certificate(config, client)
    connection = make_connection(
        listener,
        host,
        peer=test.ip or NOBODY,
        chain=certificate.sent,
        sni=("" if test.sni is None else test.sni) if "sni" in test.model_fields_set else None,
        destination=None
        if test.destination is None
        else (test.destination[0], test.destination[1] or listener.address.port),
    )
    bare = make_head(test.request.method, url, headers)
    if test.token is None:
        token = evidence.sent_token(config, headers)
    else:
        route = offline.route_of(connection, bare, now)
        token = evidence.assumed_token(config, route, test.token.claims, test.token.issuer, now)
    if token.sent is not None:
        headers.append(("authorization", f"Bearer {token.sent}"))
    head = make_head(test.request.method, url, headers)
    return await offline.judge(connection, head, now, token, certificate, test.posture)
