"""What a rule may ask of: everything known of a request when it is judged.

One value per request, so that a condition of any kind is a function of this alone.
"""

from collections.abc import Callable
from typing import TypeAlias

from gateway.model.noun import noun
from gateway.model.posture import Posture
from gateway.model.principal import Principal
from gateway.model.request import RequestContext
from gateway.model.route import Route


@noun
class Facts:
    """The product of the stages before."""

    ctx: RequestContext
    route: Route
    principal: Principal
    posture: Posture | None


Test: TypeAlias = Callable[[Facts], bool]
