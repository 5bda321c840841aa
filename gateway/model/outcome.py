"""How a request ended, for the record."""

from dataclasses import field

from gateway.model.noun import noun
from gateway.model.reason import Reason


@noun
class Outcome:
    """What happened after a permit; `reason` is None for a clean end."""

    status: int  # what the client was sent; 0 when nothing was
    upstream: str | None  # name of the upstream; None for local answers
    endpoint: str | None  # the endpoint's URL in the config
    bytes_in: int  # request body bytes read
    bytes_out: int  # response body bytes sent
    reason: Reason | None = None
    cause: str | None = None  # of a stream that was ended: what a new request would be refused for, else why
    attempts: int = 1  # times that it was sent to a backend, or begun to be
    written: tuple[str, str] | None = field(
        default=None, init=False, compare=False, repr=False
    )  # by `record`: the rest
