"""A record on its way to the disk."""

import asyncio
from typing import NamedTuple


class Waiting(NamedTuple):
    """A record that is not written yet."""

    kind: str
    at: float  # seconds since the epoch
    members: str
    done: "asyncio.Future[bool] | None"  # resolved with True once it is written
    keep: bool  # try again when the write fails
