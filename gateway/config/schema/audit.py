"""What is recorded, where and how surely: `audit` (contract section 9).

Always on: without the key the defaults hold.
"""

import socket
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from gateway.config.schema.base import Node
from gateway.config.schema.scalars import Duration, FilePath, NonEmpty, Size


class Segment(Node):
    """When a new file begins."""

    size: Annotated[Size, Field(ge=65536)] = 256 * 1024 * 1024
    age: Annotated[Duration, Field(ge=60)] = 86400.0


class Audit(Node):
    """The audit log."""

    directory: FilePath = Field(default=Path("var/audit"), validate_default=True)
    """Made if absent."""
    signing_key: FilePath | None = None
    """Ed25519 private key, PEM; without one checkpoints are unsigned."""
    checkpoint: Annotated[Duration, Field(ge=0.1)] = 10.0
    durability: Literal["written", "synced", "buffered"] = "written"
    on_failure: Literal["deny", "allow"] = "deny"
    inputs: Literal["values", "digests", "none"] = "values"
    redact: tuple[NonEmpty, ...] = ()
    """Names of claims and headers recorded only as an HMAC."""
    replica: NonEmpty = Field(default_factory=socket.gethostname)
    """Names this machine's streams."""
    segment: Segment = Field(default_factory=Segment)
