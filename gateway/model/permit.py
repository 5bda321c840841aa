"""A permit: proof that a request was judged and allowed. Only the authorize stage makes one."""

from gateway.model.noun import noun
from gateway.model.place import Place
from gateway.model.principal import Principal
from gateway.model.request import RequestContext
from gateway.model.route import Route
from gateway.model.shadow import Shadow


@noun
class Permit:
    """What `forward` needs to act, and what names the decision in its record."""

    ctx: RequestContext
    route: Route
    principal: Principal
    rule: str | None  # the allowing rule; None for a public route without rules, and for a preflight
    where: Place | None
    audited: tuple[str, ...]  # AUDIT rules that matched
    shadows: tuple[Shadow, ...]
    expires: float | None  # seconds since the epoch: when the first proof behind it ends; None when nothing ends
    authorization: bytes | None = None  # set by forward: what the backend gets in the place of the caller's token
