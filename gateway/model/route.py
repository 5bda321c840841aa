"""Which route a request took; each stage keeps what it needs for it under the route's index."""

from gateway.model.noun import noun
from gateway.model.place import Place
from gateway.model.reason import Reason


@noun
class Route:
    """A route that matched, or why none did.

    Without a `refusal` index -1 stands for the gateway's own addresses, which are before all routes.
    """

    name: str  # "none" where no route matched
    index: int  # position in the file: the key of every stage's own table; -1 where no route of the file matched
    public: bool
    where: Place | None
    prefix: str  # the literal text before `/*` of the path pattern that matched; "" for other patterns
    refusal: Reason | None = None  # NO_ROUTE or METHOD_NOT_ALLOWED where no route matched
    allowed_methods: tuple[str, ...] = ()  # for METHOD_NOT_ALLOWED: the Allow header
