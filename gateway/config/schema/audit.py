"""What is recorded, where and how surely: `audit` (contract section 9).

Always on: without the key the defaults hold.
"""

import socket
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from gateway.config.schema.base import Node
from gateway.config.schema.scalars import Boolean, Duration, FilePath, NonEmpty, OneOrMany, Size


class Segment(Node):
    """When a new file begins."""

    size: Annotated[Size, Field(ge=65536)] = 256 * 1024 * 1024
    age: Annotated[Duration, Field(ge=60)] = 86400.0


class Sink(Node):
    """A second place for the lines; exactly one of to, syslog and file. The files of `directory` stay the evidence."""

    to: Literal["stdout", "otlp"] | None = None
    """otlp: the logs of telemetry.otlp."""
    syslog: NonEmpty | None = None
    """RFC 5424 to unix:///PATH, udp://HOST:PORT, tcp://HOST:PORT or tls://HOST:PORT."""
    file: FilePath | None = None
    """Appended to; made anew when it was moved away."""
    records: Literal["all", "checkpoints"] = "all"
    """checkpoints: only what anchors the log."""
    required: Boolean = False
    """While it takes nothing more, the log counts as failed, and on_failure decides; otherwise lines are dropped."""

    @model_validator(mode="before")
    @classmethod
    def _from_name(cls, data: Any) -> Any:
        return {"to": data} if isinstance(data, str) else data

    def short(self) -> str | None:
        return self.to if self.records == "all" and not self.required else None


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
    keep: Annotated[Duration, Field(ge=60)] | None = None
    """Whole segments whose last record is older are deleted, once a later checkpoint stands; default: nothing is."""
    sinks: OneOrMany[Sink] = ()
    """Where else the lines go."""
