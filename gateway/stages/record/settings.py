"""What the record stage and its log are told when they are built.

`LogSettings` belong to the log, which outlives reloads; `RecordSettings` to one snapshot.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from gateway.stages.record.inputs import Inputs
from gateway.stages.record.sink import SinkSettings


@dataclass(frozen=True, slots=True)
class LogSettings:
    """Where and how surely. Equal settings mean that a reload keeps the log that is open."""

    directory: Path
    stream: str  # REPLICA-wN
    signing_key: str | None  # a digest of the key, so that another key makes other settings
    checkpoint: float  # seconds
    durability: Literal["written", "synced", "buffered"]
    segment_size: int  # bytes
    segment_age: float  # seconds
    keep: float | None = None  # seconds; None: nothing is deleted
    sinks: tuple[SinkSettings, ...] = ()


@dataclass(frozen=True, slots=True)
class RecordedRoute:
    """One route, at its index in the file."""

    name: str
    inputs: Inputs


@dataclass(frozen=True, slots=True)
class RecordSettings:
    """One snapshot's part."""

    digest: str  # of the config file, hex
    routes: tuple[RecordedRoute, ...]
    refuse_unrecorded: bool = field(default=True)  # on_failure: deny
