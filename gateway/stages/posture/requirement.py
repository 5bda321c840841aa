"""What a posture asks of a device's facts: that they are fresh, and that every condition holds.

Rule: a condition that cannot be judged is not met; facts whose age cannot be told are too old.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import TypeAlias

from gateway.kernel.cel import Field, Kind, Program, Record, Run, Variables, compile_condition
from gateway.model.json import JSON, Claims
from gateway.model.noun import noun
from gateway.model.place import Place
from gateway.model.reason import Reason
from gateway.model.refused import Refused
from gateway.stages.posture.device import DeviceKey
from gateway.stages.posture.source import Known, Source
from gateway.stages.posture.sources.certificate import CertificateSource

Condition: TypeAlias = Program[Claims]

_AHEAD = 60.0  # seconds that another clock may be ahead of ours


def _fact(name: str) -> Field[Claims]:
    def make(absent: object) -> Run[Claims]:
        return lambda facts: facts.get(name, absent)

    return Field(Kind.ANY, make)


def _whole(facts: Claims) -> Mapping[str, JSON]:
    return facts


VARIABLES: Variables[Claims] = {"device": Record(_fact, _whole)}


@lru_cache(1024)
def compile_require(text: str) -> Condition:
    """A condition over `device`. Raises CelInvalid, a ValueError."""
    return compile_condition(text, VARIABLES)


@noun
class Requirement:
    """One posture of the file, as a route asks for it."""

    name: str
    source: Source | CertificateSource
    device: DeviceKey | None  # None: the claim that holds the facts is the device's own word
    require: tuple[Condition, ...]
    max_age: float  # seconds
    remediation: str | None
    shadow: bool
    where: Place | None

    def refusal(self, reason: Reason, detail: str) -> Refused:
        """The refusal, with what would help."""
        remediation = self.remediation if reason.status == 403 else None
        return Refused(reason, detail, where=self.where, remediation=remediation, retry_after=_retry(reason))

    def judge(self, known: Known | None, now: float) -> None:
        """Raises Refused(POSTURE_FAILED | POSTURE_STALE)."""
        if known is None:
            raise self.refusal(Reason.POSTURE_FAILED, f"{self.name}: nothing is known of the device")
        if not known.observed - _AHEAD <= now < known.observed + self.max_age:
            raise self.refusal(Reason.POSTURE_STALE, f"{self.name}: what is known of the device is too old")
        unmet = _unmet(self.require, known.facts)
        if unmet:
            raise self.refusal(Reason.POSTURE_FAILED, f"{self.name}: not met: {'; '.join(unmet)}")


def _retry(reason: Reason) -> int | None:
    return 1 if reason.status == 503 else None


def _unmet(require: Sequence[Condition], facts: Claims) -> list[str]:
    return [each.text for each in require if each.run(facts) is not True]
