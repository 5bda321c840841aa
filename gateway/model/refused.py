"""`Refused`: the one way to say no."""

from gateway.model.limit import LimitStatus
from gateway.model.noun import noun
from gateway.model.place import Place
from gateway.model.posture import Posture
from gateway.model.principal import Principal
from gateway.model.reason import Reason
from gateway.model.shadow import Shadow


@noun
class Challenge:
    """What an answer tells the client about what would be enough (RFC 6750, RFC 9449, RFC 9470)."""

    scopes: tuple[str, ...] = ()  # scope_missing
    acr: tuple[str, ...] = ()  # step_up_required
    max_age: int | None = None  # step_up_required, seconds
    certificate: bool = False  # only a certificate would do
    nonce: str | None = None  # dpop_invalid: what the next proof has to hold, which is all that was missing


class Refused(Exception):  # noqa: N818 - it is a verdict, not an error
    """A stage refuses the request. Foreign exceptions become this one where the library is called."""

    # Set by who knows of it; of the class until then, for each that is set in each refusal takes its time
    posture: Posture | None = None  # by posture, for the record: what was known of a device that is refused
    principal: Principal | None = None  # by authenticate: who was proved, where more is wanted
    upstream: str | None = None  # by forward, for the outcome's record: who failed
    endpoint: str | None = None
    attempts = 1

    def __init__(
        self,
        reason: Reason,
        detail: str = "",
        *,
        rule: str | None = None,
        where: Place | None = None,
        retry_after: int | None = None,
        challenge: Challenge | None = None,
        remediation: str | None = None,
        limits: tuple[LimitStatus, ...] = (),
        shadows: tuple[Shadow, ...] = (),
        audited: tuple[str, ...] = (),
    ) -> None:
        """`detail` is for the log and explain, never for the client; `retry_after` is in whole seconds."""
        self.args = reason.code, detail  # what calling Exception's own `__init__` does, at a third of the price
        self.reason = reason
        self.detail = detail
        self.rule = rule
        self.where = where
        self.retry_after = retry_after
        self.challenge = challenge
        self.remediation = remediation
        self.limits = limits  # what the caller has left, for the RateLimit fields of a 429
        self.shadows = shadows
        self.audited = audited  # AUDIT rules that matched before the refusal

    def settle(self) -> None:
        """It was caught for good: let go of the frames that it came through.

        They hold the request, which holds this: only the collector would find such a ring, and it seldom looks.
        """
        self.__traceback__ = self.__context__ = self.__cause__ = None

    @property
    def failed_credential(self) -> bool:
        """True when a credential was sent and did not hold; to be asked for a nonce is a step of the protocol."""
        return self.reason.failed_credential and (self.challenge is None or self.challenge.nonce is None)
