"""What is known of the caller's device."""

from gateway.model.json import Claims
from gateway.model.noun import noun


@noun
class Posture:
    """Facts about one device; the verdict over them is policy."""

    device: str
    facts: Claims
    observed: float  # seconds since the epoch
