"""What is known of the caller's device."""

from gateway.model.json import Claims
from gateway.model.noun import noun
from gateway.model.shadow import Shadow


@noun
class Posture:
    """Facts about one device that were judged fresh and good enough."""

    device: str
    facts: Claims  # empty under a posture in shadow: nothing can be granted by it
    observed: float  # seconds since the epoch
    expires: float | None = None  # seconds since the epoch: when the facts are too old
    shadows: tuple[Shadow, ...] = ()
