"""What something in `mode: shadow` would have done."""

from gateway.model.noun import noun
from gateway.model.place import Place
from gateway.model.reason import Effect


@noun
class Shadow:
    """One verdict that was judged, counted and recorded, and decided nothing."""

    kind: str  # "rule", "limit", "issuer" or "posture"
    name: str
    effect: Effect
    where: Place | None
